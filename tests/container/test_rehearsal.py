"""The rehearsal of AWS with a real engine and a real registry: what is pushed is what runs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.rehearsal.images import registry
from orchard_deploy.rehearsal.runners import RunningProcess, image_process
from orchard_deploy.rehearsal.settings import Order

from tests.container.conftest import CLI, running_containers
from tests.deploy.cloud import BUCKET, NOTHING, everything_there
from tests.deploy.conftest import ROOT, enter, tree, tree_tag
from tests.deploy.rehearsal.account import Account, over_http
from tests.deploy.test_over_http import QUICK
from tests.run.golden import Golden
from tests.runs import Output

__all__ = ["tree"]

pytestmark = [pytest.mark.container, pytest.mark.usefixtures("registry_program")]


@pytest.fixture
def account(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """A rehearsal with a registry, whose runs are containers."""
    with registry() as images:

        def start(order: Order) -> RunningProcess:
            return image_process(order, opened.environ, images.host, CLI)

        with over_http(timings=replace(QUICK, minute=60.0), images=images, run=start) as opened:
            enter(opened, monkeypatch)
            yield opened


@pytest.fixture
def named(tree: Path, small_image: str) -> Iterator[str]:
    """A small image under the name that the tree's image has."""
    name = f"orchard:{tree_tag(tree)}"
    subprocess.run([CLI, "tag", small_image, name], check=True)
    yield name
    tags = subprocess.run(
        [CLI, "images", "--format", "{{.Repository}}:{{.Tag}}"], check=True, capture_output=True, text=True
    ).stdout.split()
    subprocess.run(
        [CLI, "rmi", *(tag for tag in tags if tag.endswith(f"orchard:{tree_tag(tree)}"))],
        check=True,
        capture_output=True,
    )


def orchard(tree: Path, capsys: pytest.CaptureFixture[str], name: str, *words: str) -> tuple[int, str, str]:
    code = main([name, "--spec", str(tree / "emr-serverless.json"), "--tree", str(tree), *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_an_image_is_pushed_once_with_the_login_of_ecr(
    tree: Path, account: Account, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = orchard(tree, capsys, "push")
    assert (code, "ECR repository orchard: there is none in us-east-1: `orchard-deploy up` makes it" in err) == (
        1,
        True,
    )
    orchard(tree, capsys, "up")
    code, out, err = orchard(tree, capsys, "push")
    assert code == 0
    digest = out.strip().removeprefix("orchard@")
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest)
    found = account.behind("ecr").describe_images(repositoryName="orchard")["imageDetails"]
    assert [image["imageDigest"] for image in found] == [digest]
    code, again, err = orchard(tree, capsys, "push")
    assert (code, again) == (0, out)
    assert "is there already" in err
    assert "not in ECR" not in orchard(tree, capsys, "status")[1]
    orchard(tree, capsys, "down")
    assert "there is none" in orchard(tree, capsys, "status")[1]


def test_the_reference_experiment_from_up_to_down(
    account: Account, image: str, stand_in_spec: Path, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """50 photos from S3 to S3 through the pushed image, by the commands that a person types; and nothing stays."""
    golden = Golden(shared, "sample50", tmp_path / "golden")
    spec = tmp_path / "emr-serverless.json"
    spec.write_text(stand_in_spec.read_text(encoding="utf-8"), encoding="utf-8")

    def orchard_deploy(name: str, *words: str) -> tuple[str, str]:
        code = main([name, "--spec", str(spec), "--tree", str(ROOT), *words])
        captured = capsys.readouterr()
        assert code == 0, captured.out + captured.err
        return captured.out, captured.err

    orchard_deploy("up")
    orchard_deploy("push")
    orchard_deploy("up")
    _, err = orchard_deploy("up")
    assert err == "orchard-deploy: nothing: everything is as it should be\n"
    upload(account, golden)
    out, err = orchard_deploy("submit", "--wait", "--budget", "1.00", "--verbose")
    assert "50 = 50 featurized + 0 rejected" in out
    assert "USD (billed)" in err
    run = out.split()[-1]
    assert f"run {run}: SUCCESS" in err
    folder = download(account, tmp_path / "out")
    golden.assert_same(Output(folder))
    report = Output(folder).report
    assert report["pca"]["k"] == 17
    # A task for each of the 8 slots.
    assert report["partitions"] == [*([number, 7] for number in range(7)), [7, 1]]
    assert report["spark"]["master"] == "local[8]"
    assert report["image"] == image.rpartition(":")[2]
    logs, _ = orchard_deploy("logs", "--stream", "stdout")
    assert "17 keep" in logs
    bill = json.loads(orchard_deploy("cost", "--json")[0])
    assert (bill["photos"], bill["photos_from"]) == (50, "report")
    assert 0.015 < bill["amount"] < 1  # a minute of 12 vCPU and 48 GB at least
    (entry,) = json.loads(orchard_deploy("status", "--json")[0])["runs"]
    assert entry["digest"] == account.serverless.jobs[run].digest
    orchard_deploy("down", "--with-data")
    assert everything_there(account.behind) == NOTHING
    assert not running_containers()


def upload(account: Account, golden: Golden) -> None:
    for path in golden.photos.rglob("*.jpg"):
        key = path.relative_to(golden.photos).as_posix()
        account.write(f"s3://{BUCKET}/photos/{key}", path.read_bytes())


def download(account: Account, folder: Path) -> Path:
    s3 = account.behind("s3")
    for found in s3.list_objects_v2(Bucket=BUCKET, Prefix="features/")["Contents"]:
        path = folder / found["Key"].removeprefix("features/")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(BUCKET, found["Key"], str(path))
    return folder
