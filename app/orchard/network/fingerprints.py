"""The fingerprints of backbones in one line, as the build of the image is given them. Standard library only.

python -m orchard.network.fingerprints NAMES [FINGERPRINTS]    prints them, or compares; each is one word of text
"""

import sys

from orchard.errors import OrchardError, UsageError, WeightsError
from orchard.network.backbones import get_backbone

# Of a backbone whose weights nobody here has seen: the hash of the published file vouches.
PUBLISHED = "published"


def fingerprints(names: str) -> str:
    """The fingerprints of backbones, both separated by spaces, in order; `UsageError` for an unknown name, or none."""
    if not names.split():
        raise UsageError("no backbone is named: name mobilenet_v2 for one")
    return " ".join(get_backbone(name).fingerprint or PUBLISHED for name in names.split())


def check_fingerprints(names: str, expected: str) -> None:
    """Raise `WeightsError` where others than the code's are expected; an empty text expects none."""
    if expected.split() and expected.split() != (found := fingerprints(names)).split():
        raise WeightsError(f"{names}: fingerprints of {expected} are expected, this version of Orchard has {found}")


if __name__ == "__main__":
    try:
        check_fingerprints(sys.argv[1], *sys.argv[2:] or [""])
        print(fingerprints(sys.argv[1]))
    except OrchardError as error:
        sys.exit(f"orchard: error: {error}")
