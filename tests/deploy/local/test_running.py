"""What a run on this machine needs on its disk, and what is refused before anything is started."""

from __future__ import annotations

import os
import shlex
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.errors import SpecError
from orchard_deploy.local.run_local import make_output, names_file
from orchard_deploy.spec import SPEC_FILE

from tests.deploy.conftest import ROOT
from tests.deploy.fake_docker import FakeDocker
from tests.deploy.local.conftest import DockerClient

CALLER = (os.getuid(), os.getgid())
only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")


def test_a_folder_is_made_unless_it_is_there(tmp_path: Path) -> None:
    for _ in range(2):
        make_output(tmp_path / "deep" / "out")
        assert (tmp_path / "deep" / "out").is_dir()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpecError) as raised:
        make_output(tmp_path / "file" / "out")
    assert raised.value.exit_code == 2


def test_a_folder_that_the_caller_may_not_write_to(folder_of_a_user: Path) -> None:
    make_output(folder_of_a_user)
    folder_of_a_user.chmod(0o555)
    with pytest.raises(SpecError, match=f"--output {folder_of_a_user}"):
        make_output(folder_of_a_user)


@only_root
@pytest.mark.parametrize(
    ("owner", "mode", "may"),
    [
        ((0, 0), 0o700, True),
        ((0, 0), 0o500, False),
        ((1000, 1001), 0o755, False),
        ((1000, 1001), 0o757, True),
        ((1000, 0), 0o770, True),
        ((1000, 0), 0o757, False),
    ],
)
def test_a_folder_of_another_user_where_root_calls(
    tmp_path: Path, owner: tuple[int, int], mode: int, may: bool
) -> None:
    """Root without capabilities, as it is in the container, may do what anyone may."""
    folder = tmp_path / "out"
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, *owner)
    if may:
        make_output(folder)
        return
    with pytest.raises(SpecError) as raised:
        make_output(folder)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("user", [(1000, 1001), (2_000_000_000, 7), (0, 0)])
def test_every_user_has_a_name_in_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: tuple[int, int]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = names_file(user)
    lines = [line.split(":") for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line[0] for line in lines if line[2] == str(user[0])] == ["hadoop" if user[0] else "root"]
    assert {line[5] for line in lines} == {"/tmp"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    before = path.stat().st_mtime_ns
    assert names_file(user) == path
    assert path.stat().st_mtime_ns == before
    path.write_text("else", encoding="utf-8")
    assert "root:" in names_file(user).read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(SpecError, match="XDG_CACHE_HOME"):
        names_file((1000, 1001))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "my photos").mkdir()
    return tmp_path / "my photos"


def run_local(photos: Path, *words: str, image: str = "orchard:x") -> int:
    places = ["--input", str(photos), "--output", str(photos.parent / "my out")]
    return main(["run-local", "--spec", str(ROOT / SPEC_FILE), "--image", image, *places, *words])


def test_output_and_exit_code_are_the_jobs(
    fake_docker: FakeDocker, docker_client: DockerClient, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    docker_client.says(3)
    assert run_local(photos) == 3
    assert capfd.readouterr() == ("24 photos\n", "done\n")
    assert docker_client.calls == ["run", "inspect", "rm"]
    words = docker_client.words()
    assert words[1] == "--name"
    assert docker_client.words("inspect")[-1] == docker_client.words("rm")[-1] == words[2]
    assert (photos.parent / "my out").stat().st_uid == CALLER[0]
    run_local(photos, "--dry-run")
    assert capfd.readouterr().out.endswith(f" docker run --rm {shlex.join(words[3:])}\n")


def test_selinux_and_another_architecture_are_said(
    fake_docker: FakeDocker, docker_client: DockerClient, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake_docker.architecture, fake_docker.facts = "arm64", {"SecurityOptions": ["name=selinux"]}
    assert run_local(photos) == 0
    emulated, labels, *_ = capfd.readouterr().err.splitlines()
    assert "orchard:x is for amd64, this engine's machine is arm64" in emulated
    assert "SELinux" in labels
    assert "label=disable" in docker_client.words()
    assert run_local(photos, "--dry-run") == 0
    assert "--security-opt label=disable " in capfd.readouterr().out


def test_in_a_rootless_engine_the_caller_is_root(
    fake_docker: FakeDocker, docker_client: DockerClient, photos: Path
) -> None:
    fake_docker.facts = {"SecurityOptions": ["name=rootless"]}
    assert run_local(photos) == 0
    words = docker_client.words()
    assert words[words.index("--user") + 1] == "0:0"


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """What happens at signals by default: whoever started the tests may have switched SIGHUP off, as `nohup` does."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_and_removes_the_container(
    fake_docker: FakeDocker,
    docker_client: DockerClient,
    photos: Path,
    capfd: pytest.CaptureFixture[str],
    sent: signal.Signals,
    usual_signals: None,
) -> None:
    docker_client.sends(sent)
    before = signal.getsignal(sent)
    assert run_local(photos) == 130
    assert capfd.readouterr().err == "done\norchard-deploy: interrupted\n"
    assert docker_client.calls == ["run", "ended", "rm"]
    assert signal.getsignal(sent) == before


def test_a_signal_right_after_the_start_removes_the_container(
    fake_docker: FakeDocker, docker_client: DockerClient, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before what waits for the container has begun to wait."""
    heard = iter([KeyboardInterrupt])

    @contextmanager
    def listening(*_: object) -> Iterator[None]:
        yield
        for error in heard:
            raise error

    monkeypatch.setattr("orchard_deploy.local.container.listening", listening)
    assert run_local(photos) == 130
    assert docker_client.calls[-1] == "rm"


@pytest.mark.parametrize(("code", "said"), [(137, "--memory 6g: give it more"), (0, "done")])
def test_too_little_memory_is_one_line_where_the_job_failed(
    fake_docker: FakeDocker,
    docker_client: DockerClient,
    photos: Path,
    capfd: pytest.CaptureFixture[str],
    code: int,
    said: str,
) -> None:
    docker_client.says(code, out_of_memory=True)
    assert run_local(photos) == code
    assert said in capfd.readouterr().err.splitlines()[-1]


def test_without_dockers_client_it_is_one_line(
    fake_docker: FakeDocker,
    docker_client: DockerClient,
    photos: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(photos))
    assert run_local(photos) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "docker: No such file or directory: install Docker's client" in line


@pytest.mark.parametrize("image", ["orchard:none", "other:x"])
def test_an_image_that_is_not_there_or_not_of_orchard(
    fake_docker: FakeDocker, docker_client: DockerClient, photos: Path, capfd: pytest.CaptureFixture[str], image: str
) -> None:
    assert run_local(photos, image=image) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"orchard-deploy: error: {image}: ")
    assert docker_client.calls == []
    assert not (photos.parent / "my out").exists()


def test_without_an_engine_it_is_one_line_and_the_printed_one_is_there_all_the_same(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{photos}/sock")
    assert run_local(photos) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert f"unix://{photos}/sock: No such file or directory: start it" in line
    assert not (photos.parent / "my out").exists()
    assert run_local(photos, "--dry-run") == 0
    assert " docker run " in capfd.readouterr().out
