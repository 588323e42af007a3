"""The registry: what every backbone must have."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from orchard.errors import UsageError
from orchard.network.backbone import Address, Backbone
from orchard.network.backbones import BACKBONES, MOBILENET_V2, get_backbone
from orchard.options import JobOptions

KNOWN = ["mobilenet_v2", *(f"efficientnet_lite{number}" for number in range(3))]
BY_NAME = ["xception", "efficientnet_b0", "efficientnet_v2_b0", "mobilenet_v3_large", "resnet50", "convnext_tiny"]


def test_get_backbone() -> None:
    assert get_backbone("mobilenet_v2") is MOBILENET_V2
    with pytest.raises(UsageError, match="mobilenet_v2"):
        get_backbone("vgg")


def test_names() -> None:
    assert {*KNOWN, *BY_NAME} <= set(BACKBONES)
    assert next(iter(BACKBONES)) == JobOptions(input="a", output="b").backbone == MOBILENET_V2.name


def test_fingerprints_of_those_whose_weights_were_seen() -> None:
    seen = [backbone.fingerprint for backbone in BACKBONES.values() if backbone.fingerprint]
    assert {BACKBONES[name].fingerprint for name in KNOWN} <= set(seen)
    assert len(set(seen)) == len(seen)
    assert not any(BACKBONES[name].fingerprint for name in BY_NAME)


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_without_a_fingerprint_every_source_has_a_digest(backbone: Backbone) -> None:
    addresses = [source for source in backbone.sources if isinstance(source, Address)]
    assert backbone.sources
    assert backbone.fingerprint or all(address.digest for address in addresses)


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_a_task_can_carry_it(backbone: Backbone) -> None:
    assert pickle.loads(pickle.dumps(backbone)) == backbone


def test_launchers_need_neither_numpy_nor_tensorflow() -> None:
    code = "import sys, orchard.network.backbones; print({'numpy', 'tensorflow', 'keras'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
