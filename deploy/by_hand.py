"""What `run-local` does, as lines for a shell: `docker run`, with what it needs before and leaves to do. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from deploy.container import ContainerRun

# A shell's variable: a new folder each time, for the small files.
_FILES = "$files"


def shell_lines(run: ContainerRun, caller: tuple[int, int]) -> list[str]:
    """Lines for any shell with GNU's tools; their exit code is the job's, and nothing stays but the output."""
    lines = [
        *_output(run, caller),
        *_files(run, caller),
        " ".join(map(_quote, run.with_files_in(Path(_FILES)).docker_run())),
    ]
    # In parentheses they are a process of their own, at whose end the traps act.
    return [
        "(",
        "set -e",
        "files=$(mktemp -d)",
        "trap 'rm -rf \"$files\"' EXIT",
        "trap 'exit 130' INT TERM",
        *lines,
        ")",
    ]


def _output(run: ContainerRun, caller: tuple[int, int]) -> Iterator[str]:
    """The output folder made by the caller, since Docker's own would be root's.

    It is lent where the container runs as someone else.
    """
    for folder in (mount.source for mount in run.mounts if not mount.read_only):
        yield f"output={shlex.quote(str(folder))}"
        yield 'mkdir -p "$output"'
        if run.user and run.user != caller:
            yield 'owner=$(stat -c %u:%g "$output")'
            yield 'trap \'chown -hR "$owner" "$output"; rm -rf "$files"\' EXIT'
            yield 'chown -hR {}:{} "$output"'.format(*run.user)


def _files(run: ContainerRun, caller: tuple[int, int]) -> Iterator[str]:
    for target, text in run.files.items():
        yield f'printf %s {shlex.quote(text)} >"$files"/{Path(target).name}'
    yield 'chmod -R a+rX "$files"'
    owner = "-o {} -g {} ".format(*run.user) if run.user and run.user != caller else ""
    for target, source in run.copies.items():
        yield f'install -m 400 {owner}{shlex.quote(str(source))} "$files"/{Path(target).name}'


def _quote(word: str) -> str:
    """As a shell needs it: the one variable is left for it to put in."""
    return f'"{word}"' if word.startswith(f"type=bind,source={_FILES}/") else shlex.quote(word)
