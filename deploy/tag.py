"""The tag of an image: a name for its content, the same wherever and whenever it is computed.

It is `<release>-<12 hex>` over everything that is baked in. Modes, times, owners, order, the folder the tree lies in
and git's state do not enter; file names relative to the tree and their bytes do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchard.network.fingerprints import fingerprints

from deploy.errors import SpecError
from deploy.spec import Spec

FILES = ("Dockerfile", ".dockerignore", "LICENSE", "pyproject.toml")
FOLDERS = ("app", "image")
# Made by Python and by editors, never baked.
_IGNORED_FOLDERS, _IGNORED_SUFFIXES = {"__pycache__"}, {".pyc", ".pyo", ".swp", ".orig", ".rej"}


@dataclass(frozen=True)
class Ingredient:
    """One thing that is baked in: its name, and the SHA-256 of its bytes (of a value's UTF-8 text)."""

    name: str
    sha256: str


def ingredients(tree: Path, spec: Spec) -> list[Ingredient]:
    """Everything that goes into the tag, in order of name.

    Args:
        tree: the folder that holds the Dockerfile.

    Raises:
        SpecError: the tree lacks a part.
    """
    values = {
        "architecture": spec.architecture,
        "base image": spec.base_image,
        **{f"weights of {name}": fingerprints(name) for name in spec.backbones},
    }
    found = [Ingredient(name, _hash(value.encode())) for name, value in values.items()]
    try:
        found += [Ingredient(name, _hash((tree / name).read_bytes())) for name in _names(tree)]
    except OSError as exc:
        raise SpecError(
            f"{exc.filename}: {exc.strerror}: call from Orchard's source tree, or name it with --tree"
        ) from exc
    return sorted(found, key=lambda ingredient: ingredient.name)


def image_tag(release_label: str, found: list[Ingredient]) -> str:
    """The tag of an image made of these ingredients."""
    digest = hashlib.sha256()
    for ingredient in found:
        digest.update(f"{ingredient.name}\0{ingredient.sha256}\n".encode())
    return f"{release_label}-{digest.hexdigest()[:12]}"


def image_name(tree: Path, spec: Spec) -> str:
    """Repository and tag of the image of a source tree."""
    return f"{spec.repository}:{image_tag(spec.release_label, ingredients(tree, spec))}"


def _names(tree: Path) -> Iterator[str]:
    yield from FILES
    for folder in FOLDERS:
        if not (tree / folder).is_dir():
            raise FileNotFoundError(2, "no such folder", str(tree / folder))
        for path in (tree / folder).rglob("*"):
            if path.is_file() and not _is_ignored(path.relative_to(tree)):
                yield path.relative_to(tree).as_posix()


def _is_ignored(path: Path) -> bool:
    return (
        bool(_IGNORED_FOLDERS & set(path.parts))
        or path.suffix in _IGNORED_SUFFIXES
        or any(part.startswith(".") for part in path.parts)
    )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
