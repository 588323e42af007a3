"""The three tables of an output, and what is refused as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from orchard.errors import OutputError, UsageError
from orchard.photos.photo import Rejection
from orchard.tables import parquet
from orchard.tables.changes import Known
from orchard.tables.columns import FEATURES, REJECTED
from orchard.tables.output import check_apart, open_output
from orchard.tables.photo_tables import to_table

SETTINGS = {"backbone": "mobilenet_v2"}


def rejection(path: str, reason: str = "gone") -> Rejection:
    return Rejection(path, "a", 3, 1_700_000_000_123_456, reason, "détail")


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_output_rejections_and_known(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    uri = f"{request.getfixturevalue('bucket')}/out" if kind == "s3" else str(tmp_path / "out")
    output = open_output(uri)
    assert not output.features.exists
    assert output.known() == Known({}, {})
    output.claim(SETTINGS, anew=False)
    output.add_rejections([rejection("a/2"), rejection("a/1", "empty")])
    output.add_rejections([rejection("a/3")])
    again = open_output(uri)
    assert again.features.exists
    assert again.rejections() == [rejection("a/1", "empty"), rejection("a/2"), rejection("a/3")]
    assert again.known().rejected["a/1"] == ((3, 1_700_000_000_123_456), "empty")
    output.remove([], ["a/2"])
    assert [row.path for row in open_output(uri).rejections()] == ["a/1", "a/3"]


def test_output_clean_leaves_live_files_only(tmp_path: Path) -> None:
    output = open_output(str(tmp_path / "out"))
    output.claim(SETTINGS, anew=False)
    stray = parquet.write(output.store, "features", 3, FEATURES.empty_table())
    output.add_rejections([rejection("a/1")])
    output.add_rejections([rejection("a/2")])
    output.clean()
    assert stray.key not in output.store.list("features/")
    for table in output.tables:
        there = {key for key in output.store.list(f"{table.name}/") if "_delta_log" not in key}
        assert there == {file.key for file in table.files}
        assert len(there) == 1  # without rows, too: a reader that knows no Delta finds the columns
    assert [row.path for row in output.rejections()] == ["a/1", "a/2"]


def test_output_clean_spares_what_a_newer_run_writes(tmp_path: Path) -> None:
    first = open_output(str(tmp_path / "out"))
    first.claim(SETTINGS, anew=False)
    first.add_rejections([rejection("a/1")])
    for table in first.tables:
        if not table.files:
            table.append([parquet.write(first.store, table.name, 0, table.schema.empty_table())])
    second = open_output(str(tmp_path / "out"))
    second.claim(SETTINGS, anew=False)
    written = parquet.write(second.store, "features", 0, FEATURES.empty_table())
    first.clean()
    assert len(second.store.read(written.key)) == written.size
    second.features.append([written])


@pytest.mark.parametrize(
    ("files", "overwrite", "refused"),
    [
        ({"notes.txt": b""}, True, True),
        ({"manifest/part-0.parquet": b"", "features/part-0.parquet": b"", "report.json": b"{}"}, False, True),
        ({"manifest/part-0.parquet": b"", "features/part-0.parquet": b"", "report.json": b"{}"}, True, False),
        ({".partial/run.json": b"{}"}, False, True),
        ({".DS_Store": b""}, False, False),
    ],
    ids=["other files", "former version", "former version, --overwrite", "former unfinished run", "hidden file"],
)
def test_open_output_refuses(files: dict[str, bytes], overwrite: bool, refused: bool, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(content)
    if refused:
        with pytest.raises(OutputError, match="--output"):
            open_output(str(tmp_path / "out"), overwrite=overwrite)
        return
    output = open_output(str(tmp_path / "out"), overwrite=overwrite)
    output.claim(SETTINGS, anew=overwrite)
    output.clean()
    assert not {"manifest", "report.json"} & output.store.names()
    assert open_output(str(tmp_path / "out")).features.rows == 0


@pytest.mark.parametrize("name", ["a%20b", "100%aF"])
def test_open_output_refuses_escapes_in_a_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="%"):
        open_output(str(tmp_path / name))


@pytest.mark.parametrize(
    ("output", "photos", "apart"),
    [
        ("s3://fruit", "s3://fruit", False),
        ("s3://fruit/a/out", "s3a://fruit/a/", False),
        ("s3a://fruit/in/", "s3://fruit/in", False),
        ("photos/out", "photos", False),
        ("s3://fruit/inner", "s3://fruit/in", True),
        ("s3://other", "s3://fruit", True),
        ("s3://fruit", "fruit", True),
        ("out", "s3://out", True),
    ],
)
def test_check_apart(output: str, photos: str, apart: bool) -> None:
    if apart:
        check_apart(output, photos)
    else:
        with pytest.raises(UsageError, match="--output"):
            check_apart(output, photos)


def test_to_table_has_the_schema_of_rejected() -> None:
    table = to_table([rejection("a/1")])
    assert table.schema.equals(REJECTED)
    assert (
        np.datetime64(table.column("modified")[0].as_py().replace(tzinfo=None), "us").astype(int)
        == 1_700_000_000_123_456
    )
