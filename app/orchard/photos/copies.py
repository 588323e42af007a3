"""Photos with the same bytes, found by their SHA-256 in some 60 bytes of memory a photo. Pure."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Pairs of folders that are kept; and how many folders of one content are paired: a blank photo in each of 10,000
# folders would make 50 million pairs.
MAX_PAIRS, MAX_FOLDERS = 20, 64
_TRAINING, _TEST = {"train", "training"}, {"test", "val", "valid", "validation"}


@dataclass(frozen=True)
class SharedFolders:
    """Two folders, by their paths relative to the input, and how many different contents occur in both."""

    first: str
    second: str
    photos: int


@dataclass(frozen=True)
class Copies:
    """Photos whose bytes occur more than once."""

    exact: int  # photos whose bytes occur earlier
    across_splits: int  # photos below a folder of test or validation whose bytes also occur below one of training
    folders: list[SharedFolders]  # the pairs of folders that share most, at most `MAX_PAIRS`
    pairs: int  # number of all pairs of folders that share some


def find_copies(batches: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Copies:
    """Find the copies among photos, given batch by batch as their paths and their SHA-256 in hexadecimal."""
    known: dict[str, int] = {}
    keys, folders = [np.zeros(0, "S16")], [np.zeros(0, np.int32)]
    for paths, hashes in batches:
        keys.append(short_keys(hashes))
        numbers = (known.setdefault(path.rpartition("/")[0], len(known)) for path in paths)
        folders.append(np.fromiter(numbers, np.int32, len(paths)))
    names, splits = list(known), [_split(name) for name in known]
    exact, across, pairs = 0, 0, Counter[tuple[str, str]]()
    for group in _repeated(np.concatenate(keys), np.concatenate(folders)):
        exact += len(group) - 1
        if any(splits[folder] is _TRAINING for folder in group):
            across += sum(splits[folder] is _TEST for folder in group)
        pairs.update(itertools.combinations(sorted(names[folder] for folder in set(group))[:MAX_FOLDERS], 2))
    most = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:MAX_PAIRS]
    return Copies(exact, across, [SharedFolders(*pair, count) for pair, count in most], len(pairs))


def short_keys(hashes: Sequence[str]) -> npt.NDArray[np.bytes_]:
    """A key of 16 bytes for each SHA-256 in hexadecimal, (n,)."""
    # Half of a hash is enough: two of 10^9 photos would share one by chance once in 10^20 runs.
    return np.frombuffer(bytes.fromhex("".join(text[:32] for text in hashes)), "S16")


def _repeated(keys: np.ndarray, values: np.ndarray) -> Iterable[list[int]]:
    """The values of each key that occurs repeatedly."""
    order = np.argsort(keys).astype(np.int32)
    keys, values = keys[order], values[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
    for index in np.flatnonzero(np.diff(starts) > 1):
        yield values[starts[index] : starts[index + 1]].tolist()


def _split(folder: str) -> set[str] | None:
    """The names of the split that a folder is in, by the first part of its path that is one of them."""
    parts = folder.lower().split("/")
    return next((split for part in parts for split in (_TRAINING, _TEST) if part in split), None)
