"""The output folder of a run on this machine: whose it is meanwhile, and what is refused before anything is started."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.errors import SpecError
from deploy.output_folder import NOBODY, ROOT, Ids, check_content, output_folder, run_as

CALLER = (os.getuid(), os.getgid())


class Lending:
    """Remembers whose a folder was made; stands in for a change of owner, which only root may do."""

    def __init__(self) -> None:
        self.owners: list[Ids] = []

    def __call__(self, folder: int, to: Callable[[str], Ids]) -> None:
        self.owners.append(to("."))


def test_a_job_is_not_run_as_root() -> None:
    assert run_as(ROOT) == run_as((0, 27)) == NOBODY
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
    assert lending.owners == [NOBODY, CALLER]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "sign",
    [
        *(
            "report.json",
            ".partial",
            ".complete",
            ".replaced",
            ".lock",
            "features/_delta_log",
            "predictions/_delta_log",
        ),
        *("classifier.json", "model-0123456789ab", "evaluation.json"),
    ],
)
def test_an_earlier_output_is_lent_whatever_a_kill_left_of_it(tmp_path: Path, sign: str) -> None:
    (tmp_path / sign).mkdir(parents=True)
    lending = Lending()
    with output_folder(str(tmp_path), caller=ROOT, user=NOBODY, give=lending):
        pass
    assert lending.owners == [NOBODY, CALLER]


@pytest.mark.parametrize("names", [[], ["fruit.tflite", "small.tflite", "fruit.tflite.17.tmp"]])
def test_the_folder_of_exported_files_is_lent(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    lending = Lending()
    with output_folder(str(tmp_path), caller=ROOT, user=NOBODY, exported=True, give=lending):
        pass
    assert lending.owners == [NOBODY, CALLER]


@pytest.mark.parametrize("name", ["features", "predictions"])
def test_a_folder_with_the_name_of_a_table_is_no_output(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(SpecError, match="no output of Orchard"):
        check_content(str(tmp_path))


@pytest.mark.parametrize("name", ["pyproject.toml", "classifier.json", "report.json"])
def test_an_exported_file_does_not_lend_what_lies_beside_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / "fruit.tflite").touch()
    lending = Lending()
    with (
        pytest.raises(SpecError, match=name) as raised,
        output_folder(str(tmp_path), caller=ROOT, user=NOBODY, exported=True, give=lending),
    ):
        raise AssertionError("it was opened")
    assert (lending.owners, raised.value.exit_code) == ([], 2)
    with pytest.raises(SpecError, match=name):
        check_content(str(tmp_path), exported=True)


def test_a_folder_of_other_files_is_not_lent(tmp_path: Path) -> None:
    (tmp_path / "passwd").touch()
    (tmp_path / ".lock").touch()
    lending = Lending()
    with (
        pytest.raises(SpecError, match="no output of Orchard"),
        output_folder(str(tmp_path), caller=ROOT, user=NOBODY, give=lending),
    ):
        raise AssertionError("it was opened")
    assert lending.owners == []


def test_a_folder_that_the_caller_may_not_write_to(tmp_path: Path) -> None:
    may_not = {tmp_path}
    opened = output_folder(str(tmp_path), caller=CALLER, user=CALLER, access=lambda path, _: path not in may_not)
    with pytest.raises(SpecError, match="you may not write to it: choose a place"), opened:
        raise AssertionError("it was opened")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(SpecError, match="choose a place"),
        output_folder(str(tmp_path / "file" / "out"), caller=CALLER, user=CALLER),
    ):
        raise AssertionError("it was opened")


def test_a_place_in_a_bucket_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with output_folder("s3://bucket/out", caller=ROOT, user=NOBODY):
        pass
    assert list(tmp_path.iterdir()) == []


def everything(folder: Path) -> dict[str, Ids]:
    """Whose a folder and everything in it is."""
    paths = [folder, *folder.rglob("*")]
    return {str(path.relative_to(folder)): (path.lstat().st_uid, path.lstat().st_gid) for path in paths}


def an_output(folder: Path, owner: Ids) -> Path:
    (folder / "features").mkdir(parents=True)
    for name in ("report.json", "features/part"):
        (folder / name).touch()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, *owner)
    return folder


only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")


@only_root
def test_lending_reaches_everything_in_the_folder_and_nothing_outside(tmp_path: Path) -> None:
    out, outside = an_output(tmp_path / "out", ROOT), tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (out / "link").symlink_to(outside)
    with output_folder(str(out), caller=ROOT, user=NOBODY):
        assert set(everything(out).values()) == {NOBODY}
        assert len(everything(out)) == 5
        assert set(everything(outside).values()) == {ROOT}
    assert set(everything(out).values()) == {ROOT}


@only_root
def test_an_output_of_someone_else_is_theirs_again_after_a_refusal(tmp_path: Path) -> None:
    out = an_output(tmp_path / "out", (1000, 1001))
    os.chown(out / "features", 1002, 1003)
    before = everything(out)
    with pytest.raises(SpecError), output_folder(str(out), caller=ROOT, user=NOBODY):
        raise SpecError("refused")
    assert everything(out) == before


@only_root
def test_what_a_run_adds_is_the_owners_of_the_folder(tmp_path: Path) -> None:
    out = an_output(tmp_path / "out", (1000, 1001))
    with output_folder(str(out), caller=ROOT, user=NOBODY):
        (out / "features" / "part").unlink()
        (out / "components").mkdir()
    assert set(everything(out).values()) == {(1000, 1001)}


@only_root
def test_a_folder_that_is_made_here_is_the_callers(tmp_path: Path) -> None:
    with output_folder(str(tmp_path / "out"), caller=ROOT, user=NOBODY):
        an_output(tmp_path / "out" / "new", NOBODY)
    assert set(everything(tmp_path / "out").values()) == {ROOT}


@only_root
def test_what_a_killed_run_left_lent_is_the_callers_after_the_next(tmp_path: Path) -> None:
    out = an_output(tmp_path / "out", NOBODY)
    with output_folder(str(out), caller=ROOT, user=NOBODY):
        pass
    assert set(everything(out).values()) == {ROOT}


@only_root
def test_a_link_put_in_the_folders_place_meanwhile_leads_nowhere(tmp_path: Path) -> None:
    out, other = an_output(tmp_path / "out", (1000, 1001)), an_output(tmp_path / "other", ROOT)
    with output_folder(str(out), caller=ROOT, user=NOBODY):
        out.rename(tmp_path / "moved")
        out.symlink_to(other)
    assert set(everything(other).values()) == {ROOT}
    assert set(everything(tmp_path / "moved").values()) == {(1000, 1001)}
