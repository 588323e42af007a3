"""What is in the image, and what is not."""

from __future__ import annotations

import json
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

pytestmark = pytest.mark.container

LIMIT = 10_000_000_000  # EMR Serverless takes no larger one


def in_container(image: str, script: str, *, user: str | None = None) -> subprocess.CompletedProcess[str]:
    flags = ["--rm", "--network", "none", "--hostname", "localhost", "--entrypoint", "/bin/bash"]
    command = [CLI, "run", *flags, *(["--user", user] if user else []), image, "-c", script]
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
    assert labels["orchard.backbones"] == "mobilenet_v2"
    assert labels["orchard.weights.fingerprint"] == MOBILENET_V2.fingerprint


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
    touch = "touch /opt/orchard/weights/x; touch /opt/orchard/main.py.x; echo >>/opt/orchard/main.py"
    script = f"{touch}; find /opt/orchard -writable ! -type l"
    done = in_container(image, script)
    assert done.stdout == ""
    assert done.stderr.count("Permission denied") == 3


def test_local_conf_names_files_that_are_there(image: str) -> None:
    done = in_container(image, "grep -o 'file:[^ ]*' /opt/orchard/local.conf | sed 's#file://##' | xargs ls")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("/log4j2.properties\n")


SPARK_PATH = 'export PYTHONPATH=$(echo "$SPARK_HOME"/python/lib/*.zip | tr " " :)'


def test_orchard_is_importable_by_any_executor(image: str) -> None:
    """With what Spark gives its Python workers to find PySpark by, and from a folder that is not the app's."""
    python = '"$PYSPARK_PYTHON" -c "import orchard, orchard.spark.worker_daemon; print(orchard.__file__)"'
    done = in_container(image, f"set -eu; cd /; {SPARK_PATH}; {python}; id -un")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["/opt/orchard/venv/lib/python3.11/site-packages/orchard/__init__.py", "hadoop"]


def test_every_file_of_the_package_is_there(image: str) -> None:
    app = ROOT / "app"
    files = {path.relative_to(app).as_posix() for path in (app / "orchard").rglob("*") if path.is_file()}
    done = in_container(image, "cd /opt/orchard/venv/lib/python3.11/site-packages && find orchard -type f")
    assert {path for path in files if "__pycache__" not in path} <= set(done.stdout.splitlines())


def test_main_runs_other_commands(image: str) -> None:
    script = '"$PYSPARK_PYTHON" /opt/orchard/main.py sample --output /tmp/photos && ls /tmp/photos/*/*.jpg | wc -l'
    done = in_container(image, script)
    assert done.stdout.split()[-1] == "50", done.stderr


def test_weights_of_the_image_are_the_published_ones(image: str) -> None:
    folder = '"$ORCHARD_WEIGHTS/mobilenet_v2"'
    done = in_container(image, f'"$PYSPARK_PYTHON" -m orchard.network.bake.command --output {folder} --json')
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    assert (manifest["baked"], manifest["fingerprint"]) == (False, MOBILENET_V2.fingerprint)


def test_build_arg_of_another_fingerprint_fails_the_build(stand_in: str) -> None:
    arguments = {"BASE_IMAGE": stand_in, "WEIGHTS_FINGERPRINT": "0" * 64}
    words = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    command = [CLI, "build", "--target", "bake", *words, str(ROOT)]
    environ = {**os.environ, "DOCKER_BUILDKIT": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200, env=environ)
    assert done.returncode != 0
    assert "0" * 64 in done.stderr
