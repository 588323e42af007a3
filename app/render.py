"""Everything `report.html` shows, gathered from an output folder and written into it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app import tables
from app.errors import PhotoError
from app.page import Thumbnail, render
from app.pixels import thumbnail
from app.sources import PhotoSource

# The contact sheet: enough to see what the photos are, small enough to send by mail.
SHEET_VARIETIES, SHEET_PHOTOS, SHEET_PIXELS = 12, 6, 72


def write_page(facts: Mapping[str, Any], output: Path, source: PhotoSource) -> Path:
    """Write `report.html` into `output`, whose tables are already there; returns its path."""
    html = render(
        facts,
        points=tables.read_points(output / "components", facts["counts"]["featurized"]),
        photos=contact_sheet(source, output / "manifest", list(facts["input"]["labels"])),
        rejects=tables.read_rejects(output / "rejected"),
    )
    path = output / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


def contact_sheet(source: PhotoSource, manifest: Path, labels: Sequence[str]) -> list[Thumbnail]:
    """Thumbnails of a few photos of a few varieties, evenly chosen; empty where the photos are out of reach."""
    shown = evenly(labels, SHEET_VARIETIES)
    picked = tables.first_paths(manifest, shown, SHEET_PHOTOS)
    return [thumbnail for label in shown for path in picked[label] if (thumbnail := _thumbnail(source, label, path))]


def evenly(labels: Sequence[str], limit: int) -> list[str]:
    """At most `limit` of `labels`, evenly spread, in their order."""
    count = min(limit, len(labels))
    return [labels[place * len(labels) // count] for place in range(count)]


def _thumbnail(source: PhotoSource, label: str, path: str) -> Thumbnail | None:
    try:
        picture = thumbnail(source.read(path), 2 * SHEET_PIXELS)
    except PhotoError:
        return None  # a rejected photo, or one that is gone since
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=80)
    return Thumbnail(label, path, sink.getvalue())


def preload() -> None:
    """Import what draws the plots: half a second that can pass while Spark is busy."""
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401
