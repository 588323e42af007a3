"""What --backbone names: names and folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from orchard.errors import UsageError, WeightsError
from orchard.network.backbones import BACKBONES, MOBILENET_V2
from orchard.network.choice import choose_backbone, is_folder

from tests.network.baked import write_baked

LITE = BACKBONES["efficientnet_lite0"]


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    """A folder as fine-tuning makes it, as far as hashes go."""
    return write_baked(tmp_path / "tuned", LITE, fingerprint="f" * 64, lineage={"parent": LITE.name})


def test_choose_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for backbone in (MOBILENET_V2, LITE):
        write_baked(tmp_path / "all" / backbone.name, backbone)
    backbone, baked = choose_backbone(LITE.name, str(tmp_path / "all"))
    assert (backbone, baked.folder, baked.lineage) == (LITE, str(tmp_path / "all" / LITE.name), None)
    monkeypatch.setenv("ORCHARD_WEIGHTS", str(tmp_path / "all"))
    assert choose_backbone(MOBILENET_V2.name)[1].fingerprint == MOBILENET_V2.fingerprint


def test_choose_by_folder(tuned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHARD_WEIGHTS", "/elsewhere")  # for names only
    monkeypatch.chdir(tuned.parent)
    for named in (str(tuned), "tuned", "./tuned", "tuned/"):
        backbone, baked = choose_backbone(named)
        assert (backbone, baked.folder) == (LITE, str(tuned))
        assert (baked.fingerprint, baked.lineage) == ("f" * 64, {"parent": LITE.name})


def test_a_known_name_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / LITE.name).mkdir()
    assert not is_folder(LITE.name)
    assert is_folder(f"./{LITE.name}")
    assert not is_folder("vgg")


@pytest.mark.parametrize("named", ["vgg", ""])
def test_choose_refuses_unknown_names(named: str) -> None:
    with pytest.raises(UsageError, match="efficientnet_lite0"):
        choose_backbone(named)


def test_choose_refuses_weights_for_a_folder(tuned: Path) -> None:
    with pytest.raises(UsageError, match="--weights"):
        choose_backbone(str(tuned), str(tuned))


def test_choose_refuses_folders_in_one_line(tuned: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    write_baked(tmp_path / "other", LITE, backbone="vgg")
    write_baked(tmp_path / "list", LITE, backbone=["a"])
    write_baked(tmp_path / "text", LITE, lineage="a")
    (tuned / LITE.tflite_file).write_bytes(b"damaged")
    for named in ("nowhere/", "empty", "file/", "other", "list", "text", "tuned", "s3://fruit/tuned"):
        with pytest.raises(WeightsError) as caught:
            choose_backbone(named if ":" in named else f"{tmp_path}/{named}")
        assert "\n" not in str(caught.value)
        assert "--weights" not in str(caught.value)  # which does not go with a folder


def test_a_folder_of_others_says_which(tmp_path: Path) -> None:
    write_baked(tmp_path / "all" / LITE.name, LITE)
    with pytest.raises(WeightsError, match=f"{LITE.name}.*--backbone {MOBILENET_V2.name}"):
        choose_backbone(MOBILENET_V2.name, str(tmp_path / "all"))


def test_weights_of_another_backbone_are_refused(tuned: Path) -> None:
    with pytest.raises(WeightsError, match=r"efficientnet_lite0.*mobilenet_v2"):
        choose_backbone(MOBILENET_V2.name, str(tuned))
