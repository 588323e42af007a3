"""The reference features and explained variance that were computed independently, and what must agree with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from tests.runs import Output, link_photos

FEATURES_TOLERANCE = 1e-4
RATIO_TOLERANCE = 1e-5
PARTITIONS = [[0, 13], [1, 13], [2, 13], [3, 11]]


class Golden:
    """One set of reference photos, one sub-folder a variety: links, or copies for those who cannot follow links."""

    def __init__(self, shared: Path, name: str, folder: Path, *, copies: bool = False) -> None:
        with np.load(shared / "golden" / f"{name}.npz") as content:
            self.paths = [str(path) for path in content["paths"]]
            self.features = content["features"]
            self.ratio = content["explained_variance_ratio"]
            self.k = int(content["k90"])
        self.photos = link_photos(folder / name, shared / "fruits-360", self.paths)
        if copies:
            links, self.photos = self.photos, folder / f"{name}-copies"
            shutil.copytree(links, self.photos)

    def assert_same(self, output: Output) -> None:
        """Features, k, ratios and the components' shape."""
        rows = {row["path"]: row["features"] for row in output.rows("features")}
        found = np.array([rows["/".join(path.split("/")[-2:])] for path in self.paths])
        np.testing.assert_allclose(found, self.features, atol=FEATURES_TOLERANCE)
        pca = output.report["pca"]
        assert pca["k"] == self.k
        ratio = pca["explained_variance_ratio"]
        np.testing.assert_allclose(ratio, self.ratio[: len(ratio)], atol=RATIO_TOLERANCE)
        np.testing.assert_allclose(self.ratio[len(ratio) :], 0, atol=RATIO_TOLERANCE)
        assert output.matrix("components", "components").shape == (len(self.paths), self.k)
