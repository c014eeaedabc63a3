"""`PairHead(a, b) -> logits`: what every head is, from the features of two faces."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from fec_cache.errors import HeadMismatch
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.kinds import HeadKind
from fec_cache.heads.preparation import Preparation
from fec_cache.pairs.build import TripletTable

# At how many logits the calibrated line may change its slope.
NUM_BENDS = 5


class PairHead(nn.Module):
    """Says how similar two faces are from their features.

    Each head is a subclass in its own file, with a `KIND` and the decorator `registry.register`;
    it has to define `compare`. `forward` gives logits; their sigmoid after calibration is
    P(similar). The preparation of the features and the calibration are buffers, saved with the
    weights: `calibration` is slope and offset, and each row of `bends` a logit from which on the
    slope is that multiple of the first slope.
    """

    kind: ClassVar[HeadKind]
    calibration: Tensor
    bends: Tensor

    def __init__(self, config: HeadConfig, width: int) -> None:
        """Make a head that is not trained yet.

        Args:
            config: the shape.
            width: D, the number of features per face.

        Raises:
            HeadMismatch: `config.blocks` do not add up to `width`.
        """
        super().__init__()
        if config.blocks and sum(config.blocks) != width:
            raise HeadMismatch(
                f"The head was made for features in blocks of {'+'.join(map(str, config.blocks))}, "
                f"but these have a width of {width}."
            )
        self.config = config
        self.width = width
        self.preparation = Preparation(config.preparation_for(width), width, config.blocks)
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
        self.register_buffer("bends", torch.tensor([[0.0, 1.0]]).repeat(NUM_BENDS, 1))

    def fit_preparation(self, features: Tensor) -> None:
        """Learn the preparation from the training faces.

        Args:
            features: [N, D] floating point, each training face once.

        Raises:
            NothingToTrain: no feature varies.
        """
        self.preparation.fit(features)

    def prepare(self, features: Tensor) -> Tensor:
        """What `compare` takes for features [B, D]: [B, K] float32."""
        return self.project(self.preparation(features))

    def project(self, prepared: Tensor) -> Tensor:
        """What a closed-form head adds to the preparation, computed once per face: [B, K]."""
        return prepared

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits [B] of features a and b, both [B, D] float32."""
        return self.compare(self.prepare(a), self.prepare(b))

    @abstractmethod
    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits [B] of prepared features a and b, both [B, K]."""

    def roles(self, prepared: Tensor) -> tuple[Tensor, Tensor]:
        """What a face contributes to a pair as its first and as its second face, [N, ...] each.

        It is computed once per face and shared by all pairs of that face.
        """
        return prepared, prepared

    def meet(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits [B] from the two results of `roles`, [B, ...] each."""
        return self.compare(first, second)

    def distance(self, logits: Tensor) -> Tensor:
        """Distance in [0, 1] for the triplet loss: P(different) before calibration."""
        return torch.sigmoid(-logits)

    def start(self, prepared: Tensor, train: TripletTable, validation: TripletTable) -> None:
        """Move the random initial weights to the start that `config.init` names.

        Called before the first step, only if that is not the random one.

        Args:
            prepared: [N, K] float32, all faces, as `prepare` gives them.
            train: triplets to learn from.
            validation: triplets to choose by.
        """
        raise NotImplementedError(f"{self.kind.name} supports only random initial weights")

    def probability(self, logits: Tensor) -> Tensor:
        """Calibrated P(similar) of logits, in [0, 1]."""
        # Vectorised kernels round the last few elements of a batch differently. In float64 both
        # round to the same float32, so the result does not depend on a pair's position in a batch.
        return torch.sigmoid(self.log_odds(logits.double())).to(logits.dtype)

    def log_odds(self, logits: Tensor) -> Tensor:
        """Calibrated log odds [...] of P(similar) of logits [...]: the same shape and dtype."""
        slope, offset = self.calibration.to(logits.dtype)
        knots, ratios = self.bends.to(logits.dtype).T
        first = torch.ones_like(ratios[:1])
        odds: Tensor = slope * logits + offset
        for knot, change in zip(knots, slope * torch.diff(ratios, prepend=first), strict=True):
            odds = odds + change * (logits - knot).clamp(min=0.0)
        return odds


class ClosedFormHead(PairHead):
    """A head that is solved at once; its `KIND` says `is_closed_form=True`."""

    @abstractmethod
    def statistics(self, prepared: Tensor, train: TripletTable) -> object:
        """What heads of this kind with the same preparation share: it does not depend on options.

        Args:
            prepared: [N, K] float32, features by the preparation alone.
            train: triplets to learn from.
        """

    @abstractmethod
    def solve(
        self,
        prepared: Tensor,
        statistics: object,
        train: TripletTable,
        validation: TripletTable,
    ) -> float:
        """Set the weights.

        Args:
            prepared: [N, K] float32, features by the preparation alone.
            statistics: what `statistics` gave for them.
            train: triplets to learn from.
            validation: triplets to choose options by that the configuration leaves open.

        Returns:
            Triplet accuracy on `validation`.
        """
