"""What a run costs in time, for `orchard-deploy plan`: so many seconds, and so many more for each photo.

python -m bench.model [RESULTS]        writes the launchers' cost/rates.json, by default from bench/results/results.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.inputs import ROOT, SLOTS

RESULTS, RATES = ROOT / "bench" / "results" / "results.json", ROOT / "deploy" / "orchard_deploy" / "cost" / "rates.json"
# Seconds that AWS takes to provide workers, by what others published of it; nothing of ours was measured there.
PROVISION = 90


@dataclass(frozen=True)
class CostModel:
    """Seconds of a run: `fixed`, and `per_photo` for each photo; `error` is the largest, as a share of the measured."""

    fixed: float
    per_photo: float
    error: float


def fit_model(seconds: Mapping[int, float]) -> CostModel:
    """The model of two or more runs, photos -> seconds; least squares of the relative error: all count alike."""
    measured = np.array([*seconds.values()])
    terms = np.column_stack([np.ones(len(seconds)), [*seconds]])
    (fixed, per_photo), *_ = np.linalg.lstsq(terms / measured[:, None], np.ones(len(measured)), rcond=None)
    errors = terms @ [fixed, per_photo] / measured - 1
    return CostModel(float(fixed), float(per_photo), float(np.abs(errors).max()))


def rates(document: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `deploy/orchard_deploy/cost/rates.json`, by the results of a go with the cases `scale`."""
    runs = [case for name, case in document["cases"].items() if name.startswith("scale orchard ") and case["numbers"]]
    seconds = {case["size"]: case["numbers"]["wall"]["median"] for case in runs}
    model = fit_model(seconds)
    return {
        "photos_per_second_per_vcpu": round(1 / (model.per_photo * SLOTS), 1),
        "fixed_seconds": round(model.fixed, 1),
        "provision_seconds": PROVISION,
        "measured": f"runs of {min(seconds):,} to {max(seconds):,} photos on {SLOTS} hyperthreads "
        f"({document['machine']['processor']}), {document['go']['on'][:10]}, which it fits within {model.error:.0%}; "
        "not AWS, where no run was measured: "
        f"its {PROVISION} s to provide workers are by others",
    }


def main(results: str = str(RESULTS)) -> None:
    """Write the rates that the results give."""
    with open(results, encoding="utf-8") as stream:
        content = json.dumps(rates(json.load(stream)), indent=2, ensure_ascii=False) + "\n"
    RATES.write_text(content, encoding="utf-8")
    print(content, end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
