"""What the launchers import, and when; the rooms' order is a contract in pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import orchard_deploy

PACKAGE = Path(orchard_deploy.__file__).parent
# What decides, beside all that the command line imports at its start.
PURE = ["cost.money", "emr", "runs.logs", "runs.planning", "stack.changes", "stack.parameters", "stack.state"]


def test_main_and_what_decides_start_without_boto_and_docker() -> None:
    names = ", ".join(f"orchard_deploy.{name}" for name in ["__main__", *PURE])
    code = f"import sys, {names}; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"boto3", "docker", "pyspark", "tensorflow", "moto"} & set(modules)


def test_boto_is_imported_by_aws_and_the_rehearsal_only() -> None:
    importing = re.compile(r"^\s*(?:from|import) boto", re.MULTILINE)
    found = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py") if importing.search(path.read_text())}
    assert found == {"aws.py", "rehearsal"}
