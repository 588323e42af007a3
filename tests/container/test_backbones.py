"""The image with two networks: built by the specification, both verified, either run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from orchard.network.backbones import BACKBONES

from tests.container.conftest import CLI, build, write_spec
from tests.container.test_image import in_container
from tests.container.test_run_local import last_line, orchard_deploy
from tests.deploy.conftest import ROOT
from tests.runs import Output

pytestmark = pytest.mark.container

NAMES = ["mobilenet_v2", "efficientnet_lite0"]
LITE = BACKBONES["efficientnet_lite0"]


@pytest.fixture(scope="module")
def spec_of_two(stand_in: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spec(tmp_path_factory.mktemp("two"), base=stand_in, backbones=NAMES)


@pytest.fixture(scope="module")
def two(spec_of_two: Path) -> str:
    """The name of the image with both."""
    return build(spec_of_two)


def run(spec: Path, image: str, photos: Path, output: Path, *words: object) -> subprocess.CompletedProcess[str]:
    places = ("--spec", spec, "--image", image, "--input", photos, "--output", output)
    return orchard_deploy("run-local", *places, "--", *words)


def test_its_tag_differs(image: str, two: str) -> None:
    assert two != image
    assert two.split(":")[0] == image.split(":")[0]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_the_published_one(two: str, name: str) -> None:
    command = f'"$PYSPARK_PYTHON" -m orchard.network.bake.command --backbone {name} --output "$ORCHARD_WEIGHTS/{name}"'
    done = in_container(two, f"{command} --json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    assert (manifest["baked"], manifest["fingerprint"]) == (False, BACKBONES[name].fingerprint)


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_either(spec_of_two: Path, two: str, drawn: Path, tmp_path: Path, name: str) -> None:
    done = run(spec_of_two, two, drawn, tmp_path / "out", "--backbone", name)
    assert done.returncode == 0, done.stdout + done.stderr
    report = Output(tmp_path / "out").report
    assert (report["backbone"]["name"], report["backbone"]["fingerprint"]) == (name, BACKBONES[name].fingerprint)
    assert report["counts"]["featurized"] == 24
    assert report["image"] == two.rpartition(":")[2]


def test_a_folder_of_ones_own_is_run(spec_of_two: Path, two: str, drawn: Path, tmp_path: Path) -> None:
    """Weights from outside of the image: those of the image under another name, as fine-tuning would make them."""
    (tmp_path / "tuned").mkdir()
    name = f"sed -i 's/{LITE.fingerprint}/{'f' * 64}/' /tuned/manifest.json"
    copy = f"cp /opt/orchard/weights/{LITE.name}/* /tuned && {name} && chmod -R a+rX /tuned"
    mount = ["--volume", f"{tmp_path}/tuned:/tuned", "--user", "0:0", "--entrypoint", "/bin/bash"]
    subprocess.run([CLI, "run", "--rm", *mount, two, "-c", copy], check=True, timeout=300)
    done = run(spec_of_two, two, drawn, tmp_path / "out", "--backbone", tmp_path / "tuned")
    assert done.returncode == 0, done.stdout + done.stderr
    assert Output(tmp_path / "out").report["settings"]["fingerprint"] == "f" * 64


def test_an_image_without_a_network_says_which_it_has(
    spec_of_two: Path, image: str, drawn: Path, tmp_path: Path
) -> None:
    done = run(spec_of_two, image, drawn, tmp_path / "out", "--backbone", LITE.name)
    assert done.returncode == 1
    line = last_line(done)
    assert "mobilenet_v2" in line
    assert LITE.name in line


def test_another_network_than_the_images_needs_no_engine(stand_in_spec: Path, drawn: Path, tmp_path: Path) -> None:
    done = run(stand_in_spec, "orchard:x", drawn, tmp_path / "out", "--backbone", LITE.name)
    assert done.returncode == 2
    assert "image.backbones" in last_line(done)


def test_an_unknown_network_fails_the_build(stand_in: str) -> None:
    arguments = {"BASE_IMAGE": stand_in, "BACKBONES": "mobilenet_v2 vgg"}
    words = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    environ = {**os.environ, "DOCKER_BUILDKIT": "1"}
    command = [CLI, "build", "--target", "bake", *words, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200, env=environ)
    assert done.returncode != 0
    assert "unknown backbone 'vgg'" in done.stderr
