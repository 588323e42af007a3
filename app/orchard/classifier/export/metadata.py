"""What travels in a LiteRT file beside the network: names, labels, thresholds; where stock tools look for them.

TensorFlow Lite's metadata: a FlatBuffer that describes inputs and outputs, in a buffer of the model that is named
TFLITE_METADATA, and files as an uncompressed ZIP at the end. Its writers are no dependency: tflite-support demands
protobuf 3 and TensorFlow a newer one, MediaPipe's imports a module that its package lacks. The few fields used here are
all of schema 1.0.0 (metadata_schema.fbs), which every reader knows.
"""

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from orchard.network.bake import flatbuffer
from orchard.network.bake.heads import OUTPUTS

LABELS, FACTS, INPUT = "labels.txt", "orchard.json", "image"
_SCHEMA_VERSION, _AXIS_LABELS, _RGB = "1.0.0", 2, 1
_NORMALIZATION, _FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 1, 2  # numbers in their unions


@dataclass(frozen=True)
class Description:
    """What a person reads in the metadata."""

    model: str
    image: str
    outputs: tuple[str, str]  # in the order of `OUTPUTS`


def add_metadata(content: bytes, classes: Sequence[str], facts: Mapping[str, Any], about: Description) -> bytes:
    """A LiteRT file with names of its tensors, a signature, metadata and the files `LABELS` and `FACTS`."""
    model = flatbuffer.read(content)
    _name_tensors(model)
    metadata = np.frombuffer(_describe(model, about), np.uint8)
    model.buffers.append(schema.BufferT(data=metadata))
    entry = schema.MetadataT(name="TFLITE_METADATA", buffer=len(model.buffers) - 1)
    model.metadata = [*(model.metadata or []), entry]
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    files = {LABELS: "".join(f"{name}\n" for name in classes), FACTS: text}
    return _append_files(flatbuffer.pack(model), files)


def read_files(content: bytes) -> tuple[list[str], dict[str, Any]]:
    """The classes and the facts in such a file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(LABELS).decode().splitlines(), json.loads(archive.read(FACTS))


def _name_tensors(model: Any) -> None:
    main = model.subgraphs[0]
    names = dict(zip([*main.inputs, *main.outputs], (INPUT, *OUTPUTS), strict=True))
    for index, name in names.items():
        main.tensors[index].name = name
    inputs, outputs = (
        [schema.TensorMapT(name=names[index], tensorIndex=index) for index in indices]
        for indices in (main.inputs, main.outputs)
    )
    model.signatureDefs = [
        schema.SignatureDefT(inputs=inputs, outputs=outputs, signatureKey="serving_default", subgraphIndex=0)
    ]


def _append_files(content: bytes, files: Mapping[str, str]) -> bytes:
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, text in files.items():
            # Of a fixed time and system: equal exports give equal bytes. Uncompressed, as TensorFlow Lite reads them.
            information = zipfile.ZipInfo(name)
            information.create_system = 3
            archive.writestr(information, text.encode())
    return stream.getvalue()


class _Tables:
    """Tables of a FlatBuffer, by the numbers of their fields."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(4096)

    def text(self, value: str) -> int:
        return int(self.builder.CreateString(value))

    def vector(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def table(self, references: Mapping[int, int], numbers: Mapping[int, tuple[str, int]] | None = None) -> int:
        """A table of references to what is built, and numbers with their type ("Uint8" for one), by field."""
        fields = {**references, **(numbers or {})}
        self.builder.StartObject(max(fields, default=-1) + 1)
        for field, offset in references.items():
            self.builder.PrependUOffsetTRelativeSlot(field, offset, 0)
        for field, (kind, number) in (numbers or {}).items():
            slot: Callable[[int, int, int], None] = getattr(self.builder, f"Prepend{kind}Slot")
            slot(field, number, 0)
        return int(self.builder.EndObject())

    def finish(self, root: int) -> bytes:
        self.builder.Finish(root, b"M001")
        return bytes(self.builder.Output())


def _describe(model: Any, about: Description) -> bytes:
    """The ModelMetadata; the numbers of fields are those of metadata_schema.fbs."""
    tables = _Tables()
    main = model.subgraphs[0]
    _, height, width, _ = (int(size) for size in main.tensors[main.inputs[0]].shape)
    image = _image(tables, about.image, width, height)
    outputs = [
        _output(tables, name, text, labelled)
        for name, text, labelled in zip(OUTPUTS, about.outputs, (True, False), strict=True)
    ]
    # SubGraphMetadata: name 0, description 1, input_tensor_metadata 2, output_tensor_metadata 3, associated_files 4.
    files = tables.vector([_file(tables, FACTS, "Classes, thresholds and settings, in JSON.", kind=0)])
    graph = tables.table({2: tables.vector([image]), 3: tables.vector(outputs), 4: files})
    # ModelMetadata: name 0, description 1, subgraph_metadata 3, min_parser_version 7.
    name, description, version = tables.text("Orchard"), tables.text(about.model), tables.text(_SCHEMA_VERSION)
    return tables.finish(tables.table({0: name, 1: description, 3: tables.vector([graph]), 7: version}))


def _image(tables: _Tables, description: str, width: int, height: int) -> int:
    # ImageProperties: color_space 0, default_size 1; ImageSize: width 0, height 1.
    size = tables.table({}, {0: ("Uint32", width), 1: ("Uint32", height)})
    properties = tables.table({1: size}, {0: ("Int8", _RGB)})
    # NormalizationOptions: mean 0, std 1: none, the network takes bytes as they are.
    mean, std = (tables.builder.CreateNumpyVector(np.array([value], np.float32)) for value in (0, 1))
    normalization = tables.table({0: mean, 1: std})
    unit = tables.table({1: normalization}, {0: ("Uint8", _NORMALIZATION)})
    content = tables.table({1: properties}, {0: ("Uint8", _IMAGE_PROPERTIES)})
    # TensorMetadata: name 0, description 1, dimension_names 2, content 3, process_units 4, stats 5, associated_files 6.
    name, text, units = tables.text(INPUT), tables.text(description), tables.vector([unit])
    return tables.table({0: name, 1: text, 3: content, 4: units})


def _output(tables: _Tables, name: str, description: str, labelled: bool) -> int:
    # Content: the type of content_properties 0, content_properties 1, range 2.
    content = tables.table({1: tables.table({})}, {0: ("Uint8", _FEATURE_PROPERTIES)})
    fields = {0: tables.text(name), 1: tables.text(description), 3: content}
    if labelled:
        fields[6] = tables.vector([_file(tables, LABELS, "The classes, one a line.", kind=_AXIS_LABELS)])
    return tables.table(fields)


def _file(tables: _Tables, name: str, description: str, *, kind: int) -> int:
    # AssociatedFile: name 0, description 1, type 2.
    return tables.table({0: tables.text(name), 1: tables.text(description)}, {2: ("Int8", kind)})
