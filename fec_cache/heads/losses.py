"""What a head is trained to make small."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from fec_cache.heads.model import PairHead
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable, pairs_from_triplets

# Margins of the paper: 0.1 where the three faces are of one class, 0.2 for the others.
TRIPLET_MARGINS = (0.1, 0.2, 0.2)
CONTRASTIVE_MARGIN = 1.0
# Losses whose items are pairs; those of the others are triplets.
PAIR_LOSSES = ("bce", "contrastive")


def bce_loss(logits: Tensor, is_similar: Tensor) -> Tensor:
    """Binary cross-entropy of logits [B] against `is_similar` [B], mean."""
    return functional.binary_cross_entropy_with_logits(logits, is_similar.to(logits.dtype))


def triplet_loss(head: PairHead, logits: Tensor, odd: Tensor, types: Tensor) -> Tensor:
    """Hinge on both differences of distances of each triplet, mean over triplets.

    Args:
        head: gives the distance that belongs to a logit.
        logits: [B, 3]; pair j is the pair without face j.
        odd: [B] int64, the odd face, and so the similar pair.
        types: [B] int64, 0 one-class, 1 two-class, 2 three-class; picks the margin.

    Source: Vemulapalli & Agarwala, CVPR 2019, arXiv:1811.11283, equation 1.
    """
    distances = head.distance(logits)
    similar = distances.gather(1, odd[:, None])
    margins = torch.tensor(TRIPLET_MARGINS, device=logits.device)[types]
    hinge = (similar - distances + margins[:, None]).clamp(min=0.0)
    # The similar pair against itself is no term of the loss.
    is_other = torch.ones_like(hinge).scatter(1, odd[:, None], 0.0)
    return (hinge * is_other).sum(dim=1).mean()


def contrastive_loss(head: PairHead, logits: Tensor, is_similar: Tensor) -> Tensor:
    """Pull similar pairs together, push different ones until a margin parts them, mean over pairs.

    Args:
        head: gives the distance that belongs to a logit; squared, for the embedding head.
        logits: [B].
        is_similar: [B], 1 or 0.

    Source: Chopra, Hadsell & LeCun, "Learning a similarity metric discriminatively", CVPR 2005.
    """
    distances = head.distance(logits)
    similar = is_similar.to(logits.dtype)
    apart = (CONTRASTIVE_MARGIN - distances).clamp(min=0.0)
    return (similar * distances + (1.0 - similar) * apart).mean()


def odd_one_out_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy of a softmax over a triplet's similarities against the raters' votes, mean.

    The raters are taken to name the face without which the other two are most alike, each with
    some noise; so the votes of a triplet are soft labels, and doubtful ones weigh less.

    Args:
        logits: [B, 3]; pair j is the pair without face j.
        shares: [B, 3] float32, share of the raters who named face j, summing to 1.

    Source: Zheng, Pereira, Baker & Hebart, "Revealing interpretable object representations from
    human behavior", ICLR 2019, arXiv:1901.02915, equation 2, with shares for its single answers.
    """
    return -(shares * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()


def training_columns(
    loss: str, train: TripletTable, both_orders: bool = False
) -> tuple[npt.NDArray[np.generic], ...]:
    """What batches of a loss are made of, one entry an item.

    Args:
        loss: one of `config.LOSSES`.
        train: T triplets.
        both_orders: each item twice, the second time with the faces of its pairs exchanged.

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
        shares = train.votes / train.votes.sum(axis=1, keepdims=True)
        return train.rows, shares.astype(np.float32)
    return train.rows, train.odd, train.types


def batch_loss(loss: str, head: PairHead, faces: Tensor, answers: tuple[Tensor, ...]) -> Tensor:
    """The loss of one batch, a scalar.

    Args:
        loss: one of `config.LOSSES`.
        head: compares prepared features.
        faces: [B, 2, D] or [B, 3, D] prepared features, by the rows of `training_columns`.
        answers: the batch of the columns behind the rows.
    """
    if loss in PAIR_LOSSES:
        logits = head.compare(faces[:, 0], faces[:, 1])
        if loss == "bce":
            return bce_loss(logits, answers[0])
        return contrastive_loss(head, logits, answers[0])
    logits = torch.stack(
        [head.compare(faces[:, i], faces[:, j]) for i, j in PAIRS_OF_TRIPLET], dim=1
    )
    if loss == "odd-one-out":
        return odd_one_out_loss(logits, answers[0])
    return triplet_loss(head, logits, answers[0], answers[1])
