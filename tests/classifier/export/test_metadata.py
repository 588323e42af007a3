"""What is in the file beside the network, as stock readers find it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from orchard.classifier.export.metadata import read_files
from orchard.network.backbones import MOBILENET_V2
from orchard.photos.decoding import DECODING_VERSION

from tests.classifier.export.conftest import Made

Exported = tuple[Path, dict[str, Any]]


def test_files_are_read_by_zipfile(made: Made, exported: Exported) -> None:
    classes, facts = read_files(exported[0].read_bytes())
    assert classes == facts["classes"] == list(made.model.classes)
    assert (facts["threshold"], facts["limit"]) == (made.model.threshold, made.model.limit)
    assert facts["settings"]["fingerprint"] == MOBILENET_V2.fingerprint
    assert facts["settings"]["decoding"] == str(DECODING_VERSION)
    assert facts["temperature"] == 1.25
    with zipfile.ZipFile(exported[0]) as archive:
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}  # TensorFlow Lite's rule


def test_names_shapes_and_signature(made: Made, exported: Exported) -> None:
    interpreter = Interpreter(str(exported[0]))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["image"], "outputs": ["probabilities", "unfamiliarity"]}
    }
    details = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    assert [(one["name"], tuple(one["shape"]), one["dtype"]) for one in details] == [
        ("image", (1, 224, 224, 3), np.uint8),
        ("probabilities", (1, len(made.model.classes)), np.float32),
        ("unfamiliarity", (1,), np.float32),
    ]


def test_export_operators(exported: Exported) -> None:
    content = exported[0].read_bytes()
    model = schema.Model.GetRootAs(content)
    codes = [model.OperatorCodes(number) for number in range(model.OperatorCodesLength())]
    assert schema.BuiltinOperator.CUSTOM not in {code.BuiltinCode() for code in codes}
    start = np.frombuffer(content, np.uint8).ctypes.data
    buffers = [model.Buffers(number) for number in range(model.BuffersLength())]
    places = [buffer.DataAsNumpy().ctypes.data - start for buffer in buffers if not buffer.DataIsNone()]
    assert len(places) > 100
    assert {place % 16 for place in places} == {0}


def test_metadata_is_tensorflow_lites(made: Made, exported: Exported) -> None:
    model = schema.ModelT.InitFromPackedBuf(exported[0].read_bytes())
    entries = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    assert len(entries) == 1
    content = bytes(model.buffers[entries[0].buffer].data)
    assert content[4:8] == b"M001"
    for text in (b"labels.txt", b"orchard.json", b"image", b"probabilities", b"unfamiliarity", b"1.0.0"):
        assert text + b"\0" in content


@pytest.mark.slow
def test_tensorflow_lite_reads_the_file(made: Made, exported: Exported, tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", made.pixels[:1])
    code = (
        "import sys, numpy as np, tensorflow as tf; runner = tf.lite.Interpreter(sys.argv[1]).get_signature_runner();"
        "said = runner(image=np.load(sys.argv[2])); np.save(sys.argv[2], said['probabilities'])"
    )
    subprocess.run([sys.executable, "-c", code, exported[0], tmp_path / "pixels.npy"], check=True, capture_output=True)
    expected = made.model.predict(made.features[:1]).probabilities
    np.testing.assert_allclose(np.load(tmp_path / "pixels.npy"), expected, atol=1e-5)
