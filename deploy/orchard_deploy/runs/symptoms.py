"""What lines of a log, details of a run and answers of AWS mean, and what to do: one table for both services.

Pure but for reading the table, symptoms.toml.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orchard_deploy.targets import SERVERLESS, Target

_TABLE = Path(__file__).with_name("symptoms.toml")


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """A known failure; the table's head describes the fields."""

    name: str
    seen: str
    pattern: str
    advice: str
    on_eks: str | None = None


@cache
def symptoms() -> tuple[Symptom, ...]:
    """The table."""
    return tuple(Symptom(**entry) for entry in tomllib.loads(_TABLE.read_text(encoding="utf-8"))["symptom"])


def explain(text: str, target: Target = SERVERLESS) -> str | None:
    """What a line means, if it shows one of the known failures."""
    found = next((symptom for symptom in symptoms() if re.search(symptom.pattern, text)), None)
    if found is None:
        return None
    return found.advice if target.needs_application else found.on_eks or found.advice
