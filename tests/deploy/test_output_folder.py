"""The output folder of a run on this machine: whose it is meanwhile, and what is refused before anything is started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.errors import SpecError
from deploy.output_folder import NOBODY, ROOT, Ids, give, lending_lines, output_folder, run_as

CALLER = (os.getuid(), os.getgid())


class Lending:
    """Remembers whose a folder was made; stands in for a change of owner, which only root may do."""

    def __init__(self) -> None:
        self.owners: list[Ids] = []

    def __call__(self, folder: Path, ids: Ids) -> None:
        assert folder.is_dir()
        self.owners.append(ids)


def test_a_job_is_not_run_as_root() -> None:
    assert run_as(ROOT) == NOBODY
    assert run_as((1000, 1001)) == (1000, 1001)


def test_a_callers_own_folder_stays_its_own(tmp_path: Path) -> None:
    lending = Lending()
    with output_folder(str(tmp_path / "deep" / "out"), caller=(1000, 1001), user=(1000, 1001), give=lending):
        (tmp_path / "deep" / "out" / "report.json").touch()
    assert lending.owners == []
    assert (tmp_path / "deep" / "out" / "report.json").exists()


def test_what_is_lent_is_given_back_whatever_happens(tmp_path: Path) -> None:
    lending = Lending()
    with pytest.raises(KeyboardInterrupt), output_folder(str(tmp_path / "out"), caller=ROOT, user=NOBODY, give=lending):
        raise KeyboardInterrupt
    assert lending.owners == [NOBODY, ROOT]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("sign", ["report.json", ".partial", ".complete", ".replaced", ".lock"])
def test_an_earlier_output_is_lent_whatever_a_kill_left_of_it(tmp_path: Path, sign: str) -> None:
    (tmp_path / sign).touch()
    lending = Lending()
    with output_folder(str(tmp_path), caller=ROOT, user=NOBODY, give=lending):
        pass
    assert lending.owners == [NOBODY, ROOT]


def test_a_folder_of_other_files_is_not_lent(tmp_path: Path) -> None:
    (tmp_path / "passwd").touch()
    (tmp_path / ".lock").touch()
    lending = Lending()
    with pytest.raises(SpecError, match="no output of Orchard"), output_folder(str(tmp_path), caller=ROOT, user=NOBODY, give=lending):
        raise AssertionError("it was opened")
    assert lending.owners == []


def test_a_folder_that_the_caller_may_not_write_to(tmp_path: Path) -> None:
    may_not = {tmp_path}
    opened = output_folder(str(tmp_path), caller=CALLER, user=CALLER, access=lambda path, _: path not in may_not)
    with pytest.raises(SpecError, match="you may not write to it: choose a place"), opened:
        raise AssertionError("it was opened")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpecError, match="choose a place"), output_folder(str(tmp_path / "file" / "out"), caller=CALLER, user=CALLER):
        raise AssertionError("it was opened")


def test_a_place_in_a_bucket_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with output_folder("s3://bucket/out", caller=ROOT, user=NOBODY):
        pass
    assert list(tmp_path.iterdir()) == []
    assert lending_lines("s3://bucket/out", caller=ROOT, user=NOBODY) == []


def test_a_shell_is_told_to_lend_it_too() -> None:
    assert lending_lines("my out", caller=ROOT, user=NOBODY) == ["install -d -o 65534 -g 65534 'my out'"]
    assert lending_lines("out", caller=CALLER, user=CALLER) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_giving_reaches_everything_in_the_folder_and_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "out" / "features").mkdir(parents=True)
    (tmp_path / "out" / "features" / "part").touch()
    (tmp_path / "outside").touch()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "outside")
    give(tmp_path / "out", NOBODY)
    given = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert len(given) == 4
    assert {path.lstat().st_uid for path in given} == {NOBODY[0]}
    assert (tmp_path / "outside").stat().st_uid == 0
