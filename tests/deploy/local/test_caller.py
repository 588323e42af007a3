"""What a job in a container gets of its caller: AWS settings, proxies and certificates."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.errors import SpecError
from orchard_deploy.local.run_local import files_of
from orchard_deploy.spec import SPEC_FILE, Spec

from tests.deploy.conftest import ROOT
from tests.deploy.local.planned import planned


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


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
    "HTTPS_PROXY": "http://me:pass-word@proxy:1",
    "https_proxy": "http://me:pass-word@proxy:2",
    "HTTP_PROXY": "http://proxy:3",
    "http_proxy": "http://proxy:4",
    "NO_PROXY": "localhost",
    "no_proxy": ".local",
}
UNFIT = {"AWS_CONFIG_FILE": "/x/config", "HOME": "/home/me", "ALL": "1"}


def test_the_standard_variables_are_handed_on_and_no_other(spec: Spec) -> None:
    assert set(planned(spec, input="s3://b/photos", environ={**SHELL, **UNFIT}).env) == {"HOME=/tmp", *SHELL}
    assert planned(spec, input="s3://b/photos", environ={"AWS_REGION": "", "NO_PROXY": ""}).env == ("HOME=/tmp",)
    assert planned(spec, environ=SHELL).env == ("HOME=/tmp",)


def test_the_two_files_are_found_where_the_caller_has_them(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    for name in (".aws/config", ".aws/credentials", "others"):
        (tmp_path / name).touch()
    usual = {"AWS_CONFIG_FILE": tmp_path / ".aws/config", "AWS_SHARED_CREDENTIALS_FILE": tmp_path / ".aws/credentials"}
    assert files_of({}) == usual
    elsewhere = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "others"), "AWS_CONFIG_FILE": "/dev/null"}
    assert files_of(elsewhere) == {"AWS_SHARED_CREDENTIALS_FILE": tmp_path / "others"}
    (tmp_path / ".aws" / "config").unlink()
    (tmp_path / ".aws" / "credentials").unlink()
    assert files_of({}) == {}


def test_bundles_of_certificates_are_files_to_mount(tmp_path: Path) -> None:
    for name in ("company.pem", "all.pem"):
        (tmp_path / name).touch()
    environ = {"AWS_CA_BUNDLE": str(tmp_path / "company.pem"), "SSL_CERT_FILE": str(tmp_path / "all.pem")}
    found = files_of(environ)
    assert {name: str(path) for name, path in found.items()} == environ


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_one_bundle_stands_in_for_the_other(tmp_path: Path, variable: str) -> None:
    """What reads S3 and what fetches credentials look at different variables."""
    (tmp_path / "company.pem").touch()
    found = files_of({variable: str(tmp_path / "company.pem")})
    assert found == dict.fromkeys(("AWS_CA_BUNDLE", "SSL_CERT_FILE"), tmp_path / "company.pem")


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_bundle_that_is_not_there_is_named(tmp_path: Path, variable: str) -> None:
    with pytest.raises(SpecError, match=f"{tmp_path}/none.pem: no file that you can read"):
        files_of({variable: str(tmp_path / "none.pem")})


def test_no_secret_is_printed_and_every_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("aws_secret_access_key = in-the-file", encoding="utf-8")
    for name, value in {**SHELL, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    places = ["--image", "orchard:x", "--input", "s3://bucket/photos", "--output", "s3://bucket/out"]
    assert main(["run-local", "--spec", str(ROOT / SPEC_FILE), *places, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    secrets = ("very-secret", "token-of-it", "in-the-file", "pass-word")
    assert [value for value in secrets if value in printed] == []
    assert [name for name in SHELL if f"--env {name} " not in printed] == []
    assert f"--user {os.getuid()}:{os.getgid()} " in printed
    mounted = f"source={tmp_path}/.aws/credentials,target=/caller/aws_shared_credentials_file,readonly"
    assert mounted in printed


def test_a_file_that_cannot_be_read_is_named(folder_of_a_user: Path) -> None:
    path = folder_of_a_user / "credentials"
    path.touch()
    assert files_of({"AWS_SHARED_CREDENTIALS_FILE": str(path)})["AWS_SHARED_CREDENTIALS_FILE"] == path
    path.chmod(0)
    with pytest.raises(SpecError, match=f"{path}: no file that you can read"):
        files_of({"AWS_SHARED_CREDENTIALS_FILE": str(path)})
