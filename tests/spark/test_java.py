from __future__ import annotations

import os
from pathlib import Path

import pyspark
import pytest
from orchard.errors import MachineError
from orchard.spark.session import Java, archive_options, find_java, start_jvm


def make_java(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch(mode=0o755)
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


def test_find_java_prefers_java_home_to_the_path(tmp_path: Path) -> None:
    home, other = make_java(tmp_path / "home", "17.0.1"), make_java(tmp_path / "other", "17.0.2")
    path = str(other / "bin")
    assert find_java({"JAVA_HOME": str(home), "PATH": path}) == Java(str(home), "17.0.1")
    assert find_java({"PATH": path}) == Java(str(other), "17.0.2")


@pytest.mark.parametrize("version", ["1.8.0", "11.0.2", "21.0.2"])
def test_find_java_skips_other_versions(tmp_path: Path, version: str) -> None:
    old = make_java(tmp_path / "old", version)
    assert find_java({"JAVA_HOME": str(old), "PATH": ""}).version.startswith("17.")


def test_find_java_names_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    new = make_java(tmp_path / "new", "21.0.2")
    with pytest.raises(MachineError) as caught:
        find_java({"JAVA_HOME": str(new), "PATH": ""})
    assert f"21.0.2 in {new}" in str(caught.value)
    with pytest.raises(MachineError):
        find_java({"PATH": ""})


@pytest.fixture
def spark_home(tmp_path: Path) -> Path:
    (tmp_path / "spark" / "jars").mkdir(parents=True)
    (tmp_path / "spark" / "jars" / "spark.jar").touch()
    return tmp_path / "spark"


@pytest.fixture
def java(tmp_path: Path) -> Java:
    archive = make_java(tmp_path / "java", "17.0.1") / "lib" / "server" / "classes.jsa"
    archive.parent.mkdir(parents=True)
    archive.touch()
    return Java(str(tmp_path / "java"), "17.0.1")


def test_archive_options(java: Java, spark_home: Path, tmp_path: Path) -> None:
    (option,) = archive_options(java, str(spark_home), tmp_path)
    name, path = option.split("=")
    assert name == "-XX:ArchiveClassesAtExit"
    Path(path).write_bytes(b"\0\0\0\0classes")  # as a JVM leaves it that is killed while it writes
    assert archive_options(java, str(spark_home), tmp_path) == [option]
    Path(path).write_bytes(b"classes")
    assert archive_options(java, str(spark_home), tmp_path) == [f"-XX:SharedArchiveFile={path}"]
    assert archive_options(Java(java.home, "17.0.2"), str(spark_home), tmp_path) != [f"-XX:SharedArchiveFile={path}"]
    (spark_home / "jars" / "another.jar").touch()
    assert archive_options(java, str(spark_home), tmp_path) != [f"-XX:SharedArchiveFile={path}"]


def test_archive_options_where_no_archive_can_be_written(java: Java, spark_home: Path, tmp_path: Path) -> None:
    assert archive_options(java, str(spark_home), Path("/proc/orchard")) == []
    assert archive_options(Java(str(tmp_path / "bare"), "17.0.1"), str(spark_home), tmp_path) == []


def test_start_jvm_that_does_not_start(capfd: pytest.CaptureFixture[str]) -> None:
    command = [os.path.join(find_java().home, "bin", "java"), "-cp", f"{pyspark.__path__[0]}/jars/*"]
    with pytest.raises(MachineError) as caught:
        start_jvm(command, {**os.environ, "JAVA_TOOL_OPTIONS": "-XX:NoSuchOption=1"})
    assert "JAVA_TOOL_OPTIONS" in str(caught.value)
    assert "NoSuchOption" in capfd.readouterr().err


# It answers with a port where nobody listens, and a secret of one letter.
DEAF = r"""#!/bin/sh
echo $$ > "$PID"
printf '\000\000\000\001\000\000\000\001x' > "$_PYSPARK_DRIVER_CONN_INFO_PATH.new"
mv "$_PYSPARK_DRIVER_CONN_INFO_PATH.new" "$_PYSPARK_DRIVER_CONN_INFO_PATH"
exec sleep 60
"""


def test_start_jvm_without_a_gateway_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "java").write_text(DEAF)
    (tmp_path / "java").chmod(0o755)
    with pytest.raises(ConnectionRefusedError):
        start_jvm([str(tmp_path / "java")], {**os.environ, "PID": str(tmp_path / "pid")})
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
