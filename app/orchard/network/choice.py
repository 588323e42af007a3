"""What `--backbone` names: a known backbone, or a baked folder with weights of the user's own."""

import os

from orchard.errors import UsageError, WeightsError
from orchard.network.backbone import Backbone
from orchard.network.backbones import BACKBONES, get_backbone
from orchard.network.weights import MANIFEST, BakedWeights, check_weights, find_weights, read_manifest

_NEXT_STEP = "name a folder that `orchard finetune` or `orchard weights --output` made, or a known backbone"


def choose_backbone(named: str, weights: str | None = None) -> tuple[Backbone, BakedWeights]:
    """A backbone and its checked weights.

    Args:
        named: a known name, whose weights are found as `find_weights` does; or the path of a baked folder, which has a
            separator in it or exists.
        weights: a baked folder, for names only.

    Raises:
        UsageError: neither a known name nor a path; or weights for a folder, which has its own.
        WeightsError: no usable weights.
    """
    if not is_folder(named):
        backbone = get_backbone(named)
        return backbone, find_weights(backbone, weights)
    if weights is not None:
        raise UsageError(f"--backbone {named}: is a folder with its own weights: leave out --weights")
    backbone = folder_backbone(named)
    return backbone, check_weights(backbone, named, _NEXT_STEP)


def is_folder(named: str) -> bool:
    """Whether it is a path, not a name; a known name is one, whatever folders there are."""
    return named not in BACKBONES and (os.sep in named or os.path.isdir(named))


def folder_backbone(folder: str) -> Backbone:
    """The backbone whose architecture a baked folder has; `WeightsError` where it says none that is known."""
    if "://" in folder:
        raise WeightsError(f"--backbone {folder}: is no folder of this machine: copy it here, and name the copy")
    name = read_manifest(folder, _NEXT_STEP).get("backbone")
    if not isinstance(name, str) or name not in BACKBONES:
        path = os.path.join(folder, MANIFEST)
        raise WeightsError(f"{path}: its backbone is {name!r}, which this version does not know; {_NEXT_STEP}")
    return BACKBONES[name]
