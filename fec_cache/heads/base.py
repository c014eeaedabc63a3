"""`PairHead(a, b) -> logits`: the trained part, on two faces' features."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from fec_cache.errors import BadOption, HeadMismatch
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.preparation import Preparation
from fec_cache.system.wording import counted

# How many directions the scatter head may choose.
COMPONENTS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
# In how many places the line from logits to log odds may change its slope.
NUM_BENDS = 5


class PairHead(nn.Module):
    """Says how similar two faces are from their features.

    `forward` gives logits; their sigmoid after calibration is P(similar). The preparation of the
    features and the calibration are buffers, saved with the weights: `calibration` is slope and
    offset, and each row of `bends` a logit from which the slope is so many times the first.
    """

    calibration: Tensor
    bends: Tensor
    # Whether `roles` gives the same unit vector for both places: a space to find neighbours in.
    has_embedding = False

    def __init__(self, config: HeadConfig, width: int) -> None:
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
            NothingToTrain: not one feature varies.
        """
        self.preparation.fit(features)

    def prepare(self, features: Tensor) -> Tensor:
        """What the first layer sees of features [B, D]: [B, K] float32."""
        prepared: Tensor = self.preparation(features)
        return prepared

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits [B] of features a and b, both [B, D] float32."""
        return self.compare(self.prepare(a), self.prepare(b))

    @abstractmethod
    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits [B] of prepared features."""

    def roles(self, prepared: Tensor) -> tuple[Tensor, Tensor]:
        """What a face brings to any pair as its first and as its second face, [N, ...] each.

        Worked out once a face, it is shared by all pairs that the face stands in.
        """
        return prepared, prepared

    def meet(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits [B] of what `roles` gave for the first and for the second faces: [B, ...]."""
        return self.compare(first, second)

    def distance(self, logits: Tensor) -> Tensor:
        """Distance in [0, 1] for the triplet loss: P(different) before calibration."""
        return torch.sigmoid(-logits)

    def probability(self, logits: Tensor) -> Tensor:
        """Calibrated P(similar) of logits, in [0, 1]."""
        # The last few of many are not computed by vectors and round otherwise; in float64 both
        # round to the same float32, so that a pair's place in a batch does not show.
        return torch.sigmoid(self.log_odds(logits.double())).to(logits.dtype)

    def log_odds(self, logits: Tensor) -> Tensor:
        """Calibrated log odds of P(similar), of logits' shape and dtype."""
        slope, offset = self.calibration.to(logits.dtype)
        knots, ratios = self.bends.to(logits.dtype).T
        last = torch.ones_like(ratios[:1])
        found: Tensor = slope * logits + offset
        for knot, change in zip(knots, slope * torch.diff(ratios, prepend=last), strict=True):
            found = found + change * (logits - knot).clamp(min=0.0)
        return found


class ConcatHead(PairHead):
    """[a; b] -> Linear -> ReLU -> ... -> Linear: the original recipe.

    Not symmetric, unless `both_orders`: then it answers the mean of the logits of (a, b) and
    (b, a), outside of training, where the batches hold both orders.
    """

    def __init__(self, config: HeadConfig, width: int) -> None:
        super().__init__(config, width)
        self.layers = _mlp(2 * self.preparation.width, config.hidden, 1, config.dropout)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits [B] of prepared features [B, D]."""
        if self.config.both_orders and not self.training:
            return (self._in_order(a, b) + self._in_order(b, a)) / 2.0
        return self._in_order(a, b)

    def roles(self, prepared: Tensor) -> tuple[Tensor, Tensor]:
        """Products with both halves of the first layer, [N, H] each; [N, 2H] for both orders."""
        weight, bias = self.layers[0].parameters()
        left, right = weight.chunk(2, dim=1)
        first = functional.linear(prepared, left)
        second = functional.linear(prepared, right, bias)
        if not self.config.both_orders:
            return first, second
        return torch.cat([first, second], dim=-1), torch.cat([second, first], dim=-1)

    def meet(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits [B]: the products' sum goes through the other layers."""
        layers, mixed = self.layers[1:], first + second
        if not self.config.both_orders:
            logits: Tensor = layers(mixed)
            return logits.squeeze(-1)
        one, other = mixed.chunk(2, dim=-1)
        mean: Tensor = (layers(one) + layers(other)) / 2.0
        return mean.squeeze(-1)

    def _in_order(self, a: Tensor, b: Tensor) -> Tensor:
        logits: Tensor = self.layers(torch.cat([a, b], dim=-1))
        return logits.squeeze(-1)


class SymmetricHead(PairHead):
    """MLP on [abs(a - b), a * b]: exactly symmetric."""

    def __init__(self, config: HeadConfig, width: int) -> None:
        super().__init__(config, width)
        self.layers = _mlp(2 * self.preparation.width, config.hidden, 1, config.dropout)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits [B] of prepared features [B, D]."""
        logits: Tensor = self.layers(torch.cat([(a - b).abs(), a * b], dim=-1))
        return logits.squeeze(-1)


class EmbeddingHead(PairHead):
    """Projection to unit vectors; logit = scale * (threshold - squared distance).

    Exactly symmetric. 16 dimensions are FECNet's (arXiv:1811.11283).
    """

    has_embedding = True

    def __init__(self, config: HeadConfig, width: int) -> None:
        super().__init__(config, width)
        self.layers = _mlp(
            self.preparation.width, config.hidden, config.embedding_dim, config.dropout
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(5.0)))
        self.threshold = nn.Parameter(torch.tensor(1.0))

    def embed(self, features: Tensor) -> Tensor:
        """Embedding [B, E] of unit length of features [B, D]."""
        return self._embed_prepared(self.prepare(features))

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits [B] of prepared features [B, D]."""
        return self.meet(self._embed_prepared(a), self._embed_prepared(b))

    def roles(self, prepared: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding, [N, E], whichever place the face has."""
        embedding = self._embed_prepared(prepared)
        return embedding, embedding

    def meet(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits [B] of embeddings [B, E]."""
        gap = first - second
        return self.log_scale.exp() * (self.threshold - gap.square().sum(dim=-1))

    def distance(self, logits: Tensor) -> Tensor:
        """Squared distance of the embeddings, in [0, 4]."""
        return self.threshold - logits / self.log_scale.exp()

    def _embed_prepared(self, prepared: Tensor) -> Tensor:
        return functional.normalize(self.layers(prepared), dim=-1)


class ScatterHead(PairHead):
    """Cosine of a linear projection in closed form (`heads.scatter`); nothing is learned by steps.

    The projection belongs to the preparation, so a face is projected once. It has room for the most
    directions that may be chosen; those that were not are zero.
    """

    has_embedding = True
    projection: Tensor

    def __init__(self, config: HeadConfig, width: int) -> None:
        super().__init__(config, width)
        inner = self.preparation.width
        num_kept = config.components or min(COMPONENTS[-1], inner)
        if num_kept > inner:
            raise BadOption(
                f"components is {num_kept}, but prepared features have only "
                f"{counted(inner, 'number')}. Ask for {inner} or fewer."
            )
        self.register_buffer("projection", torch.zeros(inner, num_kept))

    def prepare(self, features: Tensor) -> Tensor:
        """Projected features of unit length: [B, k] float32."""
        return functional.normalize(super().prepare(features) @ self.projection, dim=-1)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Cosines [B] of prepared features [B, k]."""
        return (a * b).sum(dim=-1)

    def distance(self, logits: Tensor) -> Tensor:
        """One minus the cosine, in [0, 2]."""
        return 1.0 - logits


def build_head(config: HeadConfig, width: int) -> PairHead:
    """A fresh head for features of `width` numbers, initialised from torch's random state."""
    kinds: dict[str, type[PairHead]] = {
        "concat": ConcatHead,
        "symmetric": SymmetricHead,
        "embedding": EmbeddingHead,
        "scatter": ScatterHead,
    }
    return kinds[config.head](config, width)


def _mlp(width: int, hidden: tuple[int, ...], out: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for num_units in hidden:
        layers += [nn.Linear(width, num_units), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = num_units
    return nn.Sequential(*layers, nn.Linear(width, out))
