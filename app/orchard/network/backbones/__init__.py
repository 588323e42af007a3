"""The known backbones: every module here has a tuple `BACKBONES`, and is found by being here."""

import importlib
import pkgutil

from orchard.errors import UsageError
from orchard.network.backbone import Backbone
from orchard.network.backbones.mobilenet_v2 import MOBILENET_V2

__all__ = ["BACKBONES", "MOBILENET_V2", "Backbone", "get_backbone"]


def _find() -> list[Backbone]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [backbone for module in modules for backbone in module.BACKBONES]


# By name; the default comes first.
BACKBONES = {backbone.name: backbone for backbone in (MOBILENET_V2, *_find())}


def get_backbone(name: str) -> Backbone:
    """Look a backbone up by name; `UsageError` names the known ones."""
    if name not in BACKBONES:
        raise UsageError(f"unknown backbone {name!r}: known ones are {', '.join(BACKBONES)}; a path is a baked folder")
    return BACKBONES[name]
