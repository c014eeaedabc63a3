"""Losses and optimisers in plain torch, which the hand-written ones are compared with."""

import torch
from torch.nn import functional

from fec_cache.pairs.build import PAIRS_OF_TRIPLET
from fec_cache.training.losses import CONTRASTIVE_MARGIN, PAIR_LOSSES, TRIPLET_MARGINS, bce_loss


def triplet_loss(head, logits, odd, types):
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


def contrastive_loss(head, logits, is_similar):
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


def odd_one_out_loss(logits, shares):
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


def batch_loss(loss, head, faces, answers):
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


def torch_optimizer(head, config):
    kinds = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": lambda p, **rest: torch.optim.SGD(p, momentum=0.9, **rest),
    }
    return kinds[config.optimizer](
        head.parameters(), lr=config.lr, weight_decay=config.weight_decay
    )
