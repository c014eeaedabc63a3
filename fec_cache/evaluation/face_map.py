"""Faces as points in a plane: the first two principal components of a head's embedding."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.heads.base import PairHead


@dataclass(frozen=True)
class FaceMap:
    """Positions of some faces in a plane.

    `rows` [n] int64 are rows of the feature matrix, `places` [n, 2] float64 in [0, 1] their
    positions. `explained` is the two components' share of the variance. `is_embedding` is False if
    the head has no embedding; then its prepared features are shown.
    """

    rows: npt.NDArray[np.int64]
    places: npt.NDArray[np.float64]
    explained: float
    is_embedding: bool


def map_faces(
    head: PairHead,
    features: npt.NDArray[np.floating],
    rows: npt.NDArray[np.int64],
    most: int = 240,
    seed: int = 0,
) -> FaceMap | None:
    """Project faces on the first two principal components; None for fewer than three faces.

    Args:
        head: a trained head.
        features: [N, D] float.
        rows: [n] int64, faces to show; a random sample of them if there are more than `most`.
        most: maximum number of faces.
        seed: seed of the sample.
    """
    if len(rows) < 3:
        return None
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    embed = getattr(head, "embed", None)
    head.eval()
    with torch.inference_mode():
        chosen = torch.from_numpy(features[rows].astype(np.float32))
        points = (embed or head.prepare)(chosen).numpy().astype(np.float64)
    points -= points.mean(axis=0)
    left, sizes, _ = np.linalg.svd(points, full_matrices=False)
    places = np.zeros((len(rows), 2))
    width = min(2, len(sizes))
    places[:, :width] = left[:, :width] * sizes[:width]
    spread = np.ptp(places, axis=0)
    places = (places - places.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    total = float((sizes**2).sum())
    explained = float((sizes[:2] ** 2).sum() / total) if total else float("nan")
    return FaceMap(rows, places, explained, embed is not None)
