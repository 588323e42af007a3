from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import OutputError, UsageError
from app.output import PARTS, open_output


def write(output: Path, mark: str, *, overwrite: bool = False, parts: tuple[str, ...] = PARTS) -> None:
    with open_output(str(output), input_uri="nowhere", overwrite=overwrite) as stage:
        for part in parts:
            if "." in part:
                (stage / part).write_text(mark)
            else:
                (stage / part).mkdir()
                (stage / part / "data").write_text(mark)


def fail_midway(output: Path, error: Exception, *, overwrite: bool = False) -> None:
    with open_output(str(output), input_uri="nowhere", overwrite=overwrite) as stage:
        (stage / "features").mkdir()
        (stage / "report.json").write_text("half")
        raise error


def content(output: Path) -> dict[str, str]:
    return {str(path.relative_to(output)): path.read_text() for path in sorted(output.rglob("*")) if path.is_file()}


def whole(mark: str) -> dict[str, str]:
    return {(part if "." in part else f"{part}/data"): mark for part in sorted(PARTS)}


def test_parts_appear_together_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with open_output(str(out), input_uri="nowhere", overwrite=False) as stage:
        (stage / "report.json").write_text("new")
        assert [path.name for path in out.iterdir()] == [".partial"]
    assert content(out) == {"report.json": "new"}


def test_a_failed_run_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_midway(tmp_path / "out", ZeroDivisionError())
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_output_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "old")
    with pytest.raises(OutputError, match="--overwrite"):
        write(out, "new")
    with pytest.raises(FileExistsError):
        fail_midway(out, FileExistsError("something else"), overwrite=True)
    assert content(out) == whole("old")
    write(out, "new", overwrite=True)
    assert content(out) == whole("new")


def test_somebody_elses_files_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="no output of Orchard"):
            write(tmp_path, "new", overwrite=overwrite)
    assert content(tmp_path) == {"thesis.tex": "years of work"}


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "old")
    (out / ".partial" / "features").mkdir(parents=True)
    (out / ".partial" / "features" / "half").write_text("half")
    (out / ".partial" / "report.json").write_text("half")
    write(out, "new", overwrite=True)
    assert content(out) == whole("new")


@pytest.mark.parametrize("moved", range(2 * len(PARTS) + 1))
def test_a_kill_between_any_two_moves_is_finished_by_the_next_run(tmp_path: Path, moved: int, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write(out, "old")
    rename, renames = os.rename, iter(range(moved + 1))

    def rename_until_killed(source: Path, target: Path) -> None:
        if next(renames, None) is None:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_until_killed)
    with pytest.raises(KeyboardInterrupt) if moved < 2 * len(PARTS) else pytest.MonkeyPatch.context():
        write(out, "new", overwrite=True)
    monkeypatch.undo()
    with pytest.raises(OutputError, match="already holds an output"):
        write(out, "newer")
    assert content(out) == whole("new")


HOLD = """
import sys, time
from app.output import open_output
with open_output(sys.argv[1], input_uri="nowhere", overwrite=False):
    print("writing", flush=True)
    time.sleep(60)
"""


def test_two_runs_do_not_write_one_output(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout
            assert other.stdout.readline() == "writing\n"
            with pytest.raises(OutputError, match="another run is writing there"):
                write(tmp_path / "out", "new")
        finally:
            other.kill()
    write(tmp_path / "out", "new")
    assert content(tmp_path / "out") == whole("new")


@pytest.mark.parametrize("place", ["", "out", "a/b/out"])
def test_the_input_is_refused_as_a_place_for_output(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError, match="never written to"), open_output(str(tmp_path / place), input_uri=str(tmp_path), overwrite=True):
        pass
    (tmp_path / "link").symlink_to(tmp_path)
    with (
        pytest.raises(UsageError, match="never written to"),
        open_output(str(tmp_path / "link" / "x"), input_uri=str(tmp_path), overwrite=True),
    ):
        pass


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"--output .*: Not a directory"):
        write(tmp_path / "file" / "out", "new")
    with pytest.raises(UsageError, match="no writer for gopher://"):
        write(Path("gopher://hole"), "new") if False else open_output("gopher://hole", input_uri="x", overwrite=False).__enter__()
