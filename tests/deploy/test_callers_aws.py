"""What a job in a container gets of its caller's AWS settings."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.callers_aws import aws_files, aws_variables
from deploy.container import ContainerRun
from deploy.errors import SpecError
from deploy.output_folder import NOBODY
from deploy.spec import SPEC_FILE
from tests.deploy.conftest import ROOT

SHELL = {
    "AWS_DEFAULT_PROFILE": "mine too",
    "AWS_PROFILE": "mine",
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-2",
    "AWS_ENDPOINT_URL": "http://here:1",
    "AWS_ENDPOINT_URL_S3": "http://here:2",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "very-secret",
    "AWS_SESSION_TOKEN": "token-of-it",
    "AWS_SKIP_SIGNATURE": "1",
}
UNFIT = {"AWS_CA_BUNDLE": "/ca.pem", "AWS_CONFIG_FILE": "/x/config", "HOME": "/home/me"}


def a_run(copies: dict[str, Path], user: tuple[int, int]) -> ContainerRun:
    return ContainerRun(
        image="orchard:x", entrypoint="job", command=(), mounts=(), memory=1 << 30, user=user, copies=copies
    )


def test_the_standard_variables_are_handed_on_and_no_other() -> None:
    assert aws_variables({**SHELL, **UNFIT}, None) == SHELL
    assert aws_variables({"AWS_REGION": ""}, None) == {}


def test_a_profile_that_is_asked_for_is_not_beaten_by_the_shells_keys() -> None:
    found = aws_variables(SHELL, "lab")
    assert found == {
        name: SHELL[name] for name in SHELL if not any(part in name for part in ("KEY", "PROFILE", "TOKEN"))
    }


def test_the_two_files_are_found_where_the_caller_has_them(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    for name in (".aws/config", ".aws/credentials", "others"):
        (tmp_path / name).touch()
    usual = {"AWS_CONFIG_FILE": tmp_path / ".aws/config", "AWS_SHARED_CREDENTIALS_FILE": tmp_path / ".aws/credentials"}
    assert aws_files({}, tmp_path) == usual
    elsewhere = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "others"), "AWS_CONFIG_FILE": "/dev/null"}
    assert aws_files(elsewhere, tmp_path) == {"AWS_SHARED_CREDENTIALS_FILE": tmp_path / "others"}
    assert aws_files({}, tmp_path / "nowhere") == {}


def test_no_secret_is_printed_and_every_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("aws_secret_access_key = in-the-file", encoding="utf-8")
    for name, value in {**SHELL, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    places = ["--image", "orchard:x", "--input", "s3://bucket/photos", "--output", "s3://bucket/out"]
    assert main(["run-local", "--spec", str(ROOT / SPEC_FILE), *places, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert not [value for value in ("very-secret", "token-of-it", "in-the-file") if value in said]
    assert [name for name in SHELL if f"--env {name} " not in said] == []
    user = NOBODY if os.getuid() == 0 else (os.getuid(), os.getgid())
    assert "--user {}:{} ".format(*user) in said
    assert f"{tmp_path}/.aws/credentials" in said


def test_a_copy_is_there_for_the_containers_user_alone(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("secret", encoding="utf-8")
    (tmp_path / "files").mkdir()
    user = NOBODY if os.getuid() == 0 else (os.getuid(), os.getgid())
    run = a_run({"/aws/keys": tmp_path / "credentials"}, user)
    run.write_files(tmp_path / "files")
    (mount,) = run.with_files_in(tmp_path / "files").mounts
    assert (mount.target, mount.read_only, mount.source.read_text(encoding="utf-8")) == ("/aws/keys", True, "secret")
    status = mount.source.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (*user, 0o400)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=f"{tmp_path}: Is a directory: the job needs a copy of it"):
        a_run({"/aws/keys": tmp_path}, NOBODY).write_files(tmp_path)
