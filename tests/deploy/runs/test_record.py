"""The record: atomic, without account numbers, of no consequence when lost."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
from dataclasses import replace
from pathlib import Path

import pytest
from orchard_deploy.errors import RefusedError, SpecError
from orchard_deploy.runs.record import RecordFile, Submission, record_file
from orchard_deploy.site import Site

RUN = Submission(token="t1", request="r", target="serverless", place="00f1", tag="x", digest="sha256:1", submitted=1.0)


def test_keep_then_read(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / ".orchard" / "orchard-x.json")
    assert file.read() == ()
    file.keep(RUN)
    file.keep(replace(RUN, token="t2"))
    file.keep(replace(RUN, run="00r1"))
    assert file.read() == (replace(RUN, run="00r1"), replace(RUN, token="t2"))


def test_keep_adds_to_what_another_command_kept_meanwhile(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "r.json")
    file.keep(replace(RUN, run="00r1"))
    file.keep(replace(RUN, state="SUCCESS"))
    assert file.keep(replace(RUN, ran="sha256:1")) == replace(RUN, run="00r1", state="SUCCESS", ran="sha256:1")


def test_keep_leaves_out_a_run_of_another_machine(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "r.json")
    assert file.keep(replace(RUN, token="", run="00r1")).run == "00r1"
    assert list(tmp_path.iterdir()) == []


def test_keep_leaves_the_whole_file_where_it_fails(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "r.json")
    file.keep(RUN)
    with pytest.raises(TypeError):
        file.keep(replace(RUN, tag=object()))  # type: ignore[arg-type]
    assert file.read() == (RUN,)


def test_keep_from_several_processes(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(_keep, [(path, number) for number in range(24)])
    assert {run.token for run in RecordFile(path).read()} == {f"t{number}" for number in range(24)}


def _keep(path: Path, number: int) -> None:
    RecordFile(path).keep(replace(RUN, token=f"t{number}"))


def test_acting_holds_off_others(tmp_path: Path) -> None:
    first, second = RecordFile(tmp_path / "r.json"), RecordFile(tmp_path / "r.json")
    with first.acting():
        first.keep(RUN)
        with pytest.raises(RefusedError, match="another orchard-deploy is at work"), second.acting():
            pass
    with second.acting():
        pass


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 99}', '{"schema_version": 1, "runs": [{"x": 1}]}'])
def test_read_of_a_file_that_is_no_record(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(SpecError, match=r"r\.json: not a record of this version.*move it away"):
        RecordFile(tmp_path / "r.json").read()


def test_record_file_is_beside_the_specification(site: Site, tree: Path) -> None:
    file = record_file(Site(replace(site.spec, name="my/fruit_1"), site.account), tree / "emr-serverless.json")
    assert file.path == tree / ".orchard" / "my-fruit-1-us-east-1-2a33349e.json"


def test_record_file_of_each_account_and_region(site: Site, tree: Path) -> None:
    accounts = (site.account, replace(site.account, id="210987654321"), replace(site.account, region="eu-west-3"))
    paths = {record_file(Site(site.spec, account), tree / "emr-serverless.json").path for account in accounts}
    assert len(paths) == 3
    assert not [path for path in paths if re.search(r"\d{12}", path.name)]


def test_record_file_in_the_folder_of_the_variable(site: Site, tree: Path, tmp_path: Path) -> None:
    file = record_file(site, tree / "emr-serverless.json", {"ORCHARD_RECORDS": str(tmp_path / "apart")})
    assert file.path.parent == tmp_path / "apart"


def test_delete_leaves_no_folder(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / ".orchard" / "r.json")
    with file.acting():
        file.keep(RUN)
        file.delete()
    assert list(tmp_path.iterdir()) == []
    assert file.read() == ()


def test_keep_in_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / ".orchard").write_text("a file")
    with pytest.raises(SpecError, match="must be written before one is started"):
        RecordFile(tmp_path / ".orchard" / "r.json").keep(RUN)


def test_delete_takes_what_a_kill_left_half_written(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / ".orchard" / "r.json")
    with file.acting():
        file.keep(RUN)
        (tmp_path / ".orchard" / "r.new").write_text("{")
        file.delete()
    assert list(tmp_path.iterdir()) == []


def test_read_and_delete_of_what_cannot_be(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "r.json")
    file.path.mkdir()
    with pytest.raises(SpecError, match=r"r\.json: Is a directory: the record of runs cannot be read"):
        file.read()
    with pytest.raises(SpecError, match=r"r\.json: Is a directory: .*cannot be removed"):
        file.delete()


def test_keep_on_a_full_disk_keeps_the_record_whole(small_disk: Path) -> None:
    file = RecordFile(small_disk / ".orchard" / "r.json")
    file.keep(RUN)
    fill(small_disk)
    with pytest.raises(SpecError, match=r"r\.json: No space left on device: the record of runs must be written"):
        file.keep(replace(RUN, token="b" * 8192))
    assert file.read() == (RUN,)


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), open(disk / "rest", "wb", buffering=0) as rest:
        while True:
            rest.write(bytes(65536))
