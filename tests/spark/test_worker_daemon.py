from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from orchard.spark.worker_daemon import PromptFile, prompt

FORBIDDEN = {"tensorflow", "pandas", "matplotlib", "deltalake", "botocore", "obstore", "scipy"}


def output_of(code: str, **environ: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environ}).stdout


def test_worker_daemon_preloads_what_tasks_need_and_no_more() -> None:
    modules = set(output_of("import sys, orchard.spark.worker_daemon; print(*sys.modules)").split())
    assert {"ai_edge_litert.interpreter", "numpy", "pyarrow.parquet", "pyspark.worker"} <= modules
    assert not FORBIDDEN & modules


def test_worker_daemon_reads_the_directory_of_a_zip_file_once(tmp_path: Path) -> None:
    archive = tmp_path / "modules.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("early.py", "")
    code = (
        "import importlib, os, sys, zipfile, orchard.spark.worker_daemon; path = os.environ['ARCHIVE'];"
        "zipfile.ZipFile(path, 'a').writestr('late.py', ''); importlib.invalidate_caches();"
        "print([sys.path_importer_cache[path].find_spec(name) is not None for name in ('early', 'late')])"
    )
    path = os.pathsep.join([str(archive), os.environ.get("PYTHONPATH", "")])
    assert output_of(code, PYTHONPATH=path, ARCHIVE=str(archive)).strip() == "[True, False]"


def test_a_worker_whose_jvm_is_gone_ends_without_a_word() -> None:
    def main(file: object, out: object) -> None:
        raise EOFError

    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sender:
        with sender.makefile("rb") as file, pytest.raises(SystemExit) as ended:
            prompt(main)(file, io.BytesIO())
        assert ended.value.code == 1


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="an option of Linux")
def test_prompt_file_gives_all_that_arrives() -> None:
    content = os.urandom(100_000)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sender:
        receiver, _ = server.accept()
        with receiver, receiver.makefile("rb") as file:
            sender.sendall(content[:100])
            assert file.read(4) == content[:4]  # as pyspark's daemon does; the others are in the buffer then
            sender.sendall(content[100:])
            sender.shutdown(socket.SHUT_WR)
            out = io.BytesIO()
            prompt(lambda quick, out: out.write(quick.read(10) + quick.read()))(file, out)
            assert out.getvalue() == content[4:]
            quick = PromptFile(file)
            assert quick.read(1) == b""
            quick.close()
            receiver.sendall(b"still open")
            assert sender.recv(100) == b"still open"
