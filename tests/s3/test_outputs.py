"""Outputs in object storage: whole runs, as a user starts them, against moto."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from orchard.errors import UsageError
from orchard.legacy.output import check_place
from orchard.options import JobOptions
from orchard.storage.stores import open_store

from tests.runs import Output, cluster_environ, link_photos, orchard
from tests.s3.folder import serving_folder

pytestmark = pytest.mark.usefixtures("weights")
CLUSTER = "local-cluster[1,1,1024]"
TABLES = ("manifest", "features", "components", "rejected")


@pytest.fixture
def local(drawn: Path, tmp_path: Path) -> Output:
    """The same run into a folder."""
    done = orchard("run", "--input", drawn, "--output", tmp_path / "local", "--master", "local[2]")
    assert done.returncode == 0, done.stderr
    return Output(tmp_path / "local")


def fetched(uri: str, folder: Path) -> Output:
    """A copy of what is in object storage, all of it."""
    store = open_store(uri)
    for stored in store.list():
        (folder / stored.key).parent.mkdir(parents=True, exist_ok=True)
        (folder / stored.key).write_bytes(store.read(stored.key))
    return Output(folder)


def run(*arguments: Any) -> None:
    done = orchard("run", "--master", "local[2]", *arguments)
    assert done.returncode == 0, done.stderr


def layout(folder: Path) -> list[str]:
    """Every file by name, without what Spark draws by lot in it."""
    return sorted(
        re.sub(r"-[0-9a-f-]{36}-", "-", str(path.relative_to(folder))) for path in folder.rglob("*") if path.is_file()
    )


def test_an_output_is_the_same_wherever_it_goes(bucket: str, drawn: Path, local: Output, tmp_path: Path) -> None:
    uri = f"{bucket}/deep/er"
    run("--input", drawn, "--output", uri)
    remote = fetched(uri, tmp_path / "remote")
    for table in TABLES:
        assert remote.table(table).equals(local.table(table))
    assert layout(remote.folder) == layout(local.folder)
    for path in (local.folder / "model").rglob("part-*"):
        assert (remote.folder / path.relative_to(local.folder)).read_bytes() == path.read_bytes()
    assert "24 listed = 24 featurized + 0 rejected" in orchard("report", uri).stdout
    refused = orchard("run", "--input", drawn, "--output", uri)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "already holds an output" in refused.stderr


def test_a_killed_run_goes_on_and_deliveries_are_added(bucket: str, drawn: Path, tmp_path: Path) -> None:
    photos, uri, cut = tmp_path / "in", f"{bucket}/out", ("--partitions", 12, "--chunk", 2)
    shutil.copytree(drawn, photos)
    arguments = ["run", "--master", "local[2]", "--input", photos, "--output", uri, *cut]
    with subprocess.Popen(
        [sys.executable, "-m", "orchard", *map(str, arguments)], stderr=subprocess.PIPE, text=True
    ) as process:
        while sum(stored.key.endswith(".json") for stored in open_store(uri).list(".partial/chunks")) < 3:
            assert process.poll() is None
            time.sleep(0.1)
        process.kill()
        process.communicate(timeout=60)
    refused = orchard(*arguments)
    assert "of 12 chunks of an unfinished run: continue it with --resume" in refused.stderr
    run("--input", photos, "--output", uri, *cut, "--resume")
    run("--input", photos, "--output", tmp_path / "unbroken", *cut)
    remote, unbroken = fetched(uri, tmp_path / "first"), Output(tmp_path / "unbroken")
    assert remote.report["chunks"]["resumed"] >= 3
    for table in TABLES:
        assert remote.table(table).equals(unbroken.table(table))
    changed = sorted(photos.rglob("*.jpg"))[0]
    changed.write_bytes(sorted(photos.rglob("*.jpg"))[9].read_bytes())
    shutil.copy(changed, photos / "new.jpg")
    for place in (uri, tmp_path / "unbroken"):
        run("--input", photos, "--output", place, "--since-last", "--partitions", 1)
    remote, unbroken = fetched(uri, tmp_path / "second"), Output(tmp_path / "unbroken")
    assert remote.report["since_last"]["added"] == remote.report["since_last"]["modified"] == 1
    for table in TABLES:
        assert remote.table(table).equals(unbroken.table(table))
    assert layout(remote.folder) == layout(unbroken.folder)


@pytest.mark.parametrize(
    ("output", "photos"),
    [
        ("s3://fruit", "s3://fruit"),
        ("s3://fruit/a/out", "s3a://fruit/a/"),
        ("s3://fruit/in", "s3://fruit"),
        ("s3a://fruit/in/", "s3://fruit/in"),
    ],
)
def test_the_input_is_refused_as_a_place_for_output(output: str, photos: str) -> None:
    with pytest.raises(UsageError, match="never written to"):
        check_place(JobOptions(input=photos, output=output))


@pytest.mark.parametrize(
    ("output", "photos"),
    [("s3://fruit/inner", "s3://fruit/in"), ("s3://other", "s3://fruit"), ("s3://fruit", "fruit"), ("out", "s3://out")],
)
def test_other_places_are_not(output: str, photos: str) -> None:
    check_place(JobOptions(input=photos, output=output))


def test_a_cluster_without_a_connector_is_refused_before_anything_is_written(
    bucket: str, drawn: Path, tmp_path: Path
) -> None:
    arguments = ("run", "--input", drawn, "--output", f"{bucket}/out", "--master", CLUSTER)
    done = orchard(*arguments, environ=cluster_environ(tmp_path))
    assert done.returncode == 2
    assert "have no Hadoop connector for s3://: add one" in done.stderr.splitlines()[-1]
    assert list(open_store(bucket).list()) == []


def test_a_full_disk_for_what_is_to_be_uploaded_is_one_line_that_names_it(
    bucket: str, drawn: Path, small_disk: Path, tmp_path: Path
) -> None:
    for number in range(80):  # 10 MB of features, 5 when compressed
        link_photos(
            tmp_path / "in" / str(number), drawn, [str(path.relative_to(drawn)) for path in drawn.rglob("*.jpg")]
        )
    environ = {**os.environ, "TMPDIR": str(small_disk)}
    done = orchard(
        "run", "--input", tmp_path / "in", "--output", f"{bucket}/out", "--master", "local[2]", environ=environ
    )
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith(
        "orchard: error: Spark stopped: No space left on device: a disk is full: make room for the output and for"
    )
    assert "TMPDIR" in said
    assert list(small_disk.iterdir()) == []
    assert list(open_store(bucket).list()) == []


# Hadoop's own means to say where a scheme leads: here to a folder, that is also a bucket of an endpoint.
CONNECTOR = """
spark.hadoop.fs.s3.impl org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme
spark.hadoop.fs.viewfs.overload.scheme.target.s3.impl org.apache.hadoop.fs.LocalFileSystem
spark.hadoop.fs.viewfs.mounttable.fruit.link./deep file://{folder}
"""


def test_a_cluster_with_a_connector_writes_by_itself(
    aws: None, drawn: Path, local: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = tmp_path / "bucket"
    for folder in (bucket / "deep", tmp_path / "conf"):
        folder.mkdir(parents=True)
    (tmp_path / "conf" / "spark-defaults.conf").write_text(CONNECTOR.format(folder=bucket / "deep"))
    with serving_folder(bucket) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        environ = {
            **cluster_environ(tmp_path),
            "SPARK_CONF_DIR": str(tmp_path / "conf"),
            "TMPDIR": str(tmp_path / "nowhere"),
        }
        arguments = (
            "--input",
            drawn,
            "--output",
            "s3://fruit/deep/er",
            "--master",
            CLUSTER,
            "--partitions",
            4,
            "--chunk",
            12,
        )
        done = orchard("run", *arguments, environ=environ)
    assert done.returncode == 0, done.stderr
    remote = Output(bucket / "deep" / "er")
    assert remote.report["chunks"]["total"] == 2
    for table in ("features", "components", "rejected"):
        assert remote.table(table).equals(local.table(table))
    assert layout(remote.folder) == layout(local.folder)
