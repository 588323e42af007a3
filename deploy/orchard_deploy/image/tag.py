"""The tag of an image: a name for its content, the same wherever and whenever it is computed.

It is `<release>-<12 hex>` over everything that is baked in. Modes, times, owners, order, the folder the tree lies in
and git's state do not enter; file names relative to the tree and their bytes do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchard.network.fingerprints import fingerprints

from orchard_deploy.errors import SpecError
from orchard_deploy.spec import Spec

FILES = ("Dockerfile", ".dockerignore", "LICENSE", "pyproject.toml")
FOLDERS = ("app", "image")
# Made by Python, editors and systems, never baked.
_IGNORED = re.compile(r"(^|/)(\.|__pycache__/)|\.pyc$")


def ingredients(tree: Path, spec: Spec) -> dict[str, str]:
    """Everything that goes into the tag: name and SHA-256 of its bytes, or of a value's UTF-8 text, in order of name.

    Raises:
        SpecError: the tree lacks a part.
    """
    values = {"architecture": spec.architecture, "base image": spec.base_image}
    values |= {f"weights of {name}": fingerprints(name) for name in spec.backbones}
    contents = {name: value.encode() for name, value in values.items()}
    try:
        contents |= {name: (tree / name).read_bytes() for name in (*FILES, *_names(tree))}
    except OSError as exc:
        raise SpecError(f"{exc.filename}: {exc.strerror}: call from the source tree, or name it with --tree") from exc
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}


def image_tag(release_label: str, found: Mapping[str, str]) -> str:
    """The tag of an image made of these ingredients."""
    text = "".join(f"{name}\0{sha256}\n" for name, sha256 in found.items())
    return f"{release_label}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def image_name(tree: Path, spec: Spec) -> str:
    """Repository and tag of the image of a source tree."""
    return f"{spec.repository}:{image_tag(spec.release_label, ingredients(tree, spec))}"


def _names(tree: Path) -> Iterator[str]:
    for folder in FOLDERS:
        for path in (tree / folder).rglob("*"):
            name = path.relative_to(tree).as_posix()
            if path.is_file() and not _IGNORED.search(name):
                yield name
