"""`orchard-deploy` where the packages of its extra are not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.deploy.conftest import ROOT

WITHOUT = "import sys; sys.modules[{!r}] = None; from orchard_deploy.__main__ import main; sys.exit(main(sys.argv[1:]))"


def orchard_deploy_without(package: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT.format(package), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("package", ["boto3", "docker", "jsonschema"])
@pytest.mark.parametrize("command", ["tag", "status --region us-east-1"])
def test_a_missing_package_is_one_line_with_what_to_install(package: str, command: str) -> None:
    done = orchard_deploy_without(package, *command.split())
    assert done.returncode == 2
    assert done.stderr == f"orchard-deploy: error: {package}: not installed: pip install 'orchard[deploy]'\n"


def test_a_fault_of_our_own_is_not_taken_for_a_missing_package() -> None:
    done = orchard_deploy_without("orchard_deploy.image.tag", "build")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
