"""What a killed fine-tuning continues from: one file, replaced as a whole at the end of each epoch."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchard.storage.stores import LocalStore

Arrays = Mapping[str, npt.NDArray[Any]]
Curve = list[dict[str, Any]]


@dataclass(frozen=True)
class State:
    """Where training is: `curve` has an entry for the parent and each epoch, `best` the arrays of the best epoch.

    Random numbers depend on the seed and the number of the epoch only, and need no state.
    """

    curve: Curve
    arrays: Arrays
    best: Arrays


def state_name(key: str) -> str:
    """The file's name: of what `key` says, so that a call with other options leaves the epochs of this one alone."""
    return f"state-{key[:12]}.npz"


def save_state(store: LocalStore, key: str, state: State) -> None:
    """Replace the file of what `key` says; `OutputError` where it cannot be written."""
    arrays: dict[str, Any] = {f"now {name}": array for name, array in state.arrays.items()}
    arrays |= {f"best {name}": array for name, array in state.best.items()}
    facts = json.dumps({"key": key, "curve": state.curve})
    np.savez(buffer := io.BytesIO(), **arrays, facts=np.array(facts))
    store.write(state_name(key), buffer.getvalue())


def load_state(store: LocalStore, key: str) -> State | None:
    """The state of what `key` says; None where there is none, or a damaged one."""
    if state_name(key) not in store.names():
        return None
    try:
        with np.load(io.BytesIO(store.read(state_name(key))), allow_pickle=False) as file:
            facts = json.loads(str(file["facts"]))
            if facts["key"] != key:
                return None
            return State(facts["curve"], _named(file, "now "), _named(file, "best "))
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _named(file: Any, prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}
