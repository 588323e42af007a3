"""Print `local.conf`: settings of runs on local[N] in the image, for `spark-submit --properties-file`.

They are those of a session that Orchard starts itself, which spark-submit has to know before it starts the JVM.

    python local_conf.py SITE_PACKAGES      the folder that holds the package `orchard` in the image
"""

from __future__ import annotations

import sys

from orchard.spark.session import LOCAL_SETTINGS, START_OPTIONS


def local_conf(site_packages: str) -> str:
    """The content of the file."""
    logging = f"-Dlog4j2.configurationFile=file://{site_packages}/orchard/spark/log4j2.properties"
    java = {"spark.driver.extraJavaOptions": " ".join([*START_OPTIONS, logging]), "spark.driver.memory": "1g"}
    return "".join(f"{name} {value}\n" for name, value in {**java, **LOCAL_SETTINGS}.items())


if __name__ == "__main__":
    sys.stdout.write(local_conf(*sys.argv[1:]))
