"""What features are made with, and whether a classifier of some features may be given others."""

from collections.abc import Mapping

from orchard.errors import InputError

# The runtime is not among them: only rounding depends on it.
DECISIVE = "backbone", "fingerprint", "decoding"
# Neither former tables nor former classifiers name it: it followed from the backbone.
_IMPLIED = "preprocessing"


def check_same(settings: Mapping[str, str], others: Mapping[str, str], what: str, than: str) -> None:
    """Raise `InputError`, "`what`: … is …, but `than` …", where features of one could not do for those of the other."""
    for name in (*DECISIVE, _IMPLIED):
        now, other = settings.get(name), others.get(name)
        if now != other and not (name == _IMPLIED and None in (now, other)):
            raise InputError(f"{what}: {name} is {now}, but {than} {other}: use the same, or train again")
