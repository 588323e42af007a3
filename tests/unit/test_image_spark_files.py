"""The files that the image adds for Spark's JVM."""

from __future__ import annotations

import platform
import zipfile
from pathlib import Path

import pytest
from orchard.spark.java import START_OPTIONS
from orchard.spark.session import LOCAL_SETTINGS

from image.spark_files import jars_of, read_properties, write_all, write_class_path_jar

SNAPPY = "org/xerial/snappy/native/Linux/{}/libsnappyjava.so"


@pytest.fixture
def spark_home(tmp_path: Path) -> Path:
    """A Spark of two jars and a configuration, such as EMR's."""
    home = tmp_path / "spark"
    (home / "jars").mkdir(parents=True)
    (home / "conf").mkdir()
    (home / "jars" / "core.jar").write_bytes(b"")
    with zipfile.ZipFile(home / "jars" / "snappy-java-1.1.10.5.jar", "w") as jar:
        for machine in ("x86_64", "aarch64"):
            jar.writestr(SNAPPY.format(machine), machine)
    (home / "conf" / "spark-defaults.conf").write_text(
        f"# of the base\nspark.driver.extraClassPath {tmp_path}/aws/conf:{tmp_path}/aws/lib/*\n", encoding="utf-8"
    )
    (tmp_path / "aws" / "lib").mkdir(parents=True)
    (tmp_path / "aws" / "lib" / "sdk.jar").write_bytes(b"")
    return home


def class_path_of(jar: Path) -> list[str]:
    with zipfile.ZipFile(jar) as archive:
        manifest = archive.read("META-INF/MANIFEST.MF").decode()
    assert all(len(line) <= 72 for line in manifest.split("\r\n"))
    (line,) = (line for line in manifest.replace("\r\n ", "").split("\r\n") if line.startswith("Class-Path: "))
    return line.removeprefix("Class-Path: ").split(" ")


def test_properties_are_read_in_both_spellings() -> None:
    text = "# no comment\nspark.a  one two\n\nspark.b=three\nspark.c\n"
    assert read_properties(text) == {"spark.a": "one two", "spark.b": "three"}


def test_jars_come_in_one_order_and_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("b.jar", "a.jar", "c.txt"):
        (tmp_path / name).touch()
    (tmp_path / "conf").mkdir()
    path = [str(tmp_path / "conf"), str(tmp_path / "b.jar"), "", f"{tmp_path}/*", str(tmp_path / "gone.jar")]
    assert jars_of(path) == [str(tmp_path / "b.jar"), str(tmp_path / "a.jar")]


def test_a_class_path_of_any_length_is_folded_and_always_the_same_file(tmp_path: Path) -> None:
    jars = [f"{tmp_path}/jars/{'x' * length}.jar" for length in range(1, 90)]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for folder in ("one", "two"):
        write_class_path_jar(tmp_path / folder / "c.jar", jars)
    assert class_path_of(tmp_path / "one" / "c.jar") == [f"../jars/{'x' * length}.jar" for length in range(1, 90)]
    assert (tmp_path / "one" / "c.jar").read_bytes() == (tmp_path / "two" / "c.jar").read_bytes()
    # Earlier than anything SOURCE_DATE_EPOCH could be: the archive of classes remembers this time.
    assert (tmp_path / "one" / "c.jar").stat().st_mtime == 315532800


def test_local_runs_keep_the_bases_class_path_behind_the_jar(spark_home: Path, tmp_path: Path) -> None:
    write_all(tmp_path / "java", {"SPARK_HOME": str(spark_home)})
    settings = read_properties((tmp_path / "java" / "local.conf").read_text(encoding="utf-8"))
    assert (
        settings["spark.driver.extraClassPath"]
        == f"{tmp_path}/java/class-path.jar:{tmp_path}/aws/conf:{tmp_path}/aws/lib/*"
    )
    names = [Path(name).name for name in class_path_of(tmp_path / "java" / "class-path.jar")]
    assert names == ["sdk.jar", "core.jar", "snappy-java-1.1.10.5.jar"]


def test_local_runs_are_set_up_as_orchards_own_sessions(spark_home: Path, tmp_path: Path) -> None:
    write_all(tmp_path / "java", {"SPARK_HOME": str(spark_home)})
    settings = read_properties((tmp_path / "java" / "local.conf").read_text(encoding="utf-8"))
    assert {name: settings[name] for name in LOCAL_SETTINGS} == {
        name: str(value) for name, value in LOCAL_SETTINGS.items()
    }
    options = settings["spark.driver.extraJavaOptions"].split()
    assert options[: len(START_OPTIONS)] == list(START_OPTIONS)
    assert f"-XX:SharedArchiveFile={tmp_path}/java/classes.jsa" in options
    log = next(option for option in options if "log4j2" in option)
    assert Path(log.partition("file://")[2]).is_file()


def test_snappys_library_is_this_machines(spark_home: Path, tmp_path: Path) -> None:
    write_all(tmp_path / "java", {"SPARK_HOME": str(spark_home)})
    assert (tmp_path / "java" / "native" / "libsnappyjava.so").read_text() == platform.machine()


def test_a_base_without_settings_will_do(spark_home: Path, tmp_path: Path) -> None:
    (spark_home / "conf" / "spark-defaults.conf").unlink()
    write_all(tmp_path / "java", {"SPARK_HOME": str(spark_home)})
    settings = read_properties((tmp_path / "java" / "local.conf").read_text(encoding="utf-8"))
    assert settings["spark.driver.extraClassPath"] == f"{tmp_path}/java/class-path.jar"
