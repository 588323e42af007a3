"""A real standalone cluster from the image: one master, two workers, one of which is killed in mid-job."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from orchard.sample import draw_samples

from tests.runs import Output

pytestmark = pytest.mark.container

SPARK = "/usr/lib/spark/bin"
# Photos enough for the job to be far from done when a worker is killed.
VARIETIES, PER_VARIETY, PARTITIONS = 12, 50, 24


@dataclass
class Cluster:
    """Containers on a network of their own; every one sees the same photos and the same output folder."""

    client: Any
    image: str
    network: str
    volumes: dict[str, dict[str, str]]

    def start(self, name: str, *command: str) -> Any:
        return self.client.containers.run(
            self.image,
            list(command),
            entrypoint=[f"{SPARK}/spark-class" if command[0].startswith("org.") else f"{SPARK}/spark-submit"],
            name=f"{self.network}-{name}",
            hostname=name,
            network=self.network,
            volumes=self.volumes,
            read_only=True,
            tmpfs={"/tmp": ""},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            detach=True,
        )

    def submit(self, output: str) -> Any:
        settings = {
            "spark.ui.enabled": "true",
            "spark.executor.memory": "1g",
            "spark.executor.cores": "1",
            "spark.cores.max": "2",
        }
        conf = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
        job = ["--input", "/photos", "--output", f"/outputs/{output}", "--partitions", str(PARTITIONS)]
        master = f"spark://{self.network}-master:7077"
        return self.start(f"driver-{output}", "--master", master, *conf, "local:///opt/orchard/main.py", *job)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o777)  # the image's own user writes here
    return folder


@pytest.fixture(scope="module")
def cluster(image: str, outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    photos = tmp_path_factory.mktemp("cluster") / "photos"
    draw_samples(photos, varieties=VARIETIES, per_variety=PER_VARIETY, seed=3)
    client = docker.from_env()
    network = client.networks.create(f"orchard-{uuid.uuid4().hex[:8]}", driver="bridge")
    volumes = {str(photos): {"bind": "/photos", "mode": "ro"}, str(outputs): {"bind": "/outputs", "mode": "rw"}}
    cluster = Cluster(client, image, str(network.name), volumes)
    try:
        master = cluster.start("master", "org.apache.spark.deploy.master.Master")
        for number in (1, 2):
            start_worker(cluster, number)
        wait_until(lambda: master.logs().count(b"Registering worker") == 2, 120)
        yield cluster
    finally:
        for container in client.containers.list(all=True, filters={"network": cluster.network}):
            container.remove(force=True, v=True)
        for container in client.containers.list(all=True, filters={"name": cluster.network}):
            container.remove(force=True, v=True)
        network.remove()
        client.close()


def start_worker(cluster: Cluster, number: int) -> None:
    master = f"spark://{cluster.network}-master:7077"
    options = ("--cores", "1", "--memory", "1g", "--work-dir", "/tmp/work")
    cluster.start(f"worker-{number}", "org.apache.spark.deploy.worker.Worker", *options, master)


def wait_until(happened: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def finished(driver: Any) -> str:
    """What the driver said, once it has ended well."""
    code = driver.wait(timeout=600)["StatusCode"]
    said = driver.logs().decode()
    assert code == 0, said[-3000:]
    return str(said)


@pytest.fixture(scope="module")
def unbroken(cluster: Cluster, outputs: Path) -> tuple[Output, str]:
    """The output of a run that nobody disturbed, and its driver's log."""
    said = finished(cluster.submit("unbroken"))
    return Output(outputs / "unbroken"), said


def test_both_executors_are_busy(unbroken: tuple[Output, str]) -> None:
    output, said = unbroken
    report = output.report
    assert report["counts"] == {"listed": VARIETIES * PER_VARIETY, "featurized": VARIETIES * PER_VARIETY, "rejected": 0}
    assert report["spark"]["executors"] == 2
    finished_on = [line.split(" on ")[1].split()[0] for line in said.splitlines() if "Finished task" in line]
    tasks = {host: finished_on.count(host) for host in set(finished_on)}
    assert len(tasks) == 2
    assert min(tasks.values()) >= PARTITIONS // 4


def test_run_survives_the_loss_of_a_worker(cluster: Cluster, outputs: Path, unbroken: tuple[Output, str]) -> None:
    driver = cluster.submit("broken")
    wait_until(lambda: driver.logs().count(b"Finished task") >= 8, 240)
    done_before = driver.logs().count(b"Finished task")
    cluster.client.containers.get(f"{cluster.network}-worker-2").kill()
    said = finished(driver)
    assert 8 <= done_before < PARTITIONS
    assert "Lost executor" in said
    expected, found = unbroken[0], Output(outputs / "broken")
    for table in ("features", "components", "rejected"):
        assert found.rows(table) == expected.rows(table)
    assert (
        len({row["path"] for row in found.rows("features")}) == len(found.rows("features")) == VARIETIES * PER_VARIETY
    )
    assert found.report["pca"] == expected.report["pca"]


def test_output_is_owned_by_the_user_of_the_image(unbroken: tuple[Output, str], outputs: Path) -> None:
    owners = {path.stat().st_uid for path in (outputs / "unbroken").rglob("*")}
    assert len(owners) == 1
    assert owners != {os.getuid()}
    assert json.loads((outputs / "unbroken" / "report.json").read_text(encoding="utf-8"))["spark"]["master"].startswith(
        "spark://"
    )
