"""`orchard-deploy run-local` and `build` with the real engine and the real image."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from orchard_deploy.local.container import ContainerRun, execute
from orchard_deploy.local.run_local import job_of, with_job
from orchard_deploy.spec import SPEC_FILE, load_spec

from tests.container.conftest import CLI, running_containers
from tests.deploy.conftest import ROOT
from tests.run.golden import FEATURES_TOLERANCE, PARTITIONS, Golden
from tests.runs import Output

pytestmark = pytest.mark.container


def words_of(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "orchard_deploy", name, *map(str, arguments)]


def orchard_deploy(
    name: str, *arguments: object, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = words_of(name, *arguments)
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=600, check=False)


def run_local(image: str, source: Path, output: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return orchard_deploy("run-local", "--image", image, "--input", source, "--output", output, *words)


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last thing said; spark-submit puts the job's standard error on its standard output."""
    said = (done.stdout + done.stderr).strip()
    assert "Traceback" not in said
    return said.splitlines()[-1]


def user_of(container: str) -> str:
    """Whom a container runs as."""
    command = [CLI, "inspect", "--format", "{{.Config.User}}", container]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def golden(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """The reference photos as plain files: a container does not see where links lead."""
    return Golden(shared, "sample50", tmp_path_factory.mktemp("golden"), copies=True)


def test_run_local_gives_the_golden_features(image: str, golden: Golden, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    done = run_local(image, golden.photos, out)
    assert done.returncode == 0, done.stdout + done.stderr
    output = Output(out)
    golden.assert_same(output)
    report = output.report
    assert report["partitions"] == PARTITIONS
    assert report["spark"]["master"] == "local[4]"
    assert owners(out) == {(os.getuid(), os.getgid())}


def owners(folder: Path) -> set[tuple[int, int]]:
    return {(path.stat().st_uid, path.stat().st_gid) for path in (folder, *folder.rglob("*"))}


@pytest.fixture(scope="module")
def drawn_output(image: str, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Output:
    """What `run-local` makes of the drawn photos; its lines are streamed."""
    out = tmp_path_factory.mktemp("run-local") / "out"
    command = words_of("run-local", "--image", image, "--input", drawn, "--output", out)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        assert any("24 photos" in line for line in process.stdout)
        assert not (out / "report.json").exists()
        rest = process.stdout.read()
    assert process.returncode == 0, rest
    return Output(out)


def test_run_local_by_the_specification(image: str, drawn: Path, drawn_output: Output) -> None:
    report = drawn_output.report
    tag = image.rpartition(":")[2]
    assert (report["runtime"], report["spark"]["master"], report["image"]) == ("litert", "local[4]", tag)
    photos = {path.relative_to(drawn).as_posix() for path in drawn.rglob("*.jpg")}
    assert {row["path"] for row in drawn_output.rows("features")} == photos
    assert len(photos) == 24
    k, ratio = report["pca"]["k"], report["pca"]["explained_variance_ratio"]
    assert sum(ratio[:k]) >= 0.9 > sum(ratio[: k - 1])
    assert owners(drawn_output.folder) == {(os.getuid(), os.getgid())}


def test_run_local_again_changes_nothing(image: str, drawn: Path, drawn_output: Output) -> None:
    before = drawn_output.rows("components")
    done = run_local(image, drawn, drawn_output.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert drawn_output.rows("components") == before


@pytest.mark.slow
def test_runtime_tensorflow_gives_the_same_features(
    image: str, drawn: Path, drawn_output: Output, tmp_path: Path
) -> None:
    done = run_local(image, drawn, tmp_path / "out", "--slots", 2, "--", "--runtime", "tensorflow")
    assert done.returncode == 0, done.stdout + done.stderr
    output = Output(tmp_path / "out")
    assert output.report["runtime"] == "tensorflow"
    assert [row["path"] for row in output.rows("features")] == [row["path"] for row in drawn_output.rows("features")]
    found, expected = (each.matrix("features", "features") for each in (output, drawn_output))
    np.testing.assert_allclose(found, expected, atol=FEATURES_TOLERANCE)


def test_run_local_passes_the_exit_code_of_the_job_on(image: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run_local(image, tmp_path / "empty", tmp_path / "out")
    assert done.returncode == 1
    assert last_line(done).startswith("orchard: error: ")
    assert not (tmp_path / "out" / "report.json").exists()


def test_dry_run_prints_a_line_that_runs_as_it_is(image: str, drawn: Path, tmp_path: Path) -> None:
    """By the shell, with spaces in its paths and a new output folder, which is the caller's."""
    out = tmp_path / "deep" / "my out"
    (tmp_path / "my photos").symlink_to(drawn)
    (line,) = run_local(image, tmp_path / "my photos", out, "--dry-run").stdout.splitlines()
    environ = {**os.environ, "PATH": f"{Path(CLI).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", line], env=environ, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(Output(out).rows("features")) == 24
    assert owners(out) == {(os.getuid(), os.getgid())}


def planned(image: str, source: Path, output: Path, user: tuple[int, int]) -> ContainerRun:
    spec = load_spec(ROOT / SPEC_FILE)
    job = job_of(spec, (), input=str(source), output=str(output))
    return with_job(ContainerRun(image=image, cpus=2, memory=4 << 30, user=user), spec, job, 2, {})


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_a_user_that_the_image_does_not_know(image: str, drawn: Path, tmp_path: Path) -> None:
    user = (2_000_000_000, 1234)
    (tmp_path / "out").mkdir()
    os.chown(tmp_path / "out", *user)
    assert execute(planned(image, drawn, tmp_path / "out", user), "4g") == 0
    assert owners(tmp_path / "out") == {user}


def test_output_of_another_user(image: str, drawn: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As the job itself finds it."""
    (tmp_path / "out").mkdir(mode=0o755)
    run = planned(image, drawn, tmp_path / "out", (os.getuid() + 1, os.getgid() + 1))
    assert execute(run, "4g") == 1
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert "/output" in (out + err).strip().splitlines()[-1]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_output_of_another_user_is_refused_where_root_calls(image: str, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o755)
    os.chown(tmp_path / "out", 1234, 1234)
    done = run_local(image, drawn, tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert str(tmp_path / "out") in last_line(done)


@pytest.mark.parametrize(("memory", "named"), [("150m", "--memory 150m"), ("300m", "mobilenet_v2")])
def test_memory_that_is_too_little_is_named(image: str, drawn: Path, tmp_path: Path, memory: str, named: str) -> None:
    """The kernel ends Spark itself where it has no room; the job says it where the networks have none."""
    done = run_local(image, drawn, tmp_path / "out", "--memory", memory)
    assert done.returncode not in (0, 2)
    assert named in last_line(done)


def test_image_that_is_missing_or_not_of_orchard(image: str, small_image: str, drawn: Path, tmp_path: Path) -> None:
    for name in ("orchard:none", small_image):
        done = run_local(name, drawn, tmp_path / "out")
        assert done.returncode == 1
        assert name in last_line(done)


def test_ctrl_c_stops_the_container(image: str, drawn: Path, tmp_path: Path) -> None:
    command = words_of("run-local", "--image", image, "--input", drawn, "--output", tmp_path / "out")
    before = running_containers()
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        deadline = time.monotonic() + 60
        while not running_containers() - before and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(2)
        (started,) = running_containers() - before
        assert user_of(started) == f"{os.getuid()}:{os.getgid()}"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert started not in running_containers()


def test_no_engine_is_reported_in_one_line(tmp_path: Path, drawn: Path) -> None:
    environ = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nothing"}
    words = ("--image", "x", "--input", drawn, "--output", tmp_path / "out")
    done = orchard_deploy("run-local", *words, environ=environ)
    assert done.returncode == 1
    assert "DOCKER_HOST" in last_line(done)
    assert f"unix://{tmp_path}/nothing" in last_line(done)


def test_build_where_the_image_is_there(image: str, stand_in_spec: Path) -> None:
    done = orchard_deploy("build", "--spec", stand_in_spec)
    assert done.stdout.strip() == image
    assert "building" not in done.stderr


def test_build_force_builds_it_again(image: str, stand_in_spec: Path) -> None:
    again = orchard_deploy("build", "--spec", stand_in_spec, "--docker", CLI, "--force")
    assert again.stdout.splitlines()[-1] == image
    assert f"orchard-deploy: building {image} " in again.stderr
