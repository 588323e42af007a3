"""What a run costs in time: so many seconds, and so many more for each photo. Pure but for the command.

python -m bench.model        from the figures in bench/results/scale, for `orchard-deploy plan`: writes deploy/rates.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.inputs import ROOT

RESULTS, RATES = ROOT / "bench" / "results" / "scale" / "results.json", ROOT / "deploy" / "rates.json"
# Seconds that AWS takes to provide workers, by what others published of it; nothing of ours was measured there.
PROVISION = 90


@dataclass(frozen=True)
class CostModel:
    """Seconds of a run: `fixed`, and `per_photo` more for each photo; `error` is the largest of them, as a share of what was measured."""

    fixed: float
    per_photo: float
    error: float


def fit_model(seconds: Mapping[int, float]) -> CostModel:
    """The model of two or more runs, photos -> seconds, by least squares of the relative error: small runs count as much as large ones."""
    measured = np.array([*seconds.values()])
    terms = np.column_stack([np.ones(len(seconds)), [*seconds]])
    (fixed, per_photo), *_ = np.linalg.lstsq(terms / measured[:, None], np.ones(len(measured)), rcond=None)
    errors = terms @ [fixed, per_photo] / measured - 1
    return CostModel(float(fixed), float(per_photo), float(np.abs(errors).max()))


def scale_seconds(cases: Mapping[str, Any]) -> dict[int, float]:
    """Photos -> seconds of the whole process, of the runs of many sizes among the cases of a go's results."""
    runs = [case for name, case in cases.items() if name.startswith("scale orchard ") and case["numbers"]]
    return {case["size"]: case["numbers"]["wall"]["median"] for case in runs}


def rates(document: Mapping[str, Any], slots: int) -> dict[str, Any]:
    """The content of `deploy/rates.json`, by the results of a go on so many task slots."""
    seconds = scale_seconds(document["cases"])
    model = fit_model(seconds)
    return {
        "photos_per_second_per_vcpu": round(1 / (model.per_photo * slots), 1),
        "fixed_seconds": round(model.fixed, 1),
        "provision_seconds": PROVISION,
        "measured": f"runs of {min(seconds):,} to {max(seconds):,} photos on {slots} hyperthreads ({document['machine']['processor']}), "
        f"{document['go']['on'][:10]}, which it fits within {model.error:.0%}; not AWS, where no run was measured: "
        f"its {PROVISION} s to provide workers are by others",
    }


def main(results: Path = RESULTS, target: Path = RATES) -> None:
    """Write the rates that the results give."""
    from bench.cases import SLOTS

    content = rates(json.loads(results.read_text(encoding="utf-8")), SLOTS)
    target.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(target.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
