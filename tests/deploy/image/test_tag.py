"""The tag: a function of the baked content and of nothing else."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from orchard_deploy.errors import SpecError
from orchard_deploy.image.tag import FILES, FOLDERS, image_tag
from orchard_deploy.spec import Spec

from tests.deploy.conftest import ROOT


def copy_of(tree: Path, target: Path) -> Path:
    target.mkdir(parents=True)
    for name in (*FILES, *FOLDERS, "deploy", "tests", "docs", "README.md"):
        if (tree / name).is_dir():
            shutil.copytree(tree / name, target / name)
        else:
            shutil.copyfile(tree / name, target / name)
    return target


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return copy_of(ROOT, tmp_path / "one place" / "tree")


def test_the_tag_is_the_release_and_twelve_hex_digits(spec: Spec) -> None:
    assert re.fullmatch(r"emr-7\.13\.0-[0-9a-f]{12}", image_tag(ROOT, spec))


def test_another_folder_other_times_modes_and_order_give_the_same_tag(tree: Path, tmp_path: Path, spec: Spec) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(tree.rglob("*"), reverse=True):  # another order of making, so another order of listing
        target = other / path.relative_to(tree)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            os.utime(target, (1, 1))
            target.chmod(0o600 if len(path.name) % 2 else 0o755)
    assert image_tag(other, spec) == image_tag(tree, spec) == image_tag(ROOT, spec)


@pytest.mark.parametrize(
    "name",
    [
        *FILES,
        "app/orchard/options.py",
        "app/orchard/spark/log4j2.properties",
        "image/requirements.txt",
        "image/main.py",
    ],
)
def test_touching_anything_baked_changes_the_tag(tree: Path, spec: Spec, name: str) -> None:
    before = image_tag(tree, spec)
    with open(tree / name, "ab") as stream:
        stream.write(b"\n")
    assert image_tag(tree, spec) != before


def test_a_new_a_renamed_and_a_removed_file_change_the_tag(tree: Path, spec: Spec) -> None:
    seen = {image_tag(tree, spec)}
    (tree / "app" / "new.py").write_bytes(b"")
    seen.add(image_tag(tree, spec))
    (tree / "app" / "new.py").rename(tree / "app" / "newer.py")
    seen.add(image_tag(tree, spec))
    (tree / "app" / "newer.py").unlink()
    (tree / "app" / "orchard" / "errors.py").unlink()
    seen.add(image_tag(tree, spec))
    assert len(seen) == 4


def test_bytes_cannot_move_from_one_file_to_the_next_unnoticed(tree: Path, spec: Spec) -> None:
    (tree / "app" / "aa.py").write_bytes(b"xy")
    (tree / "app" / "ab.py").write_bytes(b"")
    before = image_tag(tree, spec)
    (tree / "app" / "aa.py").write_bytes(b"x")
    (tree / "app" / "ab.py").write_bytes(b"y")
    assert image_tag(tree, spec) != before


@pytest.mark.parametrize(
    "name", ["tests/test_new.py", "docs/page.md", "README.md", "deploy/tag.py", ".git/HEAD", "app/__pycache__/x.pyc"]
)
def test_touching_anything_else_leaves_it(tree: Path, spec: Spec, name: str) -> None:
    before = image_tag(tree, spec)
    (tree / name).parent.mkdir(exist_ok=True)
    with open(tree / name, "ab") as stream:
        stream.write(b"#\n")
    assert image_tag(tree, spec) == before


def test_base_image_and_architecture_are_part_of_it(tree: Path, spec: Spec) -> None:
    others = [
        replace(spec, base="pinned@sha256:0"),
        replace(spec, architecture="ARM64"),
        replace(spec, release_label="emr-7.14.0"),
    ]
    assert len({image_tag(tree, spec), *(image_tag(tree, other) for other in others)}) == 4
    assert image_tag(tree, replace(spec, executors=7, arguments=("--varieties", "5"))) == image_tag(tree, spec)


def test_backbones_are_part_of_it(tree: Path, spec: Spec) -> None:
    lists = [("mobilenet_v2",), ("efficientnet_lite0",), ("mobilenet_v2", "efficientnet_lite0"), ("resnet50",)]
    assert len({image_tag(tree, replace(spec, backbones=names)) for names in lists}) == len(lists)
    assert image_tag(tree, replace(spec, backbones=lists[2])) == image_tag(
        tree, replace(spec, backbones=lists[2][::-1])
    )
    assert image_tag(tree, replace(spec, backbones=lists[0])) == image_tag(tree, spec)


def test_a_tree_without_a_dockerfile_is_refused_with_the_file_named(tree: Path, spec: Spec) -> None:
    (tree / "Dockerfile").unlink()
    with pytest.raises(SpecError, match=r"Dockerfile: No such file.*--tree"):
        image_tag(tree, spec)
