"""Whole runs on object storage, most of them with something wrong."""

from __future__ import annotations

import collections
import hashlib
import io
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from orchard.errors import MachineError
from orchard.features.job import Network, featurize
from orchard.network.backbones import MOBILENET_V2
from orchard.network.weights import BakedWeights
from orchard.photos.access import WITNESSES, find_witnesses
from orchard.photos.buckets import BucketSource
from orchard.photos.manifest import arrange, to_table
from orchard.spark.session import explain_spark_errors
from orchard.storage import objects
from PIL import Image
from pyspark.sql import SparkSession

from tests.runs import orchard, run_in
from tests.s3.server import BUCKET, Blob, Endpoint, Faults, blobs_of, serving

pytestmark = pytest.mark.usefixtures("weights", "aws")


@pytest.fixture
def workers(spark: SparkSession, aws: None) -> Iterator[SparkSession]:
    """The session, whose Python workers see this process's AWS variables, as a cluster's see their container's."""
    environment = spark.sparkContext.environment
    before = dict(environment)
    yield spark
    environment.clear()
    environment.update(before)


def point(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint, spark: SparkSession | None = None) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.address)
    objects.forget()
    if spark:
        spark.sparkContext.environment.update(
            {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        )
    return f"s3://{BUCKET}"


def many(drawn: Path, count: int) -> dict[str, Blob]:
    """So many different photos: the drawn ones, each with another comment at its end, which no decoder looks at."""
    contents = itertools.cycle(sorted(drawn.rglob("*.jpg")))
    return {
        f"in/variety {n % 20}/photo {n}.jpg": Blob(next(contents).read_bytes() + str(n).encode()) for n in range(count)
    }


def test_a_bucket_gives_what_a_folder_gives(
    workers: SparkSession, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = run_in(workers, input=drawn, output=tmp_path / "local")
    with serving({f"photos of/{path}": blob for path, blob in blobs_of(drawn).items()}) as endpoint:
        uri = point(monkeypatch, endpoint, workers)
        remote = run_in(workers, input=f"{uri}/photos of/", output=tmp_path / "remote")
        assert endpoint.others == []
    assert remote.rows("features") == local.rows("features")
    assert remote.report["counts"] == local.report["counts"]
    assert remote.report["read_retries"] == 0
    assert [row["sha256"] for row in remote.rows("features")] == [
        hashlib.sha256((drawn / row["path"]).read_bytes()).hexdigest() for row in remote.rows("features")
    ]
    assert "data:image" in (tmp_path / "remote" / "report.html").read_text(encoding="utf-8")  # the contact sheet


COUNT = 1000  # `python -m bench.faults` does the same with 10,000
LASTING = {"403": "forbidden", "404": "gone", "changed": "changed"}


def test_every_photo_of_a_failing_bucket_is_accounted_for(
    workers: SparkSession, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = many(drawn, COUNT)
    lasting = dict(zip(sorted(blobs)[7 :: COUNT // 7], itertools.cycle(LASTING), strict=False))
    faults = Faults(share=0.05, kinds=(*("503", "500", "reset", "cut") * 5, "stall"), keys=lasting)
    with serving(blobs, faults) as endpoint:
        output = run_in(
            workers, input=f"{point(monkeypatch, endpoint, workers)}/in", output=tmp_path / "out", partitions=4
        )
    features, rejected = output.rows("features"), output.rows("rejected")
    paths = [f"in/{row['path']}" for row in features + rejected]
    assert collections.Counter(paths) == collections.Counter(blobs.keys())
    assert {f"in/{row['path']}": row["reason"] for row in rejected} == {
        key: LASTING[fault] for key, fault in lasting.items()
    }
    assert output.report["counts"] == {"listed": COUNT, "featurized": COUNT - len(lasting), "rejected": len(lasting)}
    # The driver has read a few before the tasks do.
    with serving(blobs, faults) as same:
        source = BucketSource(f"{point(monkeypatch, same, workers)}/in")
        before = {f"in/{photo.path}" for photo in find_witnesses(source, arrange(source.photos()))}
    tries = {key: faults_before_success(faults, key, 0) + 1 if key in before else 0 for key in blobs}
    again = sum(faults_before_success(faults, key, tries[key]) for key in blobs if key not in lasting)
    assert output.report["read_retries"] == again > COUNT // 30
    assert all(row["sha256"] == hashlib.sha256(blobs[f"in/{row['path']}"].content).hexdigest() for row in features)


def faults_before_success(faults: Faults, key: str, tries: int) -> int:
    return next(number for number in itertools.count() if not faults.of(key, tries + number))


def test_bombs_and_giants_are_refused_and_the_rest_goes_on(
    workers: SparkSession, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would take a task's memory is refused by its listed size or by its header."""

    def png(width: int, height: int) -> bytes:
        sink = io.BytesIO()
        Image.new("1", (width, height)).save(sink, "PNG")
        return sink.getvalue()

    blobs = {f"{path}": blob for path, blob in blobs_of(drawn).items()}
    bad = {
        "Bad/2 GB.jpg": Blob(b"x", claimed=2 << 30),
        "Bad/bomb.png": Blob(png(30_000, 30_000)),
        "Bad/wide.png": Blob(png(10_001, 10_000)),
    }
    with serving({**blobs, **bad}) as endpoint:
        output = run_in(workers, input=point(monkeypatch, endpoint, workers), output=tmp_path / "out")
        assert endpoint.gets["Bad/2 GB.jpg"] <= 1  # the contact sheet may ask for it, and does not read what comes
    assert {row["path"]: row["reason"] for row in output.rows("rejected")} == dict.fromkeys(bad, "too_large")
    assert {row["path"] for row in output.rows("features")} == set(blobs)


def test_a_storage_that_goes_away_stops_the_run_with_one_line(
    workers: SparkSession, weights: BakedWeights, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = many(drawn, 100)
    with serving(blobs, Faults(keys=dict.fromkeys(sorted(blobs)[3:], "503"))) as endpoint:
        source = BucketSource(point(monkeypatch, endpoint, workers), backoff=(0.01, 0.01))
        photos, network = to_table(arrange(source.photos())), Network(MOBILENET_V2, "litert", weights)
        message = "on an executor: .* photos in a row could not be read, the last one: unavailable: 503 SlowDown"
        with pytest.raises(MachineError, match=message) as raised, explain_spark_errors():
            featurize(workers, source, network, photos, [(0, 100)], str(tmp_path / "features"))
    assert "\n" not in str(raised.value)


@dataclass(frozen=True)
class Revoked(Faults):
    """Access that is lost after so many GETs."""

    after: int = 0
    asked: Iterator[int] = field(default_factory=itertools.count)

    def of(self, key: str, tries: int) -> str:
        return "403" if next(self.asked) >= self.after else ""


@pytest.mark.parametrize("after", [60, WITNESSES], ids=["on the way", "to the executors, from the start"])
def test_access_that_is_lost_stops_the_run_and_costs_no_photo(
    workers: SparkSession, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    blobs = many(drawn, 100)
    with serving(blobs, Revoked(after=after)) as endpoint:
        asked = {
            "input": f"{point(monkeypatch, endpoint, workers)}/in",
            "output": tmp_path / "out",
            "partitions": 4,
            "chunk": 25,
        }
        message = r"on an executor: .* what could be read when the run began cannot be any more \(forbidden: 403 AccessDenied\)"
        with pytest.raises(MachineError, match=message) as raised:
            run_in(workers, **asked)
        endpoint.faults = Faults()
        if after > WITNESSES:
            assert raised.value.__notes__ == ["2 of 4 chunks are kept: continue with --resume"]
            asked["resume"] = True
        output = run_in(workers, **asked)
    assert output.report["counts"] == {"listed": 100, "featurized": 100, "rejected": 0}


def test_what_is_wrong_with_a_bucket_ends_the_command_with_one_line(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(blobs_of(drawn)) as endpoint:
        uri = point(monkeypatch, endpoint)
        endpoint.faults = Faults(keys=dict.fromkeys(endpoint.blobs, "403"))
        for place, message in (
            (uri, "listed, but not read"),
            (f"{uri}-nowhere", "there is no such bucket"),
            (f"{uri}/x", "no photos in it"),
        ):
            done = orchard("run", "--input", place, "--output", tmp_path / "out", "--master", "local[2]", timeout=60)
            assert done.returncode == 1
            assert message in done.stderr.splitlines()[-1]
            assert "Traceback" not in done.stderr


def test_copies_are_counted_and_reported(workers: SparkSession, drawn: Path, tmp_path: Path) -> None:
    photos = sorted(drawn.rglob("*.jpg"))[:4]
    names = {
        "Training/a/0.jpg": 0,
        "Training/a/1.jpg": 1,
        "Training/b/0.jpg": 0,
        "Test/a/0.jpg": 0,
        "Test/a/2.jpg": 2,
        "Test/c/1.jpg": 1,
    }
    for name, number in names.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(photos[number].read_bytes())
    output = run_in(workers, input=tmp_path / "in", output=tmp_path / "out")
    assert output.report["duplicates"] == {"exact": 3, "test_in_training": 2}
    done = orchard("report", output.folder)
    assert "3 photos have the bytes of an earlier one, 2 of them in Test with the same bytes in Training" in " ".join(
        done.stdout.split()
    )
