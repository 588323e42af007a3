"""`Classifier`, on single photos: by every kind of image, and as the command line uses it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orchard
import pytest
from orchard import Classifier
from orchard.classifier.model import Model
from orchard.classifier.options import PredictOptions
from orchard.classifier.prediction.classifier import Prediction, classify, find_network
from orchard.classifier.prediction.images import AnImage, pixels_of
from orchard.classifier.saved import Saved, read_classifier, write_classifier
from orchard.console import Reporter
from orchard.errors import InputError, PhotoError, UsageError, WeightsError
from orchard.network.backbones import MOBILENET_V2
from orchard.network.runtimes import Features, Pixels, make_predict
from orchard.network.weights import BakedWeights
from orchard.photos.decoding import decode
from orchard.storage import objects
from orchard.storage.stores import LocalStore, open_store
from PIL import Image, ImageOps

from tests.classifier.examples import FACTS, make_model
from tests.classifier.test_saved import training
from tests.photos.writers import PNG_GREY, encode, picture, png

SIZE = MOBILENET_V2.input_size


@pytest.fixture(scope="module")
def model(weights: BakedWeights, drawn: Path) -> Model:
    """A classifier of the backbone's features, for which some of the drawn photos are familiar."""
    predict = make_predict(MOBILENET_V2, "litert", weights.folder)
    features = predict(np.stack([decode(path.read_bytes(), SIZE) for path in sorted(drawn.rglob("*.jpg"))[:4]]))
    model = make_model(4, 1280, 6)
    projection = replace(model.projection, mean=features.mean(axis=0).astype(np.float64))
    limit = float(np.sort(replace(model, references=features[:2]).distances(features))[2])
    return replace(model, projection=projection, references=features[:2], limit=limit, threshold=0.3)


@pytest.fixture(scope="module")
def saved(model: Model, tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = str(tmp_path_factory.mktemp("classifier"))
    write_classifier(LocalStore(uri), model, training(), FACTS, spark_version="3.5.6")
    return uri


@pytest.fixture(scope="module")
def classifier(saved: str, weights: BakedWeights) -> Classifier:
    return Classifier.load(saved, weights=weights.folder)


def close(one: Prediction, other: Prediction) -> bool:
    """Whether two predictions are the same: their numbers depend on the size of the batch in their last bits."""
    first, second = ([*each.probabilities.values(), each.unfamiliarity] for each in (one, other))
    return (one.best, one.unsure) == (other.best, other.unsure) and np.allclose(first, second, rtol=1e-9, atol=1e-5)


def test_predict(classifier: Classifier, model: Model, weights: BakedWeights, drawn: Path) -> None:
    paths = sorted(drawn.rglob("*.jpg")) * 2  # more than a block
    predictions = classifier.predict(paths)
    predict = make_predict(MOBILENET_V2, "litert", weights.folder)
    expected = model.predict(predict(np.stack([decode(path.read_bytes(), SIZE) for path in paths])))
    assert classifier.classes == model.classes
    assert [prediction.path for prediction in predictions] == [str(path) for path in paths]
    assert [prediction.best for prediction in predictions] == [model.classes[index] for index in expected.best]
    assert [prediction.unsure for prediction in predictions] == expected.unsure.tolist()
    assert {prediction.familiar for prediction in predictions} == {True, False}
    probabilities = [list(prediction.probabilities.values()) for prediction in predictions]
    np.testing.assert_allclose(probabilities, expected.probabilities, rtol=1e-12)
    unfamiliarity = [prediction.unfamiliarity for prediction in predictions]
    # float64 rounds the squares of a distance of 0 to 1e-6.
    np.testing.assert_allclose(unfamiliarity, expected.unfamiliarity, rtol=1e-9, atol=1e-5)


def test_prediction() -> None:
    sure = Prediction("a.jpg", "B", {"A": 0.1, "B": 0.9}, 1.0, 0.8, 2.0, unsure=False)
    assert (sure.answer, sure.probability, sure.familiar) == ("B", 0.9, True)
    far = replace(sure, unfamiliarity=2.5, unsure=True)
    assert (far.answer, far.best, far.familiar) == ("unsure", "B", False)


def image_of(kind: str, path: Path) -> AnImage:
    makers: dict[str, Callable[[], AnImage]] = {
        "path": lambda: path,
        "text": lambda: str(path),
        "file://": lambda: path.as_uri(),
        "bytes": path.read_bytes,
        "bytearray": lambda: bytearray(path.read_bytes()),
        "memoryview": lambda: memoryview(path.read_bytes()),
        "BytesIO": lambda: io.BytesIO(path.read_bytes()),
        "opened": lambda: Image.open(path),
        "image": lambda: Image.open(path).convert("RGB"),
        "array": lambda: np.asarray(Image.open(path).convert("RGB")),
        "array not in order": lambda: np.asfortranarray(Image.open(path).convert("RGB")),
    }
    return makers[kind]()


KINDS = [
    "path",
    "text",
    "file://",
    "bytes",
    "bytearray",
    "memoryview",
    "BytesIO",
    "opened",
    "image",
    "array",
    "array not in order",
]


@pytest.mark.parametrize("kind", KINDS)
def test_predict_of_every_kind_of_image(kind: str, classifier: Classifier, drawn: Path) -> None:
    path = sorted(drawn.rglob("*.jpg"))[5]
    (expected,) = classifier.predict([path])
    image = image_of(kind, path)
    (alone,) = classifier.predict(image)
    assert close(alone, expected)
    assert alone.path == (str(image) if kind in KINDS[:3] else None)
    assert all(close(one, expected) for one in classifier.predict(image_of(kind, path) for _ in range(2)))


def test_predict_of_open_files(classifier: Classifier, drawn: Path) -> None:
    path = sorted(drawn.rglob("*.jpg"))[5]
    with path.open("rb") as one, path.open("rb") as other:
        assert close(*classifier.predict([one, path]))
        assert close(*classifier.predict(other), *classifier.predict(path))
    with path.open() as text, pytest.raises(TypeError, match="binary"):
        classifier.predict(text)


def test_predict_batch_of_pixels(classifier: Classifier, drawn: Path) -> None:
    paths = sorted(drawn.rglob("*.jpg"))[:3]
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    assert all(map(close, classifier.predict(pixels), classifier.predict(paths)))
    assert classifier.predict([]) == []


@pytest.mark.parametrize(
    "content",
    [
        *(encode(picture().convert(mode), "PNG") for mode in ("RGB", "L", "LA", "RGBA", "P", "1")),
        encode(picture().convert("CMYK"), "TIFF"),
        encode(picture().convert("CMYK"), "JPEG"),
        png((np.arange(5400, dtype=np.uint16).reshape(60, 90) * 12), PNG_GREY),  # 16 bits
        encode(Image.fromarray(np.linspace(0, 1, 5400, dtype=np.float32).reshape(60, 90)), "TIFF"),
    ],
    ids=["RGB", "L", "LA", "RGBA", "P", "1", "CMYK TIFF", "CMYK JPEG", "16 bits", "float"],
)
def test_pixels_of_opened_image(content: bytes) -> None:
    np.testing.assert_array_equal(pixels_of(Image.open(io.BytesIO(content)), SIZE), decode(content, SIZE))
    loaded = Image.open(io.BytesIO(content)).copy()  # which knows nothing of a file
    np.testing.assert_array_equal(pixels_of(loaded, SIZE), decode(content, SIZE))


@pytest.mark.parametrize("turn", range(1, 9))
def test_pixels_of_a_turned_image(turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    content = encode(picture(), "PNG", exif=exif)
    opened = Image.open(io.BytesIO(content))
    np.testing.assert_array_equal(pixels_of(opened, SIZE), decode(content, SIZE))
    np.testing.assert_array_equal(pixels_of(ImageOps.exif_transpose(opened), SIZE), decode(content, SIZE))


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (3, TypeError),
        (None, TypeError),
        (io.StringIO("text"), TypeError),
        (np.zeros((8, 8, 3), np.float32), ValueError),
        (np.zeros((8, 8), np.uint8), ValueError),
        (np.zeros((8, 8, 4), np.uint8), ValueError),
        (np.zeros((0, 8, 3), np.uint8), ValueError),
        ("gs://bucket/a.jpg", UsageError),
    ],
)
def test_predict_type_errors(image: Any, error: type[Exception], classifier: Classifier) -> None:
    with pytest.raises(error):
        classifier.predict([image])


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "empty"),
        (io.BytesIO(b""), "empty"),
        (b"not a photo", "not_an_image"),
        (encode(picture(), "JPEG")[:700], "truncated"),
        ("nowhere/none.jpg", "gone"),
        (Path("none.jpg"), "gone"),
        (".", "unreadable"),
        ("photos/", "unreadable"),
        (Image.new("RGB", (0, 4)), "undecodable"),
        (Image.open(io.BytesIO(encode(picture(), "JPEG")[:700])), "undecodable"),
        (Image.new("La", (4, 4)), "undecodable"),
    ],
)
def test_predict_photo_errors(image: AnImage, reason: str, classifier: Classifier, drawn: Path) -> None:
    good = next(drawn.rglob("*.jpg"))
    where = str(image) if isinstance(image, str | Path) else "image 1"
    with pytest.raises(PhotoError) as raised:
        classifier.predict([good, image])
    assert raised.value.reason == reason
    assert raised.value.detail.startswith(f"{where}: ")


def test_classifier_and_photos_in_a_bucket(
    model: Model, classifier: Classifier, weights: BakedWeights, drawn: Path, bucket: str
) -> None:
    path = next(drawn.rglob("*.jpg"))
    open_store(bucket).write("photos/a b.jpg", path.read_bytes())
    open_store(bucket).write("top.jpg", path.read_bytes())
    write_classifier(open_store(f"{bucket}/classifier"), model, training(), FACTS, spark_version="3.5.6")
    loaded = Classifier.load(f"{bucket}/classifier", weights=weights.folder)
    uris = [f"{bucket}/photos/a b.jpg", f"{bucket}/top.jpg"]
    (expected,) = classifier.predict(path)
    predictions = loaded.predict(uris)
    assert [prediction.path for prediction in predictions] == uris
    assert all(close(prediction, expected) for prediction in predictions)
    for uri, reason in ((f"{bucket}/none.jpg", "gone"), (bucket, "unreadable"), (f"{bucket}/photos/", "unreadable")):
        with pytest.raises(PhotoError) as raised:
            loaded.predict(uri)
        assert raised.value.reason == reason
    with pytest.raises(InputError, match="bucket"):
        loaded.predict(f"{bucket}-nowhere/a.jpg")
    objects.forget()


def test_classify(saved: str, weights: BakedWeights, drawn: Path, tmp_path: Path) -> None:
    good = sorted(str(path) for path in drawn.rglob("*.jpg"))[:2]
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    odd = str(tmp_path / "\udce9.jpg")  # a name that is not UTF-8
    photos = (good[0], str(tmp_path / "bad.jpg"), odd, good[1])
    stream = io.StringIO()
    rows = classify(PredictOptions(classifier=saved, photos=photos, weights=weights.folder), Reporter(stream))
    names = ["path", "answer", "class", "probability", "unsure", "unfamiliarity", "reason", "detail"]
    assert all(list(row) == names for row in rows)
    assert [row["path"] for row in rows] == [good[0], photos[1], str(tmp_path / "\\udce9.jpg"), good[1]]
    assert [row["reason"] for row in rows] == [None, "not_an_image", "gone", None]
    assert rows[1]["answer"] is rows[1]["probability"] is None
    expected = Classifier.load(saved, weights=weights.folder).predict([good[0], good[1]])
    for row, prediction in zip((rows[0], rows[3]), expected, strict=True):
        assert (row["answer"], row["class"], row["unsure"]) == (prediction.answer, prediction.best, prediction.unsure)
        assert row["probability"] == pytest.approx(prediction.probability, rel=1e-12)
        assert row["unfamiliarity"] == pytest.approx(prediction.unfamiliarity, rel=1e-9, abs=1e-5)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"fingerprint": "0" * 64}, InputError),
        ({"decoding": "999"}, InputError),
        ({"backbone": "vgg"}, UsageError),
        ({"runtime": "tensorflow"}, None),
    ],
)
def test_find_network(
    settings: dict[str, str], error: type[Exception] | None, saved: str, weights: BakedWeights
) -> None:
    found = read_classifier(saved)
    other = Saved(found.store, replace(found.model, settings={**found.model.settings, **settings}), found.facts)
    if error is None:
        assert find_network(other, weights.folder).runtime == "litert"
        return
    with pytest.raises(error, match=next(iter(settings))):
        find_network(other, weights.folder)


def test_load_without_weights(saved: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        Classifier.load(saved, weights=str(tmp_path))


def test_a_network_of_ones_own(model: Model) -> None:
    """The constructor takes any network: one that sees no difference between photos."""

    def blind(pixels: Pixels) -> Features:
        return np.ones((len(pixels), 1280), np.float32)

    one, other = Classifier(model, MOBILENET_V2, blind).predict([picture(), picture(7, 5)])
    assert one == other


def test_lazy_imports() -> None:
    assert set(orchard.__all__) == {"Classifier", "__version__", "featurize_udf"}
    with pytest.raises(AttributeError):
        orchard.__getattr__("Nothing")
    code = "import orchard, sys; assert 'numpy' not in sys.modules; orchard.Classifier"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_predict_imports(saved: str, weights: BakedWeights, drawn: Path) -> None:
    path = next(drawn.rglob("*.jpg"))
    code = f"""
import sys
from orchard import Classifier
Classifier.load({saved!r}, weights={weights.folder!r}).predict({str(path)!r})
slow = {{"pandas", "pyspark", "deltalake", "tensorflow", "keras", "matplotlib", "scipy", "obstore", "botocore"}}
print(sorted(slow & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
