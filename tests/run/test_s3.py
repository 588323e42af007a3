"""Whole runs from and to S3, most of them with something wrong."""

from __future__ import annotations

import collections
import hashlib
import io
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from orchard.errors import InputError
from orchard.features.task import FeaturizeTask, Network
from orchard.network.backbones import MOBILENET_V2
from orchard.network.weights import BakedWeights
from orchard.photos.buckets import BucketSource
from orchard.photos.photo import arrange
from orchard.storage import objects
from orchard.storage.stores import open_store
from orchard.tables import parquet
from orchard.tables.columns import FEATURES
from orchard.tables.output import open_output
from PIL import Image
from pyspark import SparkContext

from tests.run.processes import end, make_many, start, wait_for
from tests.runs import Output, orchard, run_in
from tests.s3.server import BUCKET, Blob, Endpoint, Faults, blobs_of, serving

pytestmark = pytest.mark.usefixtures("weights", "aws")


@pytest.fixture
def workers(context: SparkContext, aws: None) -> Iterator[SparkContext]:
    """The context, whose Python workers see this process's AWS variables, as a cluster's see their container's."""
    before = dict(context.environment)
    yield context
    context.environment.clear()
    context.environment.update(before)


def point(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint, context: SparkContext | None = None) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.address)
    objects.forget()
    if context:
        context.environment.update({name: value for name, value in os.environ.items() if name.startswith("AWS_")})
    return f"s3://{BUCKET}"


def many(drawn: Path, count: int) -> dict[str, Blob]:
    """So many different photos: the drawn ones, each with another comment at its end, which no decoder looks at."""
    contents = itertools.cycle(sorted(drawn.rglob("*.jpg")))
    return {
        f"in/variety {n % 20}/photo {n}.jpg": Blob(next(contents).read_bytes() + str(n).encode()) for n in range(count)
    }


def fetch(uri: str, folder: Path) -> Output:
    """A copy of what is in S3, all of it."""
    store = open_store(uri)
    for key in store.list(""):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(store.read(key))
    return Output(folder)


def run_ok(*arguments: object) -> None:
    done = orchard("run", "--master", "local[2]", *arguments)
    assert done.returncode == 0, done.stderr


def assert_same(output: Output, expected: Output) -> None:
    assert output.features() == expected.features()
    assert output.components().keys() == expected.components().keys()
    for path, components in output.components().items():
        np.testing.assert_allclose(components, expected.components()[path], atol=1e-5)
    assert output.files() == output.live_files()


def test_run_from_a_bucket(workers: SparkContext, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = run_in(workers, input=drawn, output=tmp_path / "local")
    with serving({f"photos of/{path}": blob for path, blob in blobs_of(drawn).items()}) as endpoint:
        uri = point(monkeypatch, endpoint, workers)
        remote = run_in(workers, input=f"{uri}/photos of/", output=tmp_path / "remote")
        assert endpoint.others == []
    assert remote.features() == local.features()
    assert remote.report["counts"] == local.report["counts"]
    assert "data:image/jpeg" in (tmp_path / "remote" / "report.html").read_text(encoding="utf-8")  # the thumbnails


def test_run_to_a_bucket_and_update_it(bucket: str, drawn: Path, tmp_path: Path) -> None:
    photos, uri = Path(shutil.copytree(drawn, tmp_path / "in")), f"{bucket}/deep/er"
    run_ok("--input", photos, "--output", uri)
    run_ok("--input", photos, "--output", tmp_path / "local")
    assert_same(fetch(uri, tmp_path / "first"), Output(tmp_path / "local"))
    changed, removed = sorted(photos.rglob("*.jpg"))[:2]
    changed.write_bytes(sorted(photos.rglob("*.jpg"))[9].read_bytes())
    removed.unlink()
    shutil.copy(changed, photos / "new.jpg")
    for output in (uri, tmp_path / "local"):
        run_ok("--input", photos, "--output", output)
    remote = fetch(uri, tmp_path / "second")
    assert_same(remote, Output(tmp_path / "local"))
    assert remote.report["update"] == {"new": 1, "changed": 1, "removed": 1, "kept": 22, "retried": 0}
    done = orchard("report", uri, "--json")
    assert done.returncode == 0, done.stderr
    run_ok("--input", photos, "--output", uri)  # up to date
    assert fetch(uri, tmp_path / "third").report == remote.report


def count_commits(uri: str) -> int:
    return sum(key.endswith(".json") for key in open_store(uri).list("features/_delta_log/"))


def test_run_to_a_bucket_killed_and_called_twice(bucket: str, tmp_path: Path) -> None:
    photos = make_many(tmp_path / "in", varieties=1, photos=400)
    uri, cut = f"{bucket}/out", ("--partitions", 16)
    environ = {**os.environ, "ORCHARD_COMMIT_SECONDS": "0.2"}
    with start(photos, uri, *cut, environ=environ) as process:
        assert wait_for(lambda: count_commits(uri) >= 3, process)
        process.kill()
        end(process)
    with start(photos, uri, *cut, environ=environ) as first:
        assert wait_for(lambda: count_commits(uri) >= 5, first)
        with start(photos, uri, *cut, environ=environ) as second:
            logged = [end(first), end(second)]
    codes = [first.returncode, second.returncode]
    assert 0 in codes, logged
    assert set(codes) <= {0, 1}, logged
    assert "Traceback" not in "".join(logged)
    output = fetch(uri, tmp_path / "remote")
    assert len(output.paths("features")) == len(set(output.paths("features"))) == 399
    assert output.paths("rejected") == [f"{next(photos.iterdir()).name}/bad.jpg"]
    assert output.files() == output.live_files()


COUNT = 600  # `python -m bench.faults` does the same with 10,000
LASTING = {"403": "forbidden", "404": "gone", "changed": "changed"}


def test_run_accounts_for_every_photo_of_a_failing_bucket(
    workers: SparkContext, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = many(drawn, COUNT)
    lasting = dict(zip(sorted(blobs)[7 :: COUNT // 7], itertools.cycle(LASTING), strict=False))
    faults = Faults(share=0.05, kinds=(*("503", "500", "reset", "cut") * 5, "stall"), keys=lasting)
    with serving(blobs, faults) as endpoint:
        uri = point(monkeypatch, endpoint, workers)
        output = run_in(workers, input=f"{uri}/in", output=tmp_path / "out", partitions=4)
    features, rejected = output.rows("features"), output.rows("rejected")
    paths = [f"in/{row['path']}" for row in features + rejected]
    assert collections.Counter(paths) == collections.Counter(blobs.keys())
    assert {f"in/{row['path']}": row["reason"] for row in rejected} == {
        key: LASTING[fault] for key, fault in lasting.items()
    }
    again = sum(faults_before_success(faults, key) for key in blobs if key not in lasting)
    assert output.report["read_retries"] == again > COUNT // 30
    assert all(row["sha256"] == hashlib.sha256(blobs[f"in/{row['path']}"].content).hexdigest() for row in features)
    # What lay with the storage is asked for again, and only that.
    with serving(blobs) as endpoint:
        uri = point(monkeypatch, endpoint, workers)
        run_in(workers, input=f"{uri}/in", output=tmp_path / "out")
    assert output.report["update"]["retried"] == len(lasting)
    assert output.report["counts"] == {"listed": COUNT, "featurized": COUNT, "rejected": 0}


def faults_before_success(faults: Faults, key: str) -> int:
    return next(tries for tries in itertools.count() if not faults.of(key, tries))


def test_run_rejects_bombs_and_giants_unread(
    workers: SparkContext, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would take a task's memory is refused by its listed size or by its header."""

    def png(width: int, height: int) -> bytes:
        sink = io.BytesIO()
        Image.new("1", (width, height)).save(sink, "PNG")
        return sink.getvalue()

    blobs = blobs_of(drawn)
    bad = {
        "Bad/2 GB.jpg": Blob(b"x", claimed=2 << 30),
        "Bad/bomb.png": Blob(png(30_000, 30_000)),
        "Bad/wide.png": Blob(png(10_001, 10_000)),
    }
    with serving({**blobs, **bad}) as endpoint:
        output = run_in(workers, input=point(monkeypatch, endpoint, workers), output=tmp_path / "out")
        assert endpoint.gets["Bad/2 GB.jpg"] == 0
    assert {row["path"]: row["reason"] for row in output.rows("rejected")} == dict.fromkeys(bad, "too_large")
    assert set(output.paths("features")) == set(blobs)


def test_task_gives_up_on_a_storage_that_goes_away(
    weights: BakedWeights, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = many(drawn, 100)
    with serving(blobs, Faults(keys=dict.fromkeys(sorted(blobs)[3:], "503"))) as endpoint:
        source = BucketSource(point(monkeypatch, endpoint), backoff=(0.01, 0.01))
        task = FeaturizeTask(source, Network(MOBILENET_V2, "litert", weights), open_store(str(tmp_path)))
        report = task(0, arrange(source.list().photos))
    assert isinstance(report.failure, InputError)
    assert report.photos < 100


@pytest.mark.parametrize(
    ("where", "fault"), [("", "403"), ("-nowhere", None), ("/x", None)], ids=["forbidden", "no bucket", "no photos"]
)
def test_run_on_a_wrong_bucket_is_one_line(
    where: str, fault: str | None, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(blobs_of(drawn)) as endpoint:
        uri = point(monkeypatch, endpoint) + where
        endpoint.faults = Faults(keys=dict.fromkeys(endpoint.blobs, fault) if fault else {})
        done = orchard("run", "--input", uri, "--output", tmp_path / "out", "--master", "local[2]", timeout=60)
    assert done.returncode == 1
    assert f"--input {uri}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


# Credentials that end in 12 minutes: botocore asks for new ones whenever less than 15 are left.
CREDENTIAL_PROCESS = """#!/bin/sh
echo x >> {calls}
end=$(date -u -d "+12 minutes" +%Y-%m-%dT%H:%M:%SZ)
echo '{{"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "'$end'"}}'
"""


def test_table_commits_with_credentials_of_the_moment(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a role end in mid-run: every commit asks for them anew."""
    script, calls = tmp_path / "credentials", tmp_path / "calls"
    script.write_text(CREDENTIAL_PROCESS.format(calls=calls))
    script.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\nregion = eu-west-1\ncredential_process = {script}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    objects.forget()
    output = open_output(f"{bucket}/out")
    output.claim({"backbone": "x"}, anew=False)
    before = len(calls.read_text())
    output.features.append([parquet.write(output.store, "features", 0, FEATURES.empty_table())])
    assert len(calls.read_text()) > before
    assert len(open_output(f"{bucket}/out").features.files) == 1
    objects.forget()
