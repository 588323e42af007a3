from __future__ import annotations

import os
import socket

import pytest
from orchard.errors import MachineError
from orchard.spark.master import check_answers, is_local, local_memory, with_retries


@pytest.mark.parametrize(
    ("master", "retrying"),
    [("local", "local[1,4]"), ("local[2]", "local[2,4]"), ("local[*]", "local[*,4]"), ("local[2,1]", "local[2,1]")],
)
def test_with_retries(master: str, retrying: str) -> None:
    assert with_retries(master) == retrying
    assert with_retries("yarn") == "yarn"


@pytest.mark.parametrize(
    ("master", "local"),
    [("local", True), ("local[4]", True), ("local-cluster[2,1,1024]", False), ("spark://local", False)],
)
def test_is_local(master: str, local: bool) -> None:
    assert is_local(master) is local


@pytest.mark.parametrize(
    ("master", "megabytes"), [("local[4]", 1024), ("local[10]", 1152), ("local[64,3]", 1024 + 56 * 64)]
)
def test_local_memory(master: str, megabytes: int) -> None:
    assert local_memory(master) == megabytes
    assert local_memory("local[*]") == local_memory(f"local[{os.cpu_count()}]")


def test_check_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check_answers(f"spark://127.0.0.1:1,127.0.0.1:{port}")
    for address in (f"127.0.0.1:{port}", "nowhere.invalid:7077", "[::1]:1"):
        with pytest.raises(MachineError, match="--master spark://"):
            check_answers(f"spark://{address}", timeout=2)
    for other in ("local[2]", "local-cluster[1,1,1024]", "yarn", "k8s://nowhere.invalid"):
        check_answers(other)
