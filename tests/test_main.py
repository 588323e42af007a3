"""`python -m orchard`, interrupted before anything of it is imported, or installed without what the job needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

INTERRUPTED = """
import sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "orchard.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
from orchard.__main__ import main
main()
"""


def test_ctrl_c_while_importing() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


WITHOUT = "import sys; sys.modules[{!r}] = None; from orchard.__main__ import main; sys.exit(main())"


def test_an_installation_of_the_launchers_alone() -> None:
    command = [sys.executable, "-c", WITHOUT.format("rich"), "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "orchard[local]" in done.stderr


def test_a_fault_of_our_own_is_not_taken_for_a_missing_package() -> None:
    command = [sys.executable, "-c", WITHOUT.format("orchard.classifier.command"), "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr


def test_closed_outputs_are_no_error(drawn: Path, tmp_path: Path) -> None:
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        line = f'exec "$0" -m orchard run --input "$1" --output "$2" --dry-run {closed}'
        command = ["sh", "-c", line, sys.executable, str(drawn), str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert bool(done.stdout) == (closed == "2>&-")
