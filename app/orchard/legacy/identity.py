"""Which run it is: everything that its result depends on but the photos themselves, and how two runs differ in that."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import Any

from orchard.errors import UsageError
from orchard.legacy.ledger import Identity
from orchard.legacy.plan import Plan
from orchard.photos.source import local_path
from orchard.report.facts import versions
from orchard.storage.objects import is_object_uri

_OPTIONS = ("varieties", "per_variety", "partitions", "components", "backbone", "runtime")
# Names that are not an option's, in words; all others stand for themselves.
_WORDS = {
    "weights": "weights with fingerprint",
    "files": "baked weights with SHA-256",
    "extends": "to extend an output with manifest",
}
_FLAGS = ("input", *_OPTIONS, "variance", "since_last", "refit")
# What the features of one output have in common, and what a model was asked for.
FEATURES = ("input", "varieties", "per_variety", "backbone", "runtime", "weights", "decoder")
MODEL = ("components", "variance")


def identify(plan: Plan, extends: str | None) -> dict[str, Any]:
    """The identity of a run; `extends` is the SHA-256 of the manifest of the output that it extends."""
    options = plan.options
    installed = versions(options.runtime)
    files = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(plan.weights.files.items()))
    return {
        "input": options.input.rstrip("/")
        if is_object_uri(options.input)
        else os.path.realpath(local_path(options.input)),
        **{name: getattr(options, name) for name in _OPTIONS},
        "variance": None if options.components else options.variance,
        # Where there is nothing to extend, a run is like any other.
        "since_last": extends is not None,
        "refit": extends is not None and options.refit,
        "extends": extends,
        "weights": plan.weights.fingerprint,
        "files": hashlib.sha256(files.encode()).hexdigest(),
        # Its major releases resize differently, by up to 0.1 in a feature; what else changes between releases is rounding.
        "decoder": f"Pillow {installed['pillow'].split('.')[0]}",
        **installed,
    }


def check_same(identity: Identity, earlier: Identity, what: str, names: Iterable[str] | None = None) -> None:
    """Raise `UsageError` that names the first difference between a run and the `earlier` one, `what`, that it is to go on with.

    Args:
        names: those that count; by default all.
    """
    for name in names or [*_FLAGS, *sorted({*identity, *earlier} - {*_FLAGS})]:
        now, then = identity.get(name), earlier.get(name)
        if now != then:
            word = "--" + name.replace("_", "-") if name in _FLAGS else _WORDS.get(name, name)
            remedy = "give it the same, or start again with --overwrite"
            raise UsageError(f"{what} has {word} {_said(then)}, this one {_said(now)}: {remedy}")


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "given" if value else "not given"
    return "unset" if value is None else str(value)
