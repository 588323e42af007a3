"""The table and the plot of docs/choosing.md, from the output of `orchard compare`.

python -m bench.choosing REPORT
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchard.compare.figures import PLOT_HEIGHT, accuracy_against_dollars
from orchard.compare.text import COLUMNS, cells
from orchard.report.figures import picture

from bench.inputs import ROOT

PAGE, PLOT = ROOT / "docs" / "choosing.md", ROOT / "docs" / "choosing.svg"
# What is between these lines of the page is replaced.
BEGIN, END = "<!-- table: python -m bench.choosing REPORT -->\n", "<!-- end of table -->\n"


def main(report: str) -> None:
    """Write both."""
    facts = json.loads(Path(report, "compare.json").read_text(encoding="utf-8"))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{to_markdown(facts)}\n{END}{after}", encoding="utf-8")
    plot = picture(accuracy_against_dollars, facts["backbones"], facts["frontier"], height=PLOT_HEIGHT)[
        "light"
    ].decode()
    # Of its own colour, as the page that shows it may be dark.
    PLOT.write_text(re.sub("(<svg [^>]*>)", r'\1<rect width="100%" height="100%" fill="#fff"/>', plot, count=1))


def to_markdown(facts: Mapping[str, Any]) -> str:
    """The table of a comparison."""
    rows = [[f"`{row['backbone']}`", *cells(row)] for row in facts["backbones"]]
    lines = [["backbone", *COLUMNS], ["---", *["---:"] * len(COLUMNS)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
