"""Predictions that end before their time, and those to and from S3."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from orchard.classifier.saved import Saved
from orchard.console import Reporter
from orchard.storage.stores import open_store
from pyspark import SparkContext

from tests.classifier.prediction.predicting import NOTHING, Predicted, assert_same, predict_in
from tests.run.processes import make_many, wait_for
from tests.s3.server import BUCKET, Faults, blobs_of, serving

pytestmark = pytest.mark.usefixtures("weights")


def test_update_retries(
    workers: Callable[[], SparkContext],
    saved: Saved,
    drawn: Path,
    whole: Predicted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blobs = blobs_of(drawn)
    refused = Faults(keys=dict.fromkeys(sorted(blobs)[:2], "403"))
    with serving(blobs) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.address)
        for faults, update in ((refused, {"new": 24}), (Faults(), {"kept": 22, "retried": 2})):
            endpoint.faults = faults
            output = predict_in(workers(), saved, input=f"s3://{BUCKET}", output=tmp_path / "out")
            assert output.report["update"] == NOTHING | update
            assert output.report["counts"]["rejected"] == len(faults.keys)
    assert {path: row["class"] for path, row in output.predictions().items()} == {
        path: row["class"] for path, row in whole.predictions().items()
    }


class Interrupting(Reporter):
    """Interrupts the work as soon as some photos are done."""

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[int], None]]:
        def show(done: int) -> None:
            if done:
                raise KeyboardInterrupt

        yield show


def test_interrupted_prediction_continues(
    context: SparkContext, saved: Saved, drawn: Path, whole: Predicted, tmp_path: Path
) -> None:
    where: dict[str, Any] = {"input": drawn, "output": tmp_path / "out", "partitions": 12}
    with pytest.raises(KeyboardInterrupt):
        predict_in(context, saved, reporter=Interrupting(io.StringIO()), **where)
    kept = len(Predicted(tmp_path / "out").live_paths())
    assert kept > 0
    output = predict_in(context, saved, **where)
    assert output.report["update"] == NOTHING | {"new": 24 - kept, "kept": kept}
    assert_same(output, whole)


@pytest.mark.slow
def test_killed_prediction_continues(context: SparkContext, saved: Saved, tmp_path: Path) -> None:
    photos, out = make_many(tmp_path / "in", varieties=1, photos=600), Predicted(tmp_path / "out")
    (tmp_path / "saved").write_bytes(pickle.dumps(saved))
    arguments = [tmp_path / "saved", photos, out.folder, 20]
    command = [sys.executable, "-m", "tests.classifier.prediction.predicting", *map(str, arguments)]
    environ = {**os.environ, "ORCHARD_COMMIT_SECONDS": "0.2"}
    left, log = 0, f"{out.tables[0]}/_delta_log/*.json"
    for commits in (3, 8, None):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
            if commits:
                assert wait_for(lambda: len(list(out.folder.glob(log))) > commits, process)  # noqa: B023
                process.kill()
            logged = process.communicate(timeout=300)[1]
        if commits:
            assert len(out.live_paths()) > left
            left = len(out.live_paths())
    assert process.returncode == 0, logged
    assert out.report["counts"] == {"listed": 600, "predicted": 599, "rejected": 1}
    assert left <= out.report["update"]["kept"] <= left + 1
    assert_same(out, predict_in(context, saved, input=photos, output=tmp_path / "unbroken"))


def test_prediction_to_a_bucket(
    workers: Callable[[], SparkContext], bucket: str, saved: Saved, photos: Path, tmp_path: Path
) -> None:
    uri = f"{bucket}/deep/er"
    predict_in(workers(), saved, input=photos, output=uri)
    sorted(photos.rglob("*.jpg"))[0].unlink()
    predict_in(workers(), saved, input=photos, output=uri)
    store = open_store(uri)
    for key in store.list(""):
        (tmp_path / "copy" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / key).write_bytes(store.read(key))
    remote = Predicted(tmp_path / "copy")
    assert remote.report["update"] == NOTHING | {"removed": 1, "kept": 23}
    assert_same(remote, predict_in(workers(), saved, input=photos, output=tmp_path / "local"))
