"""Which part of the launchers may know which: boto3 behind its door, decisions without any."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.aws.conftest import ROOT

PURE = [
    "cost",
    "hints",
    "iam",
    "logs",
    "observed",
    "payloads",
    "places",
    "plan",
    "record",
    "site",
    "spark",
    "targets",
    "waiting",
    "work",
    "workers",
    "rehearsal.applications",
    "rehearsal.jobs",
    "rehearsal.floor",
    "rehearsal.shipping",
]


@pytest.mark.parametrize("name", PURE)
def test_what_decides_knows_no_door(name: str) -> None:
    code = f"import sys, deploy.{name}; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"boto3", "docker", "pyspark", "tensorflow", "moto"} & set(modules)


def test_boto_is_imported_in_two_packages_only() -> None:
    importing = re.compile(r"^\s*(?:from|import) boto", re.MULTILINE)
    found = {
        path.relative_to(ROOT / "deploy").parts[0]
        for path in (ROOT / "deploy").rglob("*.py")
        if importing.search(path.read_text())
    }
    assert found == {"aws", "rehearsal"}


def test_the_command_line_starts_without_boto_and_docker() -> None:
    code = "import sys, deploy.__main__; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"boto3", "docker", "moto"} & set(modules)
