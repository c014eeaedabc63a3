"""Losses by hand: value and gradient for K heads side by side.

Shapes: `*k` is (K,) or (); B items with P = 1 pair (losses on pairs) or 3 (losses on triplets).
The tests compare each one with autograd.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from fec_cache.training.losses import CONTRASTIVE_MARGIN, TRIPLET_MARGINS

Answers = tuple[Tensor, ...]


class LossGradient(ABC):
    """One loss.

    `of_distances` says whether it reads distances instead of logits; `ignores_shift`, whether
    adding one number to all logits of an item leaves it unchanged. A parameter without influence
    is held: its gradient would be a rounding error, which Adam scales up to a whole step.

    Answers have the logits' number of dimensions: [*k, B, 1], or [*k, B, 3] for shares of votes.
    """

    of_distances = False
    ignores_shift = False

    @abstractmethod
    def gradient(self, values: Tensor, answers: Answers, share: Tensor, out: Tensor) -> Tensor:
        """Gradient of the batch's mean loss by logits or distances, written to `out`.

        Args:
            values: logits or distances [*k, B, P].
            answers: of the batch.
            share: 1 / B as a tensor [] (torch would wrap a number into a tensor at each step).
            out: [*k, B, P].
        """

    @abstractmethod
    def per_item(self, values: Tensor, answers: Answers) -> Tensor:
        """Loss [*k, B] of each item."""


class BceGradient(LossGradient):
    """Binary cross-entropy; answers: 1 for similar, 0 for different."""

    def gradient(self, values: Tensor, answers: Answers, share: Tensor, out: Tensor) -> Tensor:
        """Gradient [*k, B, P] by logits, P = 1."""
        return torch.sigmoid(values, out=out).sub_(answers[0]).mul_(share)

    def per_item(self, values: Tensor, answers: Answers) -> Tensor:
        """Loss [*k, B] of each item."""
        bce = functional.binary_cross_entropy_with_logits
        return bce(values, answers[0], reduction="none").squeeze(-1)


class ContrastiveGradient(LossGradient):
    """Contrastive; answers: 1 for similar, 0 for different."""

    of_distances = True

    def gradient(self, values: Tensor, answers: Answers, share: Tensor, out: Tensor) -> Tensor:
        """Gradient [*k, B, P] by distances, P = 1."""
        pushes = (values <= CONTRASTIVE_MARGIN).to(values.dtype)
        return torch.sub(answers[0], (1.0 - answers[0]) * pushes, out=out).mul_(share)

    def per_item(self, values: Tensor, answers: Answers) -> Tensor:
        """Loss [*k, B] of each item."""
        apart = (CONTRASTIVE_MARGIN - values).clamp(min=0.0)
        return (answers[0] * values + (1.0 - answers[0]) * apart).squeeze(-1)


class OddOneOutGradient(LossGradient):
    """Softmax over the similarities of a triplet; answers: shares of votes.

    Raters are modelled as naming the face whose removal leaves the most similar pair, with noise;
    so the votes of a triplet are soft labels, and doubtful triplets weigh less.

    Source: Zheng, Pereira, Baker & Hebart, "Revealing interpretable object representations from
    human behavior", ICLR 2019, arXiv:1901.02915, equation 2, with shares for its single answers.
    """

    ignores_shift = True

    def gradient(self, values: Tensor, answers: Answers, share: Tensor, out: Tensor) -> Tensor:
        """Gradient [*k, B, P] by logits, P = 3."""
        shares = answers[0]
        chosen = torch.softmax(values, dim=-1).mul_(shares.sum(dim=-1, keepdim=True))
        return torch.sub(chosen, shares, out=out).mul_(share)

    def per_item(self, values: Tensor, answers: Answers) -> Tensor:
        """Loss [*k, B] of each item."""
        return -(answers[0] * functional.log_softmax(values, dim=-1)).sum(dim=-1)


class TripletGradient(LossGradient):
    """Hinge on both differences of distances; answers: the odd face, and the triplet's type.

    Source: Vemulapalli & Agarwala, CVPR 2019, arXiv:1811.11283, equation 1.
    """

    of_distances = True

    def gradient(self, values: Tensor, answers: Answers, share: Tensor, out: Tensor) -> Tensor:
        """Gradient [*k, B, P] by distances, P = 3."""
        odd = answers[0]
        is_active = (self._hinge(values, answers) >= 0.0).to(values.dtype).scatter_(-1, odd, 0.0)
        num_active = is_active.sum(dim=-1, keepdim=True)
        return torch.neg(is_active, out=out).scatter_add_(-1, odd, num_active).mul_(share)

    def per_item(self, values: Tensor, answers: Answers) -> Tensor:
        """Loss [*k, B] of each item."""
        hinge = self._hinge(values, answers).clamp_(min=0.0)
        return hinge.scatter_(-1, answers[0], 0.0).sum(dim=-1)

    def _hinge(self, values: Tensor, answers: Answers) -> Tensor:
        odd, types = answers
        return values.gather(-1, odd) - values + _margins(values.device)[types]


def _margins(device: torch.device) -> Tensor:
    if device not in _MARGINS:
        _MARGINS[device] = torch.tensor(TRIPLET_MARGINS, device=device)
    return _MARGINS[device]


# Made once per device: a CUDA graph cannot record a copy from the CPU.
_MARGINS: dict[torch.device, Tensor] = {}

GRADIENTS: dict[str, LossGradient] = {
    "bce": BceGradient(),
    "contrastive": ContrastiveGradient(),
    "odd-one-out": OddOneOutGradient(),
    "triplet": TripletGradient(),
}
