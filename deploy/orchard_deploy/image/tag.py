"""The tag of an image, a name for its content, the same wherever and whenever it is computed; and its revision.

It is `<release>-<12 hex>` over everything that is baked in. Modes, times, owners, order, the folder the tree lies in
and git's state do not enter; file names relative to the tree and their bytes do.
"""

import hashlib
import re
import subprocess
from pathlib import Path

from orchard.network.fingerprints import fingerprints

from orchard_deploy.errors import SpecError
from orchard_deploy.spec import Spec

FILES = ("Dockerfile", ".dockerignore", "LICENSE", "pyproject.toml")
FOLDERS = ("app", "image")
# Made by Python, editors and systems, never baked.
_IGNORED = re.compile(r"(^|/)(\.|__pycache__/)|\.pyc$")


def ingredients(tree: Path, spec: Spec) -> dict[str, str]:
    """Name and SHA-256 of all that goes into the tag, in order of name; `SpecError` where the tree lacks a part."""
    contents = {f"weights of {name}": fingerprints(name).encode() for name in spec.backbones}
    contents |= {"architecture": spec.architecture.encode(), "base image": spec.base_image.encode()}
    paths = [path for folder in FOLDERS for path in (tree / folder).rglob("*") if path.is_file()]
    names = [name for path in paths if not _IGNORED.search(name := path.relative_to(tree).as_posix())]
    try:
        contents |= {name: (tree / name).read_bytes() for name in (*FILES, *names)}
    except OSError as exc:
        raise SpecError(f"{exc.filename}: {exc.strerror}: call from the source tree, or name it with --tree") from exc
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}


def image_tag(tree: Path, spec: Spec) -> str:
    """The tag of a source tree's image."""
    text = "".join(f"{name}\0{sha256}\n" for name, sha256 in ingredients(tree, spec).items())
    return f"{spec.release_label}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def image_name(tree: Path, spec: Spec) -> str:
    """Repository and tag of a source tree's image."""
    return f"{spec.repository}:{image_tag(tree, spec)}"


def find_revision(tree: Path) -> tuple[str, int]:
    """The last commit to what is baked, `-dirty` if that has changed since, and its time; without git `unknown`, 0."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(tree), *words, "--", *FILES, *FOLDERS]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    try:
        commit, time = git("log", "-1", "--format=%H %ct").split()
        return commit + ("-dirty" if git("status", "--porcelain") else ""), int(time)
    except (OSError, ValueError, subprocess.SubprocessError):  # ValueError: no commit has it
        return "unknown", 0
