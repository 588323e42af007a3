"""What spark-submit starts in the image."""

from __future__ import annotations

import pytest
from orchard.spark.session import START_OPTIONS

from image.local_conf import local_conf
from image.main import command_line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["run"]),
        (["--input", "a"], ["run", "--input", "a"]),
        (["run", "--input", "a"], ["run", "--input", "a"]),
        (["report", "out"], ["report", "out"]),
        (["train", "--features", "a", "--output", "b"], ["train", "--features", "a", "--output", "b"]),
        (["export", "classifier", "--output", "x.tflite"], ["export", "classifier", "--output", "x.tflite"]),
    ],
)
def test_command_line(words: list[str], expected: list[str]) -> None:
    assert command_line(words) == expected


def test_local_conf() -> None:
    settings = dict(line.split(" ", 1) for line in local_conf("/site").splitlines())
    java = settings["spark.driver.extraJavaOptions"].split()
    assert set(START_OPTIONS) < set(java)
    assert "-Dlog4j2.configurationFile=file:///site/orchard/spark/log4j2.properties" in java
    assert settings["spark.driver.host"] == "127.0.0.1"
