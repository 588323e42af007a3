"""What a report shows of the photos: their number by label, copies, points to plot, and thumbnails of a few."""

import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchard.errors import InputError, PhotoError
from orchard.photos.copies import Copies, find_copies
from orchard.photos.decoding import thumbnail
from orchard.photos.photo import PhotoReader, natural_key
from orchard.tables import parquet
from orchard.tables.output import Output

MOST_POINTS = 5000  # of the scatter plot: more would cover each other
# Enough to see what the photos are, small enough to send by mail.
SHEET_LABELS, SHEET_PHOTOS, SHEET_PIXELS = 12, 6, 72


@dataclass(frozen=True)
class Contents:
    """What the tables hold: photos by label and rejected ones by reason, the first paths of each label, and copies."""

    labels: dict[str, int]
    reasons: dict[str, int]
    examples: dict[str, list[str]]
    copies: Copies


def read_contents(output: Output) -> Contents:
    """Read paths, labels and hashes; the features themselves are not fetched."""
    counts, examples = Counter[str](), defaultdict[str, list[str]](list)

    def photos() -> Iterator[tuple[list[str], list[str]]]:
        for file in output.features.files:
            table = parquet.read(output.store, file.key, ["path", "label", "sha256"])
            paths, labels, hashes = (column.to_pylist() for column in table.columns)
            counts.update(labels)
            for path, label in zip(paths, labels, strict=True):
                if len(examples[label]) < SHEET_PHOTOS:
                    examples[label].append(path)
            yield paths, hashes

    copies = find_copies(photos())
    rejected = output.rejected.read("label", "reason")
    counts.update(rejected["label"].to_pylist())
    reasons = Counter(rejected["reason"].to_pylist())
    first = {label: sorted(examples[label], key=natural_key) for label in sorted(examples)}
    return Contents(dict(sorted(counts.items())), dict(reasons.most_common()), first, copies)


def read_points(output: Output) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Labels and first two components (n, 2) of at most `MOST_POINTS` photos, evenly chosen."""
    step = max(1, -(-output.components.rows // MOST_POINTS))
    labels, rows, seen = list[str](), list[list[float]](), 0
    for file in output.components.files:
        for batch in parquet.batches(output.store, file.key, ["label", "components"], 4096):
            for row in range(-seen % step, batch.num_rows, step):
                labels.append(batch["label"][row].as_py())
                rows.append([*batch["components"][row].values[:2].to_pylist(), 0.0][:2])  # 0 where one was kept
            seen += batch.num_rows
    return labels, np.array(rows, np.float32).reshape(-1, 2)


def read_thumbnails(source: PhotoReader, examples: Mapping[str, Sequence[str]]) -> dict[str, dict[str, bytes]]:
    """JPEGs by path of a few labels, evenly chosen; where the storage fails, those read until then."""
    labels, shown = list(examples), min(SHEET_LABELS, len(examples))
    chosen = [labels[number * len(labels) // shown] for number in range(shown)]
    jpegs = read_jpegs(source, [path for label in chosen for path in examples[label]])
    sheet = {label: {path: jpegs[path] for path in examples[label] if path in jpegs} for label in chosen}
    return {label: photos for label, photos in sheet.items() if photos}


def read_jpegs(source: PhotoReader, paths: Iterable[str]) -> dict[str, bytes]:
    """Thumbnails by path, those of photos that can be read; where the storage fails, those read until then."""
    jpegs = dict[str, bytes]()
    for path in paths:
        try:
            small, jpeg = thumbnail(source.read(path), 2 * SHEET_PIXELS), io.BytesIO()
        except (InputError, PhotoError) as error:
            if isinstance(error, PhotoError) and error.reason != "unavailable":
                continue
            break  # every further read would wait for its timeout too
        small.save(jpeg, "JPEG", quality=80)
        jpegs[path] = jpeg.getvalue()
    return jpegs
