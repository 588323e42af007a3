"""What lines of a log, details of a run and answers of AWS mean, and what to do: symptoms.toml, for both services."""

import re
import tomllib
from pathlib import Path

from orchard_deploy.targets import SERVERLESS, Target

# The head of the table describes its fields.
SYMPTOMS: list[dict[str, str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))[
    "symptom"
]


def explain(text: str, target: Target = SERVERLESS) -> str | None:
    """What a line means, if it shows one of the known failures."""
    found = next((symptom for symptom in SYMPTOMS if re.search(symptom["pattern"], text)), None)
    if found is None:
        return None
    return found["advice"] if target.has_application else found.get("on_eks", found["advice"])
