"""`orchard-deploy run-local` and `build` with the real engine and the real image."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from deploy.docker_engine import DockerEngine
from deploy.local_command import run_and_report
from deploy.run_local import Locally, plan_run
from deploy.spec import SPEC_FILE, load_spec
from tests.container.conftest import CLI
from tests.deploy.conftest import ROOT
from tests.golden import FEATURES_TOLERANCE, PARTITIONS, Golden
from tests.runs import Output


def orchard_deploy(*arguments: object, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


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


def test_the_reference_experiment(image: str, golden: Golden, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    done = orchard_deploy("run-local", "--image", image, "--input", golden.photos, "--output", out)
    assert done.returncode == 0, done.stderr
    output = Output(out)
    golden.assert_same(output)
    report = output.report
    assert report["partitions"] == PARTITIONS
    assert report["spark"]["master"] == "local[4]"
    assert "50 listed = 50 featurized + 0 rejected" in done.stdout
    assert {path.stat().st_uid for path in out.rglob("*")} == {os.getuid()}
    assert {path.stat().st_gid for path in out.rglob("*")} == {os.getgid()}


@pytest.fixture(scope="module")
def drawn_output(image: str, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Output:
    """What `run-local` makes of the drawn photos."""
    out = tmp_path_factory.mktemp("run-local") / "out"
    done = orchard_deploy("run-local", "--image", image, "--input", drawn, "--output", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 listed = 24 featurized + 0 rejected" in done.stdout
    return Output(out)


def test_drawn_photos_by_the_specification(image: str, drawn: Path, drawn_output: Output) -> None:
    """On a clone without the reference photos, too."""
    report = drawn_output.report
    assert (report["runtime"], report["spark"]["master"], report["image"]) == (
        "litert",
        "local[4]",
        image.rpartition(":")[2],
    )
    assert {row["path"] for row in drawn_output.rows("features")} == {
        path.relative_to(drawn).as_posix() for path in drawn.rglob("*.jpg")
    }
    k, ratio = report["pca"]["k"], report["pca"]["explained_variance_ratio"]
    assert sum(ratio[:k]) >= 0.9 > sum(ratio[: k - 1])
    assert {(path.stat().st_uid, path.stat().st_gid) for path in drawn_output.folder.rglob("*")} == {
        (os.getuid(), os.getgid())
    }


def test_tensorflow_is_in_the_image_and_gives_the_same_features(
    image: str, drawn: Path, drawn_output: Output, tmp_path: Path
) -> None:
    words = [
        "--image",
        image,
        "--input",
        drawn,
        "--output",
        tmp_path / "out",
        "--slots",
        2,
        "--",
        "--runtime",
        "tensorflow",
    ]
    done = orchard_deploy("run-local", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    output = Output(tmp_path / "out")
    assert output.report["runtime"] == "tensorflow"
    assert [row["path"] for row in output.rows("features")] == [row["path"] for row in drawn_output.rows("features")]
    found, expected = (each.matrix("features", "features") for each in (output, drawn_output))
    np.testing.assert_allclose(found, expected, atol=FEATURES_TOLERANCE)


def test_without_photos_the_job_says_so_and_its_exit_code_comes_through(image: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = orchard_deploy("run-local", "--image", image, "--input", tmp_path / "empty", "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "no photos in it" in last_line(done)
    assert not (tmp_path / "out").exists()


def test_without_an_input_folder_nothing_is_started(image: str, tmp_path: Path) -> None:
    done = orchard_deploy("run-local", "--image", image, "--input", tmp_path / "none", "--output", tmp_path / "out")
    assert done.returncode == 2
    assert "no such folder" in last_line(done)


def test_an_output_inside_the_input_starts_nothing(image: str, drawn: Path) -> None:
    done = orchard_deploy("run-local", "--image", image, "--input", drawn, "--output", drawn / "out")
    assert done.returncode == 2
    assert "is inside --input" in last_line(done)
    assert not (drawn / "out").exists()


def test_the_printed_lines_run_as_they_are(image: str, drawn: Path, tmp_path: Path) -> None:
    """By the shell, with a new output folder, which is the caller's in the end; and no file of theirs stays."""
    out, temporary = tmp_path / "deep" / "out", tmp_path / "tmp"
    temporary.mkdir()
    printed = orchard_deploy("run-local", "--image", image, "--input", drawn, "--output", out, "--dry-run").stdout
    environ = {**os.environ, "PATH": f"{Path(CLI).parent}:{os.environ['PATH']}", "TMPDIR": str(temporary)}
    done = subprocess.run(["sh", "-c", printed], env=environ, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(Output(out).rows("features")) == 24
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (out, *out.rglob("*"))} == {(os.getuid(), os.getgid())}
    assert list(temporary.iterdir()) == []


def test_an_output_that_cannot_be_made(image: str, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = orchard_deploy("run-local", "--image", image, "--input", drawn, "--output", tmp_path / "file" / "out")
    assert done.returncode == 2
    assert "choose a place that you can write to" in last_line(done)


def test_an_output_that_the_job_may_not_write_to(
    image: str, drawn: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The folder of another user, as the job itself finds it."""
    (tmp_path / "out").mkdir(mode=0o755)
    asked = Locally(
        image=image,
        input=str(drawn),
        output=str(tmp_path / "out"),
        slots=2,
        cpus=2,
        memory=4 << 30,
        user=(os.getuid() + 1, os.getgid() + 1),
    )
    run = plan_run(load_spec(ROOT / SPEC_FILE), asked)
    assert run_and_report(DockerEngine(), run, "4g") == 1
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert (out + err).strip().splitlines()[-1].startswith("orchard: error: --output /output: Permission denied")
    assert list((tmp_path / "out").iterdir()) == []


def test_too_little_memory_is_told_with_the_limit(image: str, drawn: Path, tmp_path: Path) -> None:
    done = orchard_deploy(
        "run-local", "--image", image, "--input", drawn, "--output", tmp_path / "out", "--memory", "300m"
    )
    assert done.returncode not in (0, 2)
    assert "out of memory: it needs more than --memory 300m" in last_line(done)


def test_an_image_that_is_not_there_or_not_orchards(image: str, small_image: str, drawn: Path, tmp_path: Path) -> None:
    for name, text in (("orchard:none", "no such image here"), (small_image, "not an image of Orchard")):
        done = orchard_deploy("run-local", "--image", name, "--input", drawn, "--output", tmp_path / "out")
        assert done.returncode == 1
        assert text in last_line(done)


def test_ctrl_c_stops_the_container(image: str, drawn: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "deploy",
        "run-local",
        "--image",
        image,
        "--input",
        str(drawn),
        "--output",
        str(tmp_path / "out"),
    ]
    before = set(DockerEngine().running_containers())
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        deadline = time.monotonic() + 60
        while not set(DockerEngine().running_containers()) - before and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(2)
        (started,) = set(DockerEngine().running_containers()) - before
        assert user_of(started) not in ("", "0", "root", "0:0")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "stopping the container" in errors
    assert set(DockerEngine().running_containers()) == before


def test_no_engine_is_told_in_one_line(tmp_path: Path, drawn: Path) -> None:
    environ = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nothing"}
    command = [
        sys.executable,
        "-m",
        "deploy",
        "run-local",
        "--image",
        "x",
        "--input",
        str(drawn),
        "--output",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "DOCKER_HOST" in last_line(done)


def test_lines_come_while_the_job_is_at_work(image: str, drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "deploy",
        "run-local",
        "--image",
        image,
        "--input",
        str(drawn),
        "--output",
        str(out),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        assert any("24 photos, 4 partitions" in line for line in process.stdout)
        assert not (out / "report.json").exists()
        rest = process.stdout.read()
    assert process.returncode == 0, rest
    assert (out / "report.json").exists()


def test_an_image_that_is_there_is_not_built_again_unless_forced(image: str, stand_in_spec: Path) -> None:
    done = orchard_deploy("build", "--spec", stand_in_spec)
    assert done.stdout.strip() == image
    assert f"{image} is there already" in done.stderr
    again = orchard_deploy("build", "--spec", stand_in_spec, "--docker", CLI, "--force")
    assert again.stdout.splitlines()[-1] == image
    *layers, whole = [
        int(found[1].replace(",", ""))
        for found in re.finditer(r"^orchard-deploy: +([\d,]+) MB ", again.stderr, re.MULTILINE)
    ]
    assert len(layers) > 5
    assert sum(layers) == pytest.approx(whole, abs=20)
