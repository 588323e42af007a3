"""The rehearsal of AWS with a real engine and a real registry: what is pushed is what runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.docker_engine import DockerEngine
from deploy.rehearsal.registry import moto_client, registry
from deploy.rehearsal.runners import ContainerRunner
from deploy.rehearsal.stage import Rehearsal
from tests.aws.conftest import REGION, Theatre, context_of, theatre, tree, tree_tag  # noqa: F401 (fixtures)
from tests.container.conftest import CLI

pytestmark = pytest.mark.skipif(
    shutil.which("docker-registry") is None, reason="no docker-registry on this machine (Debian's package of that name)"
)


@pytest.fixture
def stage(theatre: Theatre, engine: str) -> Rehearsal:  # noqa: F811
    """A rehearsal with a registry, whose runs are containers."""

    def runner(environ: object, images: object) -> ContainerRunner:
        return ContainerRunner(DockerEngine(), images.host, environ, memory=6 << 30, cpus=2)  # type: ignore[attr-defined, arg-type]

    return theatre.open(images=registry, runner=runner)


@pytest.fixture
def named(tree: Path, small_image: str) -> Iterator[str]:  # noqa: F811
    """A small image under the name that the tree's image has."""
    name = f"orchard:{tree_tag(tree)}"
    subprocess.run([CLI, "tag", small_image, name], check=True)
    yield name
    tags = subprocess.run(
        [CLI, "images", "--format", "{{.Repository}}:{{.Tag}}"], check=True, capture_output=True, text=True
    ).stdout.split()
    subprocess.run([CLI, "rmi", *(tag for tag in tags if tag.endswith(f"orchard:{tree_tag(tree)}"))], check=True, capture_output=True)


def orchard(tree: Path, capsys: pytest.CaptureFixture[str], name: str, *words: str) -> tuple[int, str, str]:  # noqa: F811
    code = main([name, "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_an_image_is_pushed_once_with_the_login_of_ecr(
    tree: Path,  # noqa: F811
    stage: Rehearsal,
    named: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = orchard(tree, capsys, "push")
    assert (code, "ECR repository orchard: there is none in us-east-1: `orchard-deploy up` makes it" in err) == (1, True)
    orchard(tree, capsys, "up")
    code, out, err = orchard(tree, capsys, "push")
    assert code == 0
    digest = out.strip().removeprefix("orchard@")
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest)
    found = moto_client("ecr", stage.moto, REGION).describe_images(repositoryName="orchard")["imageDetails"]
    assert [image["imageDigest"] for image in found] == [digest]
    code, again, err = orchard(tree, capsys, "push")
    assert (code, again) == (0, out)
    assert "is there already" in err
    assert "not in ECR" not in orchard(tree, capsys, "status")[1]
    orchard(tree, capsys, "down")
    assert "not in ECR" in orchard(tree, capsys, "status")[1]
