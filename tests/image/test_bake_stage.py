"""The stage of the Dockerfile that bakes the weights: it has a part of the app only."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What the bake imports, as it starts and once it has read its flags.
MODULES = "orchard.network.bake.command, orchard.network.bake.bake, orchard.network.bake.models"


def test_the_bake_needs_no_more_of_the_app_than_its_stage_copies(tmp_path: Path) -> None:
    stage = re.search(r"^FROM packages AS bake\n(.*?)^FROM ", (ROOT / "Dockerfile").read_text(), re.M | re.S)
    assert stage
    copies = re.findall(r"^COPY (app/\S+) /src/(\S+)$", stage[1], re.MULTILINE)
    assert ("app/orchard/errors.py", "orchard/errors.py") in copies
    for source, target in copies:
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, tmp_path / target)
    (tmp_path / "orchard" / "__init__.py").touch()  # before the one that is installed beside the tests
    code = f"import sys, {MODULES}; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('orchard')))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert {Path(file).is_relative_to(tmp_path) for file in found.stdout.split()} == {True}
