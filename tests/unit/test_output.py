from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from orchard.errors import OutputError, UsageError
from orchard.features.job import TaskReport
from orchard.legacy.ledger import Commit, RunRecord
from orchard.legacy.output import Output, check_output, open_output
from orchard.legacy.publication import PARTS, publish
from orchard.legacy.stage import Stage, sha256
from orchard.options import JobOptions
from orchard.storage.stores import LocalStore, Stored

# Tables whose files are named by the layout; the run itself writes the other parts.
TABLES = ("features", "components")


def options(output: Path, **more: object) -> JobOptions:
    return JobOptions(**{"input": "nowhere", "output": str(output), **more})  # type: ignore[arg-type]


def record(chunks: int) -> RunRecord:
    return RunRecord(
        created="now", identity={"input": "nowhere"}, manifest=sha256(b"listing"), partitions=chunks, chunks=chunks
    )


def write(output: Path, mark: str, **more: object) -> None:
    with open_output(options(output, **more)) as opened:
        opened.begin(record(1), b"listing")
        opened.publish(stage_everything(opened, mark))


def stage_everything(opened: Output, mark: str) -> dict[str, str]:
    opened.stage.write({part if "." in part else f"{part}/data": mark.encode() for part in PARTS if part not in TABLES})
    for table in TABLES:
        opened.store.write(f".partial/made-{table}/part", mark.encode())
    return {f"{table}/data": f".partial/made-{table}/part" for table in TABLES}


def commit(opened: Output, chunk: int) -> Commit:
    """Featurize nothing, but leave what a chunk leaves."""
    key = f"{opened.stage.attempt(f'chunks/{chunk:06}')}/part-00000.parquet"
    opened.store.write(key, b"x" * (chunk + 1))
    done = Commit(chunk=chunk, seconds=1.0, slots=2, files=(Stored(key, chunk + 1),), tasks=(TaskReport(chunk, 5, 5),))
    opened.stage.commit(done)
    return done


def break_off(output: Path, error: BaseException, chunks: int, committed: int, **more: object) -> None:
    """A run that has committed some of its chunks, and then fails."""

    def run() -> None:
        with open_output(options(output, **more)) as opened:
            opened.begin(record(chunks), b"listing")
            for chunk in range(committed):
                commit(opened, chunk)
            opened.store.write(f"{opened.stage.attempt('chunks/000099')}/half", b"half")
            raise error

    with pytest.raises(type(error)):
        run()


def content(output: Path) -> dict[str, str]:
    return {str(path.relative_to(output)): path.read_text() for path in sorted(output.rglob("*")) if path.is_file()}


def whole(mark: str) -> dict[str, str]:
    files = {(part if "." in part else f"{part}/data"): mark for part in sorted(PARTS)}
    frozen = {"manifest/part-00000.snappy.parquet": "listing", "manifest/_SUCCESS": ""}
    return files | frozen | {f"{table}/_SUCCESS": "" for table in TABLES}


def test_parts_appear_together_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with open_output(options(out)) as opened:
        opened.begin(record(1), b"listing")
        layout = stage_everything(opened, "new")
        assert sorted(path.name for path in out.iterdir()) == [".lock", ".partial"]
        opened.publish(layout)
        assert ".partial" not in [path.name for path in out.iterdir()]
    assert content(out) == whole("new")


@pytest.mark.parametrize("there", [False, True], ids=["no folder before", "an empty folder before"])
def test_a_failed_run_of_one_chunk_leaves_nothing(tmp_path: Path, there: bool) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()
    break_off(out, ZeroDivisionError(), chunks=1, committed=1)
    assert [*tmp_path.rglob("*")] == ([out] if there else [])


def test_an_earlier_output_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "old")
    with pytest.raises(OutputError, match=r"already holds an output: .* --overwrite"):
        write(out, "new")
    break_off(out, FileExistsError("something else"), chunks=1, committed=1, overwrite=True)
    assert content(out) == whole("old")
    write(out, "new", overwrite=True)
    assert content(out) == whole("new")


def test_somebody_elses_files_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for more in ({}, {"overwrite": True}, {"resume": True}, {"since_last": True}):
        with pytest.raises(OutputError, match="no output of Orchard"):
            write(tmp_path, "new", **more)
    assert content(tmp_path) == {"thesis.tex": "years of work"}


def test_what_a_killed_run_left_uncommitted_is_cleared(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "old")
    (out / ".partial" / "chunks" / "000000-ab" / "_temporary").mkdir(parents=True)
    (out / ".partial" / "chunks" / "000000-ab" / "_temporary" / "half").write_text("half")
    (out / ".partial" / "report.json").write_text("half")
    write(out, "new", overwrite=True)
    assert content(out) == whole("new")


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt()])
def test_committed_chunks_are_kept_and_said(tmp_path: Path, error: BaseException) -> None:
    out = tmp_path / "out"
    break_off(out, error, chunks=3, committed=2)
    assert error.__notes__ == ["2 of 3 chunks are kept: continue with --resume"]
    kept = content(out)
    assert sorted(path.split("-")[0] for path in kept) == [
        ".partial/chunks/000000", ".partial/chunks/000000.json", ".partial/chunks/000001", ".partial/chunks/000001.json",
        ".partial/manifest", ".partial/run.json",
    ]  # fmt: skip
    with pytest.raises(
        OutputError,
        match=r"holds 2 of 3 chunks of an unfinished run: continue it with --resume, or start again with --ov",
    ):
        write(out, "new")
    assert content(out) == kept
    with open_output(options(out, resume=True)) as opened:
        assert opened.unfinished
        assert opened.unfinished.run == record(3)
        assert [opened.unfinished.commits[number].photos for number in (0, 1)] == [5, 5]
        opened.go_on(opened.unfinished)
        commit(opened, 2)
        opened.publish(stage_everything(opened, "new"))
    assert content(out) == whole("new")


def test_nothing_is_touched_before_a_run_begins(tmp_path: Path) -> None:
    out = tmp_path / "out"
    break_off(out, KeyboardInterrupt(), chunks=3, committed=2)
    kept, error = content(out), ZeroDivisionError()
    for more in ({"overwrite": True}, {"resume": True}):
        with pytest.raises(ZeroDivisionError), open_output(options(out, **more)):
            raise error
    assert content(out) == kept
    assert not hasattr(error, "__notes__")
    write(out, "new", overwrite=True)
    assert content(out) == whole("new")


def test_a_chunk_whose_files_are_not_whole_does_not_count(tmp_path: Path) -> None:
    out = tmp_path / "out"
    break_off(out, KeyboardInterrupt(), chunks=4, committed=3)
    first, second = sorted((out / ".partial" / "chunks").glob("*/part-00000.parquet"))[:2]
    first.write_bytes(b"")
    second.unlink()
    found = check_output(options(out, resume=True)).unfinished
    assert found
    assert list(found.commits) == [2]


@pytest.mark.parametrize("torn", [b"", b'{"chunk": 1, "sec', b"\0" * 300], ids=["empty", "half", "zeroes"])
def test_a_commit_that_cannot_be_read_does_not_count(tmp_path: Path, torn: bytes) -> None:
    out = tmp_path / "out"
    break_off(out, KeyboardInterrupt(), chunks=4, committed=3)
    (out / ".partial" / "chunks" / "000001.json").write_bytes(torn)
    found = check_output(options(out, resume=True)).unfinished
    assert found
    assert sorted(found.commits) == [0, 2]


@dataclass(frozen=True)
class Watched(LocalStore):
    """A folder that remembers what was done to it, in order."""

    done: list[tuple[str, ...]] = field(default_factory=list)

    def sync(self, keys: Iterable[str]) -> None:
        self.done.append(("sync", *(keys := sorted(keys))))
        super().sync(keys)

    def write(self, key: str, content: bytes | Path) -> None:
        self.done.append(("write", key))
        super().write(key, content)


def test_what_a_mark_stands_for_is_on_the_disk_before_it(tmp_path: Path) -> None:
    store = Watched(str(tmp_path))
    for key in ("features/a", "features/b", "report.json"):
        LocalStore.write(store, f".partial/made/{key}", b"x")
    files = tuple(Stored(f".partial/made/features/{name}", 1) for name in "ab")
    Stage(store).commit(Commit(chunk=3, seconds=1.0, slots=2, files=files, tasks=()))
    assert store.done == [
        ("sync", ".partial/made/features/a", ".partial/made/features/b"),
        ("write", ".partial/chunks/000003.json"),
    ]
    moves = {key: f".partial/made/{key}" for key in ("features/a", "features/b", "report.json")}
    publish(store, moves, lambda: None)
    assert store.done[2:] == [("sync", *sorted(moves.values()))]
    assert {stored.key for stored in store.list()} == set(moves)


def test_what_another_version_left_is_not_taken_for_our_own(tmp_path: Path) -> None:
    (tmp_path / ".partial").mkdir()
    for strange in ('{"schema": 99}', "[]", "half a lin"):
        (tmp_path / ".partial" / "run.json").write_text(strange)
        with pytest.raises(
            OutputError, match="another version of Orchard began a run there: start again with --overwrite"
        ):
            write(tmp_path, "new")
    write(tmp_path, "new", overwrite=True)
    assert content(tmp_path) == whole("new")


@pytest.mark.parametrize("moved", range(2 * len(PARTS) + 2))
def test_a_kill_between_any_two_moves_is_finished_by_the_next_run(
    tmp_path: Path, moved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write(out, "old")
    rename, renames = os.rename, iter(range(moved))

    def rename_until_killed(source: Path, target: Path) -> None:
        if next(renames, None) is None:
            raise SystemExit
        rename(source, target)

    with open_output(options(out, overwrite=True)) as opened:
        opened.begin(record(1), b"listing")
        layout = stage_everything(opened, "new")
        monkeypatch.setattr(os, "rename", rename_until_killed)
        with pytest.raises(SystemExit) if moved < 2 * len(PARTS) + 1 else pytest.MonkeyPatch.context():
            opened.publish(layout)
        monkeypatch.undo()
    with pytest.raises(OutputError, match="already holds an output"):
        write(out, "newer")
    if moved:
        assert content(out) == whole("new")
    else:  # killed before the one rename that counts: all of the old output, and the new one to go on with
        assert {path: mark for path, mark in content(out).items() if not path.startswith(".partial")} == whole("old")


def test_files_are_copied_where_the_file_system_has_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    with open_output(options(tmp_path / "out")) as opened:
        opened.begin(record(1), b"listing")
        layout = stage_everything(opened, "new")
        monkeypatch.setattr(os, "link", refuse)
        opened.publish(layout)
    assert content(tmp_path / "out") == whole("new")


HOLD = """
import sys, time
from orchard.options import JobOptions
from orchard.legacy.output import open_output
with open_output(JobOptions(input="nowhere", output=sys.argv[1])):
    print("writing", flush=True)
    time.sleep(60)
"""


def test_two_runs_do_not_write_one_output(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout
            assert other.stdout.readline() == "writing\n"
            for more in ({}, {"overwrite": True}, {"resume": True}):
                with pytest.raises(OutputError, match="another run is writing there"):
                    write(tmp_path / "out", "new", **more)
        finally:
            other.kill()
    write(tmp_path / "out", "new")
    assert content(tmp_path / "out") == whole("new")


@pytest.mark.parametrize("place", ["", "out", "a/b/out"])
def test_the_input_is_refused_as_a_place_for_output(tmp_path: Path, place: str) -> None:
    wanted = replace(options(tmp_path / place, overwrite=True), input=str(tmp_path))
    (tmp_path / "link").symlink_to(tmp_path)
    for output in (wanted.output, str(tmp_path / "link" / "x")):
        with pytest.raises(UsageError, match="never written to"), open_output(replace(wanted, output=output)):
            pass
        with pytest.raises(UsageError, match="never written to"):
            check_output(replace(wanted, output=output))
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"--output .*: Not a directory"):
        write(tmp_path / "file" / "out", "new")
    with pytest.raises(UsageError, match="no writer for gopher://"):
        check_output(JobOptions(input="x", output="gopher://hole"))
