"""Where networks are cut."""

from __future__ import annotations

import pytest
from orchard.errors import UsageError
from orchard.network.backbones import BACKBONES, MOBILENET_V2
from orchard.network.runtimes import make_keras_model
from orchard.network.tuning.blocks import block_names, cut_before

from tests.finetune.tiny import TINY


def test_blocks_of_the_tiny_network() -> None:
    model = make_keras_model(TINY)
    assert block_names(model) == ["block_1", "block_2"]
    assert [cut_before(model, blocks).name for blocks in (1, 2)] == ["block_1_relu", "stem_relu"]


@pytest.mark.parametrize("blocks", [0, 3])
def test_blocks_that_there_are_not(blocks: int) -> None:
    with pytest.raises(UsageError, match="from 1 to 2"):
        cut_before(make_keras_model(TINY), blocks)


def test_blocks_of_mobilenet_v2() -> None:
    model = make_keras_model(MOBILENET_V2)
    assert len(block_names(model)) == 17
    cuts = [cut_before(model, blocks).name for blocks in (1, 3, 17)]
    assert cuts == ["block_15_add", "block_13_project_BN", "Conv1_relu"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Keras' own deprecations
@pytest.mark.parametrize(
    ("name", "count", "cut"),
    [
        ("efficientnet_lite0", 16, "blocks.12.add"),
        ("xception", 14, "add_9"),
        ("efficientnet_b0", 16, "block6b_add"),
        ("efficientnet_v2_b0", 21, "block6e_add"),
        ("mobilenet_v3_large", 15, "expanded_conv_11_add"),
        ("resnet50", 16, "conv4_block6_out"),
        ("convnext_tiny", 18, "convnext_tiny_downsampling_block_2"),
    ],
)
def test_blocks_of_the_others(name: str, count: int, cut: str) -> None:
    model = make_keras_model(BACKBONES[name])
    found = cut_before(model, 3).name
    assert (len(block_names(model)), found.rstrip("0123456789")) == (count, cut.rstrip("0123456789"))
