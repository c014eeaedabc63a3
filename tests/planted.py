"""Features with a known expression factor, and triplets that follow from it."""

import numpy as np

from fec_cache.pairs.build import TripletTable


def planted_set(num_faces=120, num_triplets=600, width=12, seed=0, first=0):
    """Faces are points on a line plus loud noise dimensions; the odd face is the farthest one."""
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


def planted_split(seed=0):
    """Training and validation triplets on two sets of faces in one matrix."""
    train_features, train = planted_set(seed=seed)
    val_features, validation = planted_set(60, 200, seed=seed + 1, first=len(train_features))
    return np.concatenate([train_features, val_features]), train, validation
