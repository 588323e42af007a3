"""Fixtures for every kind of test: a clean environment, real baked weights, the shared photos where there are any."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from orchard.network.backbones import MOBILENET_V2, Backbone
from orchard.network.weights import BakedWeights, cached_weights_folder, check_weights
from orchard.sample import draw_samples

pytest_plugins = ["tests.s3_fixtures"]

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

SHARED = Path(__file__).resolve().parents[2] / "shared"

# Where the tests run in the background of a shell, what they start would ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Spark's Python workers must be this interpreter, not whichever `python3` comes first.
os.environ["PYSPARK_PYTHON"] = sys.executable


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long to go on with tests that depend on chance."""
    parser.addoption(
        "--kills", type=int, default=4, metavar="N", help="runs to kill at random moments (default %(default)s)"
    )


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are not in a test's name: archives hold the time, and each process of pytest-xdist would have another."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person running the tests may reach them."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "ORCHARD_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def one_tensorflow() -> Iterator[None]:
    """TensorFlow in the tests' process is as Orchard starts it: what a test starts, all later ones have."""
    yield
    if tensorflow := sys.modules.get("tensorflow"):
        assert tensorflow.config.threading.get_intra_op_parallelism_threads() == 1, "use tests.parity.processes.apart"


@pytest.fixture(scope="session")
def weights() -> BakedWeights:
    """The real weights, baked into the user's cache at first use."""
    return bake(MOBILENET_V2)


def bake(backbone: Backbone) -> BakedWeights:
    """The real weights of a network, baked into the user's cache at first use."""
    # In a process of its own, as a user bakes them: Keras warns of its own deprecations, and here warnings are errors.
    command = [sys.executable, "-m", "orchard.network.bake.command", "--backbone", backbone.name]
    subprocess.run(command, check=True, timeout=600)
    return check_weights(backbone, str(cached_weights_folder(backbone)))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photos and golden features; tests that need it skip where it is not."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("no ../shared beside this clone: real photos and golden features are not at hand")
    return SHARED


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 4 x 6 drawn photos."""
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    draw_samples(folder, varieties=4, per_variety=6, seed=7)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB; only root can make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="session")
def context() -> Iterator[SparkContext]:
    """One real local[2] context, opened the way a run opens its own."""
    from orchard.spark.session import open_context

    with open_context("local[2]", log=lambda line: None) as opened:
        yield opened


@pytest.fixture(scope="session")
def spark(context: SparkContext) -> SparkSession:
    """A Spark SQL session in that context, for stock pyspark to judge results with."""
    from pyspark.sql import SparkSession

    return SparkSession(context)
