"""Faces as points on a page: the two directions in which a head's space is widest."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.heads.base import PairHead


@dataclass(frozen=True)
class FaceMap:
    """`rows` [n] of the feature matrix and where they stand, [n, 2] in 0..1.

    `explained` is the share of all variance that the two directions hold; `is_embedding` tells the
    head's own space from the features as it prepares them.
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
    """Principal components of a head's embedding; None for fewer than three faces.

    Args:
        head: a trained head.
        features: [N, D].
        rows: [n] faces to show; where there are more than `most`, that many drawn at random.
        most: faces.
        seed: of the choice.
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
