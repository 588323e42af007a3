"""The photos that an export calibrates with and measures on: which, and their pixels."""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from orchard.classifier.inputs import HELD_OUT, is_trained_on, open_features, photos_uri, read_photos
from orchard.classifier.labels import rule_of
from orchard.classifier.saved import Saved, read_training
from orchard.errors import InputError, OutputError, PhotoError, UsageError
from orchard.photos.decoding import Pixels, decode
from orchard.photos.photo import natural_key
from orchard.photos.source import open_source

CALIBRATED, MEASURED = 300, 500  # photos: more change the 8-bit model and the figures little


@dataclass(frozen=True)
class PhotoSet:
    """Photos at one location: paths below `uri`, and the class of each, None where it is not known.

    Errors call the location by `flag`.
    """

    uri: str
    paths: tuple[str, ...]
    classes: tuple[str | None, ...]
    flag: str = "--photos"

    def evenly(self, count: int) -> "PhotoSet":
        """At most `count` of them, as many of each class as there are, spread over the class."""
        rows = evenly(self.classes, count)
        paths, classes = tuple(self.paths[row] for row in rows), tuple(self.classes[row] for row in rows)
        return replace(self, paths=paths, classes=classes)

    def read(self, size: tuple[int, int]) -> tuple[Pixels, list[str | None]]:
        """Pixels uint8 (n, height, width, 3) and classes of those that can be decoded; `size` is (width, height).

        Raises:
            InputError: none can, or the storage cannot be reached.
            UsageError: the location is of a kind that no photos can be read from.
        """
        with _named(self.flag):
            return self._read(size)

    def _read(self, size: tuple[int, int]) -> tuple[Pixels, list[str | None]]:
        source, failed = open_source(self.uri, patient=False), list[PhotoError]()

        def load(path: str) -> Pixels | None:
            try:
                return decode(source.read(path), size)
            except PhotoError as error:
                failed.append(error)
                return None

        with ThreadPoolExecutor(source.readers) as pool:
            pixels = [*pool.map(load, self.paths)]
        kept = [(one, name) for one, name in zip(pixels, self.classes, strict=True) if one is not None]
        if not kept:
            what = f"none of {len(self.paths):,} photos can be read ({failed[0]})" if failed else "no photos there"
            raise InputError(
                f"--input {self.uri}: {what}: name a folder of photos, one sub-folder a label, by --photos"
            )
        return np.stack([one for one, _ in kept]), [name for _, name in kept]


@contextmanager
def _named(flag: str) -> Iterator[None]:
    """Errors of a source of photos call it --input, as of a run: call it by the flag that it was given with."""
    try:
        yield
    except (InputError, UsageError) as exc:
        raise type(exc)(re.sub("^--input", flag, str(exc))) from exc


def evenly(groups: Sequence[Hashable], count: int) -> list[int]:
    """At most `count` row numbers, in order: of each group as many, if it has them, evenly spaced."""
    rows = defaultdict[Hashable, list[int]](list)
    for row, group in enumerate(groups):
        rows[group].append(row)
    chosen, left = list[int](), min(count, len(groups))
    for number, members in enumerate(sorted(rows.values(), key=len)):
        share = min(len(members), left // (len(rows) - number))
        chosen += [members[(2 * place + 1) * len(members) // (2 * share)] for place in range(share)]
        left -= share
    return sorted(chosen)


def choose(saved: Saved, uri: str | None) -> tuple[PhotoSet, PhotoSet]:
    """Photos to calibrate with, and other ones to measure on, not read yet.

    They are every other one of the folder `uri`; by default photos of the training, and those that were held out or
    that were tested on, if there are such.

    Raises:
        InputError, UsageError: the folder does not exist, or where the photos were is not recorded.
    """
    return _in_folder(saved, uri) if uri else _of_training(saved)


def _in_folder(saved: Saved, uri: str) -> tuple[PhotoSet, PhotoSet]:
    with _named("--photos"):
        listed = open_source(uri).list().photos
    class_of = _class_of(saved)
    photos = sorted(listed, key=lambda photo: (photo.label, natural_key(photo.path)))
    halves = photos[::2], photos[1::2] or photos
    return _thinned(*(PhotoSet(uri, tuple(p.path for p in h), tuple(class_of(p.label) for p in h)) for h in halves))


def _of_training(saved: Saved) -> tuple[PhotoSet, PhotoSet]:
    training = saved.facts["training"]
    if not training.get("input"):
        raise InputError(f"classifier {saved.store.uri}: does not say where its photos were: name some with --photos")
    table = read_training(saved)
    folds = table.column("fold").to_numpy()
    rows = [*zip(*(table.column(name).to_pylist() for name in ("path", "label")), strict=True)]
    trained, held_out = (
        _photo_set(saved, training["input"], [row for row, keep in zip(rows, kept.tolist(), strict=True) if keep])
        for kept in (is_trained_on(folds), folds == HELD_OUT)
    )
    return _thinned(trained, _tested(saved, training) or (held_out if held_out.paths else trained))


def _tested(saved: Saved, training: Mapping[str, Any]) -> PhotoSet | None:
    """The photos of --test; None if there are none, or where they were is not known any more."""
    if not training.get("test"):
        return None
    try:
        output = open_features("--test", training["test"])
        photos, uri = read_photos(output), photos_uri(output)
    except (InputError, OutputError):
        return None
    return _photo_set(saved, uri, [*zip(photos.paths, photos.labels, strict=True)]) if uri else None


def _photo_set(saved: Saved, uri: str, rows: Sequence[tuple[str, str]]) -> PhotoSet:
    class_of = _class_of(saved)
    ordered = sorted(rows, key=lambda row: (row[1], natural_key(row[0])))
    paths, classes = tuple(path for path, _ in ordered), tuple(class_of(label) for _, label in ordered)
    return PhotoSet(uri, paths, classes, f"classifier {saved.store.uri}: its photos in")


def _thinned(calibrated: PhotoSet, measured: PhotoSet) -> tuple[PhotoSet, PhotoSet]:
    return calibrated.evenly(CALIBRATED), measured.evenly(MEASURED)


def _class_of(saved: Saved) -> Any:
    """A function from a label to its class; None for what the classifier does not tell."""
    rule = rule_of(saved.facts, saved.store.uri)

    def class_of(label: str) -> str | None:
        name = rule.class_of(label)
        return name if name in saved.model.classes else None

    return class_of
