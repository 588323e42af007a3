"""The saved classifier: classifier.json with all facts, and a folder of the files that it lists, with their hashes.

classifier.json points to the folder, which is named by its content. It is written when the folder is complete, and
earlier folders are deleted after that: a training that is killed at any point leaves the earlier classifier or the new
one, and the next one deletes what it left.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from orchard.classifier.model import Model
from orchard.classifier.pipeline import pipeline_files, read_pipeline
from orchard.classifier.pointer import (
    AGAIN,
    FOLDER,
    POINTER,
    SCHEMA_VERSION,
    format_pointer,
    parse_pointer,
    read_facts,
    read_pointer,
)
from orchard.classifier.settings import check_same
from orchard.errors import InputError, OutputError
from orchard.storage.stores import Store, check_outside, check_writable, open_store
from orchard.tables import parquet

PIPELINE, REFERENCES, TRAINING = "pipeline", "references.npy", "training.parquet"
EVALUATION, EVALUATION_PAGE = "evaluation.json", "evaluation.html"
# What a killed process leaves of a file that it was writing, see `LocalStore.write`.
_DRAFT = re.compile(rf"({'|'.join(map(re.escape, (POINTER, EVALUATION, EVALUATION_PAGE)))})\.\d+\.tmp")


@dataclass(frozen=True)
class Saved:
    """A classifier, where it is, and the content of its classifier.json."""

    store: Store
    model: Model
    facts: Mapping[str, Any]


def open_classifier_output(uri: str) -> Store:
    """The folder or s3:// prefix to write a classifier to, which need not exist; an earlier classifier may be there.

    Raises:
        UsageError: a URI that cannot be an output.
        OutputError: it cannot be written, or other files are there, or a classifier that this version cannot read and
            must not replace.
    """
    store = open_store(uri)
    check_writable(store, POINTER)
    check_outside(store)
    names = {name for name in store.names() if not name.startswith(".")}
    if POINTER in names:
        try:
            parse_pointer(store.read(POINTER))
        except ValueError as exc:
            raise OutputError(f"--output {uri}: its {POINTER} {exc}: choose another folder") from exc
        except FileNotFoundError as exc:  # a link to nothing, or deleted since
            raise OutputError(f"--output {uri}: its {POINTER} cannot be read: choose another folder") from exc
    elif others := _foreign(names):
        what = f"holds files ({others[0]} for one), but no classifier"
        raise OutputError(f"--output {uri}: {what}: choose an empty or a new folder")
    return store


def _foreign(names: set[str]) -> list[str]:
    """Names in a folder without classifier.json that no training left there."""
    folders = {name for name in names if FOLDER.fullmatch(name)}
    evaluations = {EVALUATION, EVALUATION_PAGE} if folders else set()
    return sorted(name for name in names - folders - evaluations if not _DRAFT.fullmatch(name))


def write_classifier(
    store: Store, model: Model, training: pa.Table, facts: Mapping[str, Any], *, spark_version: str
) -> dict[str, Any]:
    """Write or replace the classifier in a folder, and delete its evaluation, if any, which is of the earlier one.

    Args:
        store: from `open_classifier_output`.
        model: the classifier.
        training: columns path, label, sha256 (string) and fold (int64): -1 held out, -2 not used.
        facts: what else classifier.json is to hold: temperature, training, versions.
        spark_version: which the pipeline is written for.

    Returns:
        The content of classifier.json.

    Raises:
        OutputError: the storage fails, or another training has deleted a file meanwhile; the pointer is not written.
        ValueError: a fact that JSON cannot hold: infinity, say.
    """
    files = _content_files(model, training, spark_version)
    described = _describe(model, files) | dict(facts)
    pointer = format_pointer(described)
    for path in sorted(files):
        store.write(f"{described['folder']}/{path}", files[path])
    _check_whole(store, described)
    store.write(POINTER, pointer)
    _clean(store, {f"{described['folder']}/{path}" for path in files})
    return parse_pointer(pointer)


def _content_files(model: Model, training: pa.Table, spark_version: str) -> dict[str, bytes]:
    references = io.BytesIO()
    np.save(references, np.ascontiguousarray(model.references, np.float32), allow_pickle=False)
    pipeline = pipeline_files(model, spark_version=spark_version)
    return {
        **{f"{PIPELINE}/{path}": content for path, content in pipeline.items()},
        REFERENCES: references.getvalue(),
        # Of one chunk, however it was put together: equal tables give equal bytes.
        TRAINING: parquet.to_bytes(training.combine_chunks()),
    }


def _describe(model: Model, files: Mapping[str, bytes]) -> dict[str, Any]:
    hashes = {path: _sha256(files[path]) for path in sorted(files)}
    folder = f"model-{_sha256(json.dumps(hashes).encode())[:12]}"
    return {
        "schema_version": SCHEMA_VERSION,
        "folder": folder,
        "pipeline": f"{folder}/{PIPELINE}",
        "files": hashes,
        "classes": list(model.classes),
        "settings": dict(model.settings),
        "threshold": float(model.threshold),
        "limit": float(model.limit),
        "k": model.projection.k,
        "feature_size": len(model.projection.mean),
    }


def _check_whole(store: Store, facts: Mapping[str, Any]) -> None:
    """Raise `OutputError` where a file is gone: another training into the same output deletes those of this one."""
    folder = facts["folder"]
    if missing := sorted({f"{folder}/{path}" for path in facts["files"]} - set(store.list(f"{folder}/"))):
        what = f"{missing[0]} is gone: another training writes to it"
        raise OutputError(f"{store.flag} {store.uri}: {what}: wait for it, or choose another --output")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _clean(store: Store, kept: set[str]) -> None:
    """Delete what trainings before this one left: their evaluation, their folders, and drafts of killed ones."""
    names = sorted(store.names())
    store.delete(name for name in names if name in (EVALUATION, EVALUATION_PAGE) or _DRAFT.fullmatch(name))
    for name in filter(FOLDER.fullmatch, names):
        store.delete_below(f"{name}/", but=kept)


def read_classifier(uri: str) -> Saved:
    """Read what `write_classifier` wrote, from a folder or an s3:// prefix; without Spark.

    Raises:
        UsageError: a URI that is none.
        InputError: no classifier is there, or it is damaged, incomplete, or of a newer version.
        OutputError: the storage fails.
    """
    return read_classifier_from(open_store(uri, "classifier"))


def read_classifier_from(store: Store) -> Saved:
    """Read a classifier from its store, see `read_classifier`."""
    while True:
        pointer = read_pointer(store)
        facts = read_facts(store, pointer)
        try:
            return Saved(store, _read_model(store, facts), facts)
        except FileNotFoundError as exc:
            if read_pointer(store) == pointer:
                raise _missing(store, facts, exc) from exc
            # A training has replaced it since: the new one is complete.


def read_training(saved: Saved) -> pa.Table:
    """The photos that the classifier was trained on or that were held out, see `write_classifier`; errors as there."""
    try:
        return parquet.from_bytes(_read_checked(saved.store, saved.facts, TRAINING))
    except FileNotFoundError as exc:
        raise _missing(saved.store, saved.facts, exc) from exc


def check_settings(saved: Saved, settings: Mapping[str, str], what: str) -> None:
    """Raise `InputError` unless features of these settings are what the classifier was trained on.

    `settings` are backbone, fingerprint and decoding; others, such as the runtime, may differ. `what` names what has
    them: "--features s3://fruit/out" for one.
    """
    check_same(settings, saved.model.settings, what, f"classifier {saved.store.uri} was trained on features with")


def _read_model(store: Store, facts: dict[str, Any]) -> Model:
    """The model; `FileNotFoundError` if it is not complete."""
    try:
        paths = [path for path in facts["files"] if path != TRAINING]  # which is large, and of no use to predict
        with ThreadPoolExecutor(8) as pool:  # from S3, one after the other would take a second
            files = dict(zip(paths, pool.map(partial(_read_checked, store, facts), paths), strict=True))
        return _parse_model(files, facts)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:  # of a pipeline that another program wrote
        raise InputError(
            f"{store.flag} {store.uri}/{facts['folder']}: is damaged ({_first_line(exc)}): {AGAIN}"
        ) from exc


def _parse_model(files: Mapping[str, bytes], facts: Mapping[str, Any]) -> Model:
    pipeline = {path.removeprefix(f"{PIPELINE}/"): content for path, content in files.items()}
    projection, coefficients, intercepts, classes = read_pipeline(pipeline)
    if facts["classes"] != list(classes):
        raise ValueError("its classes are not those of its pipeline")
    references = np.load(io.BytesIO(files[REFERENCES]), allow_pickle=False)
    threshold, limit, settings = float(facts["threshold"]), float(facts["limit"]), dict(facts["settings"])
    return Model(projection, coefficients, intercepts, classes, references, threshold, limit, settings)


def _read_checked(store: Store, facts: Mapping[str, Any], path: str) -> bytes:
    content, expected = store.read(f"{facts['folder']}/{path}"), facts["files"].get(path)
    if (found := _sha256(content)) != expected:
        where = f"{store.flag} {store.uri}/{facts['folder']}/{path}"
        raise InputError(f"{where}: is damaged (SHA-256 {found}, not {expected}): {AGAIN}")
    return content


def _missing(store: Store, facts: Mapping[str, Any], exc: FileNotFoundError) -> InputError:
    what = f"a file of {facts['folder']}/ is missing ({_first_line(exc)})"
    return InputError(f"{store.flag} {store.uri}: {what}: {AGAIN}")


def _first_line(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}".splitlines()[0]
