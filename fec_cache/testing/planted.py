"""Features with a known expression factor, and triplets that follow from it."""

import numpy as np
import numpy.typing as npt

from fec_cache.pairs.build import TripletTable


def planted_set(
    num_faces: int = 120, num_triplets: int = 600, width: int = 12, seed: int = 0, first: int = 0
) -> tuple[npt.NDArray[np.float32], TripletTable]:
    """Faces as points on a line in loud noise; the odd face is the one outside the closest pair.

    Args:
        num_faces: N faces.
        num_triplets: T triplets of three different faces.
        width: D; the first number is three times the factor, the others are standard normal noise.
        seed: seed of all random numbers.
        first: row number of the first face in the matrix that the triplets refer to.

    Returns:
        Features [N, D] float32 and the triplets, each with six unanimous votes.
    """
    rng = np.random.default_rng(seed)
    factor = rng.uniform(-1, 1, num_faces)
    features = rng.normal(0, 1, (num_faces, width)).astype(np.float32)
    features[:, 0] = 3.0 * factor
    rows = np.array([rng.choice(num_faces, 3, replace=False) for _ in range(num_triplets)])
    x = factor[rows]
    gaps = np.stack(
        [abs(x[:, 1] - x[:, 2]), abs(x[:, 0] - x[:, 2]), abs(x[:, 0] - x[:, 1])], axis=1
    )
    odd = gaps.argmin(axis=1)
    votes = np.eye(3, dtype=np.int64)[odd] * 6
    types = rng.integers(0, 3, num_triplets)
    return features, TripletTable(rows.astype(np.int64) + first, odd, types, votes)


def planted_split(
    seed: int = 0,
) -> tuple[npt.NDArray[np.float32], TripletTable, TripletTable]:
    """Training (600) and validation (200) triplets on disjoint faces of one matrix [180, 12]."""
    train_features, train = planted_set(seed=seed)
    val_features, validation = planted_set(60, 200, seed=seed + 1, first=len(train_features))
    return np.concatenate([train_features, val_features]), train, validation
