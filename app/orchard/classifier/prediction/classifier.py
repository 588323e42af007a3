"""A saved classifier for single photos, in a notebook or on the command line: no Spark, no JVM."""

import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from threadpoolctl import threadpool_limits

from orchard.classifier.model import Model, Predictions
from orchard.classifier.options import PredictOptions
from orchard.classifier.prediction.images import AnImage, each, path_of, pixels_of
from orchard.classifier.saved import Saved, check_settings, read_classifier
from orchard.console import Reporter
from orchard.errors import PhotoError
from orchard.features.task import BLOCK, Network
from orchard.network.backbones import Backbone
from orchard.network.choice import choose_backbone
from orchard.network.runtimes import Predict
from orchard.photos.decoding import Pixels
from orchard.photos.photo import to_text

UNSURE = "unsure"
# All classifiers of a process share one network, which has one memory for its input.
_computing = threading.Lock()


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one photo.

    Attributes:
        path: the path or URI that it was given by; None for bytes, images and arrays.
        best: the most probable class.
        probabilities: calibrated, by class.
        unfamiliarity: distance to what the classifier was trained on.
        threshold: the smallest probability with which a class is answered.
        limit: the largest unfamiliarity of a familiar photo.
        unsure: whether the answer is "unsure": `probability` is below `threshold`, or the photo is not familiar.
    """

    path: str | None
    best: str
    probabilities: Mapping[str, float]
    unfamiliarity: float
    threshold: float
    limit: float
    unsure: bool

    @property
    def answer(self) -> str:
        """The class, or "unsure"."""
        return UNSURE if self.unsure else self.best

    @property
    def probability(self) -> float:
        """That of the most probable class."""
        return self.probabilities[self.best]

    @property
    def familiar(self) -> bool:
        """Whether the photo is like those that the classifier was trained on."""
        return self.unfamiliarity <= self.limit


class Classifier:
    """A classifier that `orchard train` made.

    Example:
        >>> classifier = Classifier.load("s3://fruit/classifier")            # doctest: +SKIP
        >>> for prediction in classifier.predict(["a.jpg", "b.jpg"]):        # doctest: +SKIP
        ...     print(prediction.path, prediction.answer, prediction.probability)
    """

    def __init__(self, model: Model, backbone: Backbone, predict: Predict) -> None:
        """A model, and the network that gives its features; `load` finds both."""
        self._model, self._backbone, self._predict = model, backbone, predict

    @classmethod
    def load(cls, uri: str | os.PathLike[str], *, weights: str | None = None, backbone: str | None = None) -> Self:
        """Read a classifier from a folder or an s3:// prefix.

        Args:
            uri: the output of `orchard train`.
            weights: a baked folder; by default `$ORCHARD_WEIGHTS`, else what `orchard weights` made.
            backbone: the path of a baked folder, where the classifier is of fine-tuned features.

        Raises:
            InputError: no classifier is there, it is damaged, or it was trained on features of other weights.
            WeightsError: no usable weights.
            OrchardError: anything else that is known to happen.
        """
        saved = read_classifier(os.fspath(uri))
        network = find_network(saved, weights, backbone)
        return cls(saved.model, network.backbone, network.load())

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of `Prediction.probabilities`."""
        return self._model.classes

    def predict(self, images: AnImage | Iterable[AnImage]) -> list[Prediction]:
        """Classify images; one may be given without a list around it.

        Args:
            images: each a path, a file:// or s3:// URI, the bytes of a file, an image of Pillow's, or RGB pixels as
                uint8 (height, width, 3); of any size.

        Returns:
            A prediction for each, in order.

        Raises:
            PhotoError: the first one that cannot be read or decoded; the detail begins with its path or number.
            InputError: a bucket that cannot be reached.
            TypeError, ValueError: something else than an image, or an array of another type or shape.
        """
        predictions = []
        for number, (image, found) in enumerate(self.outcomes(each(images))):
            if isinstance(found, PhotoError):
                where = path_of(image) or f"image {number}"
                raise PhotoError(found.reason, f"{where}: {found.detail}") from found
            predictions.append(found)
        return predictions

    def outcomes(self, images: Iterable[AnImage]) -> Iterator[tuple[AnImage, Prediction | PhotoError]]:
        """Each image with its prediction, or with why there is none; in order, some dozens decoded at a time."""
        iterator = iter(images)
        while block := list(itertools.islice(iterator, BLOCK)):
            decoded = [self._decode(image) for image in block]
            good = [(image, one) for image, one in zip(block, decoded, strict=True) if not isinstance(one, PhotoError)]
            predictions = iter(self._predictions(good))
            for image, one in zip(block, decoded, strict=True):
                yield image, one if isinstance(one, PhotoError) else next(predictions)

    def _decode(self, image: AnImage) -> Pixels | PhotoError:
        try:
            return pixels_of(image, self._backbone.input_size)
        except PhotoError as error:
            return error

    def _predictions(self, decoded: list[tuple[AnImage, Pixels]]) -> list[Prediction]:
        if not decoded:
            return []
        # One thread: those of OpenBLAS wait for each other by spinning, seven times as long on a busy machine.
        with _computing, threadpool_limits(1, user_api="blas"):
            said = self._model.predict(self._predict(np.stack([pixels for _, pixels in decoded])))
        return [self._prediction(path_of(image), said, row) for row, (image, _) in enumerate(decoded)]

    def _prediction(self, path: str | None, said: Predictions, row: int) -> Prediction:
        model = self._model
        return Prediction(
            path=path,
            best=model.classes[said.best[row]],
            probabilities=dict(zip(model.classes, said.probabilities[row].tolist(), strict=True)),
            unfamiliarity=float(said.unfamiliarity[row]),
            threshold=model.threshold,
            limit=model.limit,
            unsure=bool(said.unsure[row]),
        )


def find_network(saved: Saved, weights: str | None, backbone: str | None = None) -> Network:
    """The network that gives the features a classifier was trained on, by LiteRT; not loaded yet.

    Raises:
        InputError: the weights, or this version of Orchard, would give other features.
        WeightsError: no usable weights.
        UsageError: a backbone that this version does not know.
    """
    known, baked = choose_backbone(backbone or saved.model.settings.get("backbone", ""), weights)
    network = Network(known, "litert", baked)
    check_settings(saved, network.settings, f"this version of Orchard with weights {baked.folder}")
    return network


def classify(options: PredictOptions, reporter: Reporter) -> list[dict[str, Any]]:
    """Classify `options.photos`: a row for each, in order.

    Its columns are path, answer, class, probability, unsure and unfamiliarity; and reason and detail, which are None
    unless the photo could not be read or decoded, which leaves the others None.

    Raises:
        OrchardError: the classifier or the weights are not to be had, or a bucket cannot be reached.
    """
    classifier = Classifier.load(options.classifier, weights=options.weights, backbone=options.backbone)
    rows = []
    with reporter.progress(len(options.photos)) as show:
        for path, (_, found) in zip(options.photos, classifier.outcomes(options.photos), strict=True):
            rows.append(_row(to_text(path), found))
            show(len(rows))
    return rows


def _row(path: str, found: Prediction | PhotoError) -> dict[str, Any]:
    columns = ("answer", "class", "probability", "unsure", "unfamiliarity", "reason", "detail")
    row: dict[str, Any] = {"path": path, **dict.fromkeys(columns)}
    if isinstance(found, PhotoError):
        return row | {"reason": found.reason, "detail": found.detail}
    said = {name: getattr(found, name) for name in ("answer", "probability", "unsure", "unfamiliarity")}
    return row | said | {"class": found.best}
