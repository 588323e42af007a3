"""The record: atomic, without account numbers, of no consequence when lost."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import re
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.errors import RefusedError, SpecError
from deploy.record import Record, RecordFile, Submission, record_file
from deploy.site import Site

RUN = Submission(token="t1", request="r", target="serverless", place="00f1", tag="x", digest="sha256:1", submitted=1.0)


def test_runs_that_were_found_without_a_token_are_kept_apart() -> None:
    entry = Submission(token="", request="", target="eks", place="p", tag="", digest="", submitted=1.0, run="a")
    record = (
        Record().with_run(entry).with_run(replace(entry, run="b")).with_run(replace(entry, run="a", state="FAILED"))
    )
    assert [(known.run, known.state) for known in record.runs] == [("a", "FAILED"), ("b", None)]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / ".orchard" / "orchard-x.json")
    assert file.read() == Record()
    file.change(lambda known: known.with_made("role", "r").with_run(RUN))
    file.change(lambda known: known.with_run(replace(RUN, run="00r1")))
    assert file.read() == Record(made={"role": "r"}, runs=(replace(RUN, run="00r1"),))
    file.change(lambda known: known.without("role"))
    assert file.read().made == {}


def test_nothing_but_the_whole_file_is_ever_there(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "r.json")
    file.change(lambda known: known.with_made("role", "r"))
    with pytest.raises(ZeroDivisionError):
        file.change(lambda known: known.with_made("bucket", str(1 / 0)))
    assert file.read().made == {"role": "r"}


def test_changes_of_several_processes_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.starmap(add, [(path, number) for number in range(24)])
    assert set(RecordFile(path).read().made) == {f"thing{number}" for number in range(24)}


def add(path: Path, number: int) -> None:
    RecordFile(path).change(lambda known: known.with_made(f"thing{number}", "x"))


def test_two_commands_do_not_act_at_once(tmp_path: Path) -> None:
    first, second = RecordFile(tmp_path / "r.json"), RecordFile(tmp_path / "r.json")
    with first.acting():
        first.change(lambda known: known.with_made("role", "r"))
        with pytest.raises(RefusedError, match="another orchard-deploy is at work"), second.acting():
            pass
    with second.acting():
        pass


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"schema_version": 99}', '{"schema_version": 1, "made": {}, "runs": [{"x": 1}]}']
)
def test_a_file_that_is_no_record_is_named_and_nothing_is_guessed(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(SpecError, match=r"r\.json: not a record of this version.*move it away"):
        RecordFile(tmp_path / "r.json").read()


def test_the_record_lies_beside_the_specification_by_name_region_and_a_hash_of_the_account(
    site: Site, tree: Path
) -> None:
    file = record_file(Site(replace(site.spec, name="my/fruit_1"), site.account), tree / "emr-serverless.json")
    assert file.path == tree / ".orchard" / "my-fruit-1-us-east-1-2a33349e.json"


def test_each_account_and_region_has_its_own_record(site: Site, tree: Path) -> None:
    accounts = (site.account, replace(site.account, id="210987654321"), replace(site.account, region="eu-west-3"))
    paths = {record_file(Site(site.spec, account), tree / "emr-serverless.json").path for account in accounts}
    assert len(paths) == 3
    assert not [path for path in paths if re.search(r"\d{12}", path.name)]


def test_another_folder_for_records_is_named_by_a_variable(site: Site, tree: Path, tmp_path: Path) -> None:
    file = record_file(site, tree / "emr-serverless.json", {"ORCHARD_RECORDS": str(tmp_path / "apart")})
    assert file.path.parent == tmp_path / "apart"


def test_a_deleted_record_leaves_no_folder(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / ".orchard" / "r.json")
    with file.acting():
        file.change(lambda known: known.with_made("role", "r"))
        file.delete()
    assert list(tmp_path.iterdir()) == []
    assert json.dumps(file.read().made) == "{}"


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / ".orchard").write_text("a file")
    with pytest.raises(SpecError, match="must be written before anything is made"):
        RecordFile(tmp_path / ".orchard" / "r.json").change(lambda known: known)


def test_what_a_kill_left_half_written_goes_with_the_record(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / ".orchard" / "r.json")
    with file.acting():
        file.change(lambda known: known.with_made("role", "r"))
        (tmp_path / ".orchard" / "r.new").write_text("{")
        file.delete()
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_cannot_be_read_or_removed_is_one_line(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "r.json")
    file.path.mkdir()
    with pytest.raises(SpecError, match=r"r\.json: Is a directory: the record of what exists cannot be read"):
        file.read()
    with pytest.raises(SpecError, match=r"r\.json: Is a directory: remove it yourself"):
        file.delete()


def test_a_full_disk_is_an_error_before_anything_is_made_and_keeps_the_record_whole(small_disk: Path) -> None:
    file = RecordFile(small_disk / ".orchard" / "r.json")
    file.change(lambda known: known.with_made("role", "r"))
    fill(small_disk)
    with pytest.raises(SpecError, match=r"r\.json: No space left on device: the record of what exists must be written"):
        file.change(lambda known: known.with_made("bucket", "b" * 8192))
    assert file.read().made == {"role": "r"}


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), open(disk / "rest", "wb", buffering=0) as rest:
        while True:
            rest.write(bytes(65536))
