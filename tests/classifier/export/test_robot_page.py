"""The program in docs/robot.md, as it stands there, in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from tests.classifier.export.conftest import Made

PAGE = Path(__file__).resolve().parents[3] / "docs" / "robot.md"


def answer(folder: Path, file: Path, photo: Path) -> str:
    """What the program prints; `-I` keeps this project out of its way."""
    program = folder / "robot.py"
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    program.write_text(block, encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-I", program, file, photo]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_program_answers_as_the_classifier(made: Made, exported: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    said = made.model.predict(made.features)
    sure, unsure = np.flatnonzero(~said.unsure)[0], np.flatnonzero(said.unsure)[0]
    expected = f"{made.model.classes[said.best[sure]]} {said.probabilities[sure].max():.2f}"
    assert answer(tmp_path, exported[0], made.photos[sure]) == expected
    assert answer(tmp_path, exported[0], made.photos[unsure]) == "unsure"
    turned, exif = tmp_path / "turned.png", Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    with Image.open(made.photos[sure]) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    assert answer(tmp_path, exported[0], turned) == expected
