"""`python -m orchard`, interrupted before anything of it is imported."""

from __future__ import annotations

import subprocess
import sys

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
