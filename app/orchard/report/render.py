"""Everything `report.html` shows, gathered from an output."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from orchard.errors import InputError, PhotoError
from orchard.photos.decoding import thumbnail
from orchard.photos.source import PhotoSource, Rejection
from orchard.report.page import Thumbnail, render
from orchard.storage.stores import Store
from orchard.tables import reading as tables

# The contact sheet: enough to see what the photos are, small enough to send by mail.
SHEET_VARIETIES, SHEET_PHOTOS, SHEET_PIXELS = 12, 6, 72


def draw_page(
    facts: Mapping[str, Any],
    source: PhotoSource,
    store: Store,
    components: Sequence[str],
    *,
    manifest: pa.Table,
    rejects: Sequence[Rejection],
) -> bytes:
    """The content of `report.html`; `components` are the keys of that table's files in `store`."""
    html = render(
        facts,
        points=tables.read_points(store, components, facts["counts"]["featurized"]),
        photos=contact_sheet(source, manifest, list(facts["input"]["labels"])),
        rejects=rejects,
    )
    return html.encode()


def contact_sheet(source: PhotoSource, manifest: pa.Table, labels: Sequence[str]) -> list[Thumbnail]:
    """Thumbnails of a few photos of a few varieties, evenly chosen; empty where the photos are out of reach."""
    shown = evenly(labels, SHEET_VARIETIES)
    picked = tables.first_paths(manifest, shown, SHEET_PHOTOS)
    sheet: list[Thumbnail] = []
    with contextlib.suppress(InputError):  # a page without pictures is better than none
        sheet.extend(
            thumbnail for label in shown for path in picked[label] if (thumbnail := _thumbnail(source, label, path))
        )
    return sheet


def evenly(labels: Sequence[str], limit: int) -> list[str]:
    """At most `limit` of `labels`, evenly spread, in their order."""
    count = min(limit, len(labels))
    return [labels[place * len(labels) // count] for place in range(count)]


def _thumbnail(source: PhotoSource, label: str, path: str) -> Thumbnail | None:
    try:
        picture = thumbnail(source.read(path, patient=False), 2 * SHEET_PIXELS)
    except PhotoError as error:
        if error.reason == "unavailable":  # nobody answers: the other photos would only take their time as well
            raise InputError(str(error)) from error
        return None  # a rejected photo, or one that is gone since
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=80)
    return Thumbnail(label, path, sink.getvalue())


def preload() -> None:
    """Import what draws the plots: half a second that can pass while Spark is busy."""
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401
