"""Writes a comparison: the page, and last of all compare.json.

Importing this module takes half a second: of Matplotlib, Jinja2 and compiling the template.
"""

import json
from collections.abc import Mapping
from typing import Any

from orchard.compare import figures
from orchard.compare.contents import FEW, MANY
from orchard.compare.plan import PAGE, REPORT
from orchard.compare.text import COLUMNS, cells, estimated
from orchard.report.figures import picture
from orchard.report.templates import load
from orchard.storage.stores import Store


def write_comparison(store: Store, facts: Mapping[str, Any]) -> None:
    """Write `compare.html` and `compare.json`, given the content of the latter; `OutputError` where it fails."""
    store.write(PAGE, fill(facts).encode())
    store.write(REPORT, (json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


def fill(facts: Mapping[str, Any]) -> str:
    """The page's HTML, of the content of `compare.json`."""
    rows, best = facts["backbones"], facts["frontier"]
    return _TEMPLATE.render(
        facts=facts,
        columns=[*COLUMNS],
        rows=[(row, cells(row)) for row in rows],
        estimated=estimated,
        few=FEW,
        many=MANY,
        plot=best and picture(figures.accuracy_against_dollars, rows, best, height=figures.PLOT_HEIGHT),
        labels=sorted({name for row in rows for name in row["labels"]}),
    )


_TEMPLATE = load("compare/page.html")
