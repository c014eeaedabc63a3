"""The items that each loss trains on; values and gradients are in `batched.gradients`."""

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from fec_cache.pairs.build import TripletTable, pairs_from_triplets

# Margins of the paper: 0.1 where the three faces are of one class, 0.2 for the others.
TRIPLET_MARGINS = (0.1, 0.2, 0.2)
CONTRASTIVE_MARGIN = 1.0
# Losses whose items are pairs; those of the others are triplets.
PAIR_LOSSES = ("bce", "contrastive")


def bce_loss(logits: Tensor, is_similar: Tensor) -> Tensor:
    """Binary cross-entropy of logits [B] against `is_similar` [B], mean."""
    return functional.binary_cross_entropy_with_logits(logits, is_similar.to(logits.dtype))


def training_columns(
    loss: str, train: TripletTable, both_orders: bool = False
) -> tuple[npt.NDArray[np.generic], ...]:
    """The columns that batches of a loss are taken from, one entry per item.

    Args:
        loss: one of `config.LOSSES`.
        train: T triplets.
        both_orders: also each item with the faces of its pairs exchanged.

    Returns:
        Rows of faces first: [3T, 2] pairs and their labels [3T] float32 for the losses on pairs;
        [T, 3] triplets with their odd faces [T] and types [T] for `triplet`, with the raters'
        shares of votes [T, 3] float32 for `odd-one-out`.
    """
    if both_orders:
        # A triplet read backwards has the same three pairs, each in its other order.
        turned = (train.rows[:, ::-1], 2 - train.odd, train.types, train.votes[:, ::-1])
        both = zip((train.rows, train.odd, train.types, train.votes), turned, strict=True)
        train = TripletTable(*(np.concatenate(columns) for columns in both))
    if loss in PAIR_LOSSES:
        pairs = pairs_from_triplets(train)
        return pairs.rows, pairs.is_similar.astype(np.float32)
    if loss == "odd-one-out":
        # Votes instead of the majority's answer never cost more than the error of a comparison, and
        # gained up to 1.1 points in five planted worlds (docs/experiments.md, 2026-11-23).
        shares = train.votes / train.votes.sum(axis=1, keepdims=True)
        return train.rows, shares.astype(np.float32)
    return train.rows, train.odd, train.types
