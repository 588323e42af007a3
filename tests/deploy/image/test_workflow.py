"""CI's workflow of the image: without a role that is configured it needs nothing of AWS, and no key is stored."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.deploy.conftest import ROOT

PATH = ROOT / ".github" / "workflows" / "image.yml"


@pytest.fixture(scope="module")
def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(PATH.read_text(encoding="utf-8"))["jobs"]["image"]["steps"]
    return found


def test_only_with_a_role_is_anything_pushed(steps: list[dict[str, Any]]) -> None:
    of_aws = [step for step in steps if "aws-actions/" in step.get("uses", "") or "push" in step.get("run", "")]
    assert len(of_aws) == 2
    assert {step.get("if") for step in of_aws} == {"vars.AWS_ROLE_ARN != ''"}
    assert steps[-2:] == of_aws  # what was built is verified before
    assert of_aws[0]["with"]["role-to-assume"] == "${{ vars.AWS_ROLE_ARN }}"


def test_no_key_is_stored() -> None:
    text = PATH.read_text(encoding="utf-8")
    assert "id-token: write" in text
    assert "secrets." not in text
