"""What is in the image, and what is not."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import docker
import pytest
from orchard import __version__
from orchard.network.backbones import MOBILENET_V2

from tests.container.conftest import CLI
from tests.deploy.conftest import ROOT

LIMIT = 10_000_000_000  # EMR Serverless takes no larger one


def in_container(image: str, script: str, *, user: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [
        CLI,
        "run",
        "--rm",
        "--network",
        "none",
        "--hostname",
        "localhost",
        "--entrypoint",
        "/bin/bash",
        *(["--user", user] if user else []),
        image,
        "-c",
        script,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def listing(image: str) -> set[str]:
    """Every path in an image."""
    done = in_container(image, "find / -xdev -path /proc -prune -o -path /sys -prune -o -print", user="0:0")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


@pytest.fixture(scope="module")
def added(image: str, stand_in: str) -> set[str]:
    """The paths that are in the image and not in its base."""
    return listing(image) - listing(stand_in)


@pytest.fixture(scope="module")
def settings(image: str) -> tuple[dict, dict]:
    """How the image and its base are set up."""
    client = docker.from_env()
    try:
        return client.images.get(image).attrs, client.images.get("orchard-stand-in:emr-7.13.0").attrs
    finally:
        client.close()


def test_what_emr_relies_on_is_as_the_base_has_it(settings: tuple[dict, dict]) -> None:
    image, base = settings[0]["Config"], settings[1]["Config"]
    assert image["User"] == "hadoop:hadoop"
    assert (image["Entrypoint"], image["WorkingDir"]) == (base["Entrypoint"], base["WorkingDir"])
    own, inherited = (dict(line.split("=", 1) for line in config["Env"]) for config in (image, base))
    assert {name: own[name] for name in ("JAVA_HOME", "SPARK_HOME")} == {
        name: inherited[name] for name in ("JAVA_HOME", "SPARK_HOME")
    }
    assert own["PATH"].endswith(inherited["PATH"])


def test_it_is_far_below_the_limit_of_size(settings: tuple[dict, dict]) -> None:
    assert settings[0]["Size"] < LIMIT / 2


def test_labels_say_what_it_is(settings: tuple[dict, dict], image: str) -> None:
    labels = settings[0]["Config"]["Labels"]
    prefix = "org.opencontainers.image"
    assert labels[f"{prefix}.title"] == "orchard"
    assert labels[f"{prefix}.version"] == __version__
    assert labels[f"{prefix}.base.name"] == "orchard-stand-in:emr-7.13.0"
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?|unknown", labels[f"{prefix}.revision"])
    assert MOBILENET_V2.fingerprint in labels.values()


def test_the_base_is_only_added_to(image: str, stand_in: str) -> None:
    gone = {
        path
        for path in listing(stand_in) - listing(image)
        if not path.startswith(("/tmp/", "/run/", "/var/lib/dpkg/", "/var/cache/"))
    }
    assert gone == set()


def test_it_adds_nothing_outside_its_own_folder(added: set[str]) -> None:
    assert {path for path in added if not path.startswith("/opt/orchard")} - {"/opt"} == set()


@pytest.mark.parametrize(
    "unwanted",
    [
        r"/\.cache(/|$)|/pip/|\.whl$",  # package caches
        r"\.(pem|crt|key|p12|jks)$",  # certificates and keys
        r"/\.aws|/\.docker|/\.netrc|credentials$|\.env$|id_rsa",  # secrets
        r"\.(jpe?g)$",  # photos
        r"/site-packages/(tests|deploy|bench|pyspark|pytest|moto)(/|$)",
        r"\.git(/|$)|\.py\.orig$",
        r"/(gcc|cc|g\+\+|make)$",
    ],
)
def test_it_holds_no(added: set[str], unwanted: str) -> None:
    # Public roots, and plotting's own pictures, which come with the packages.
    allowed = re.compile(r"/(certifi|botocore)/cacert\.pem$|/grpc/_cython/_credentials(/roots\.pem)?$|/mpl-data/")
    assert sorted(path for path in added if re.search(unwanted, path) and not allowed.search(path))[:20] == []


def test_the_build_machines_own_certificates_are_not_added(added: set[str]) -> None:
    own = [path.name for path in Path("/usr/local/share/ca-certificates").glob("*.crt")]
    assert not {path for path in added if path.rpartition("/")[2] in own}


def test_weights_and_job_cannot_be_written_by_the_job(image: str) -> None:
    script = "touch /opt/orchard/weights/x; touch /opt/orchard/main.py.x; echo >>/opt/orchard/main.py; find /opt/orchard -writable ! -type l"
    done = in_container(image, script)
    assert done.stdout == ""
    assert done.stderr.count("Permission denied") == 3


def test_every_file_that_the_local_settings_name_is_there(image: str) -> None:
    script = r"grep -oE '(file://)?/opt/orchard[^: ]*|file:/[^: ]*' /opt/orchard/java/local.conf | sed 's#file://##' | sort -u | xargs ls -d"
    done = in_container(image, script)
    assert done.returncode == 0, done.stderr
    assert {path.rpartition("/")[2] for path in done.stdout.split()} == {
        "class-path.jar",
        "classes.jsa",
        "log4j2.properties",
    }


def test_the_job_is_importable_by_any_executor(image: str) -> None:
    """With what Spark gives its Python workers to find PySpark by, and from a folder that is not the app's."""
    spark = 'export PYTHONPATH=$(echo "$SPARK_HOME"/python/lib/*.zip | tr " " :)'
    script = f'set -eu; cd /; {spark}; "$PYSPARK_PYTHON" -c "import orchard.spark.worker_daemon, orchard.legacy.steps; print(orchard.__file__)"; id -un'
    done = in_container(image, script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["/opt/orchard/venv/lib/python3.11/site-packages/app/__init__.py", "hadoop"]


def test_settings_of_local_runs_name_files_that_are_there(image: str) -> None:
    done = in_container(image, "grep -o '/opt/orchard[^ :]*' /opt/orchard/java/local.conf | sort -u")
    named = done.stdout.split()
    assert {Path(path).name for path in named} == {"class-path.jar", "classes.jsa", "log4j2.properties"}
    assert in_container(image, f"ls {' '.join(named)} /opt/orchard/java/native/libsnappyjava.so").returncode == 0


def test_spark_starts_from_the_archive_of_classes(image: str) -> None:
    java = "$JAVA_HOME/bin/java -Xshare:on -XX:SharedArchiveFile=classes.jsa -Xlog:class+load:file=/tmp/loaded -cp class-path.jar"
    done = in_container(
        image, f"cd /opt/orchard/java && {java} org.apache.spark.deploy.SparkSubmit --version && cat /tmp/loaded"
    )
    assert done.returncode == 0, done.stderr
    loaded = [line for line in done.stdout.splitlines() if " org.apache.spark." in line and "$$Lambda" not in line]
    shared = [line for line in loaded if "shared objects file" in line]
    assert len(shared) > 0.9 * len(loaded) > 50


def test_a_bake_that_is_not_what_it_should_be_fails_the_build(stand_in: str, tmp_path: Path) -> None:
    """The same Dockerfile with a verification that finds a changed model."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    damaged = text.replace(
        "python -m orchard.network.bake.verify",
        "echo x | tee -a /work/weights/*.tflite && python -m orchard.network.bake.verify",
    )
    assert damaged != text
    (tmp_path / "Dockerfile").write_text(damaged, encoding="utf-8")
    command = [
        CLI,
        "build",
        "--target",
        "bake",
        "--build-arg",
        f"BASE_IMAGE={stand_in}",
        "--file",
        str(tmp_path / "Dockerfile"),
        str(ROOT),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=1200, env={**os.environ, "DOCKER_BUILDKIT": "1"}
    )
    assert done.returncode != 0
    assert "SHA-256" in done.stderr
