"""What the launchers import, and when; the rooms' order is a contract in pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import orchard_deploy

PACKAGE = Path(orchard_deploy.__file__).parent


def test_main_with_every_command_starts_without_what_the_job_computes_with() -> None:
    code = "import sys, orchard_deploy.__main__; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "pyspark", "tensorflow", "moto"} & set(modules)


def test_boto_is_imported_by_aws_and_the_rehearsal_only() -> None:
    importing = re.compile(r"^\s*(?:from|import) boto", re.MULTILINE)
    found = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py") if importing.search(path.read_text())}
    assert found == {"aws.py", "rehearsal"}
