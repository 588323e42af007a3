"""`orchard-deploy` where the packages of its extra are not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT

WITHOUT = "import sys; sys.modules[{!r}] = None; from orchard_deploy.__main__ import main; sys.exit(main(sys.argv[1:]))"


def orchard_deploy_without(package: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT.format(package), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("jsonschema", "tag"),
        ("jsonschema", "run-local --input {0} --output {0}/out"),
        ("docker", "build"),
        ("docker", "push --registry 127.0.0.1:1"),
        ("docker", "run-local --input {0} --output s3://bucket/out --image orchard:x"),
        ("boto3", "status --region us-east-1"),
        ("boto3", "push --region us-east-1"),
    ],
)
def test_a_missing_package_is_one_line_with_what_to_install(tmp_path: Path, package: str, command: str) -> None:
    done = orchard_deploy_without(package, *command.format(tmp_path).split())
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr == f"orchard-deploy: error: {package}: not installed: pip install 'orchard[deploy]'\n"


@pytest.mark.parametrize("command", ["tag", "build --dry-run", "push --registry x --dry-run"])
def test_what_needs_no_engine_needs_no_package_for_it(command: str) -> None:
    done = orchard_deploy_without("docker", *command.split())
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fault_of_our_own_is_not_taken_for_a_missing_package() -> None:
    done = orchard_deploy_without("orchard_deploy.image.build", "build")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
