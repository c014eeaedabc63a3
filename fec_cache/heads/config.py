"""`HeadConfig`: the shape of a pair classifier, with its defaults and limits."""

import math
import re
from dataclasses import dataclass, field

from fec_cache.errors import BadOption
from fec_cache.heads.kinds import (
    RANDOM_START,
    HeadKind,
    head_kinds,
    head_names,
    kind_of,
    start_names,
    summaries,
)
from fec_cache.system.checks import check_choice, check_range, check_type, check_whole

WIDEST_SCATTER, SCATTER_DIRECTIONS = 1024, 512
MOST_COMPONENTS = 512
PREPARATIONS = ("none", "l2", "standardize", "pca:K", "whiten:K")


def split_preparation(text: str) -> tuple[str, int | None]:
    """`pca:128` -> ("pca", 128), `l2` -> ("l2", None).

    Raises:
        BadOption: not one of `PREPARATIONS`.
    """
    kind, colon, number = text.partition(":")
    if colon and f"{kind}:K" in PREPARATIONS and re.fullmatch("[1-9][0-9]{0,8}", number):
        return kind, int(number)
    check_choice("prepare", text, PREPARATIONS)
    if text.endswith(":K"):
        raise BadOption(f"prepare is {text!r}: K stands for a number, as in {kind}:128.")
    return text, None


@dataclass(frozen=True)
class HeadConfig:
    """The shape of a pair classifier. The defaults are the original recipe.

    `prepare` is what happens to features before the first layer: `none`, `l2` (unit length),
    `standardize` (mean 0 and variance 1 per feature), `pca:K` (then the K directions of largest
    variance) or `whiten:K` (with variance 1 in each). All but `none` and `l2` are fitted on the
    training faces, and all but `none` scale each face to one length. None means the head's own
    default. `blocks` are the widths of several caches' features side by side, empty for one cache:
    each block gets the same share of the length, so that a wide grid does not drown a pool.

    Which head reads which field, and which `init` it accepts, is in its `KIND`.

    Example:
        >>> HeadConfig("embedding", hidden=(128,)).embedding_dim
        16
    """

    head: str = field(
        default="concat",
        metadata={"help": f"Pair classifier. {summaries()}.", "choices": head_names},
    )
    hidden: tuple[int, ...] = field(
        default=(256,),
        metadata={"help": "Hidden layer widths, e.g. 512-128, or none.", "metavar": "WIDTHS"},
    )
    dropout: float = field(
        default=0.0, metadata={"help": "Dropout probability after each hidden layer."}
    )
    # FECNet's size. On planted faces 8 dimensions were as good and kept less of the person, but
    # with equally many triplets of each type the same rule takes 12 (docs/experiments.md).
    embedding_dim: int = field(
        default=16, metadata={"help": "Embedding size (embedding head only)."}
    )
    prepare: str | None = field(
        default=None,
        metadata={
            "help": "Feature preparation: none, l2, standardize, pca:K or whiten:K.",
            "metavar": "WORD",
            "unset": "none for concat, else standardize",
        },
    )
    # More is not always better: on real faces the pools of three stages beside a grid cost 1.6
    # points (docs/experiments.md, 2026-11-23).
    blocks: tuple[int, ...] = ()
    init: str = field(
        default=RANDOM_START,
        metadata={
            "help": "Initial weights: random, or the scatter head's (embedding head only).",
            "choices": start_names,
        },
    )
    both_orders: bool = field(
        default=False,
        metadata={"help": "Train on both orders of each pair; concat then averages both logits."},
    )
    shrinkage: float | None = field(
        default=None,
        metadata={
            "help": "Shrinkage of the scatter matrix towards the identity, 0 to 1.",
            "unset": "chosen on validation",
        },
    )
    components: int | None = field(
        default=None,
        metadata={
            "help": "Number of directions (scatter head only).",
            "unset": "chosen on validation",
        },
    )

    def __post_init__(self) -> None:
        """Check every field."""
        kind = self.kind
        check_choice("init", self.init, start_names())
        if self.shrinkage is not None:
            check_range("shrinkage", self.shrinkage, 0.0, 1.0)
        if self.components is not None:
            check_whole("components", self.components, 1, MOST_COMPONENTS)
        check_type("blocks", self.blocks, tuple, "a tuple of widths")
        for width in self.blocks:
            check_whole("block", width, 1, math.inf)
        check_type("hidden", self.hidden, tuple, "a tuple of widths, such as (256,) or ()")
        for width in self.hidden:
            check_whole("hidden", width, 1, 65536)
        check_range("dropout", self.dropout, 0.0, 0.95)
        check_whole("embedding dim", self.embedding_dim, 1, 4096)
        check_type("both orders", self.both_orders, bool, "True or False")
        if self.prepare is not None:
            check_type("prepare", self.prepare, str, f"one of: {', '.join(PREPARATIONS)}")
            split_preparation(self.prepare)
        self._check_start(kind)

    @property
    def kind(self) -> HeadKind:
        """The description of the head.

        Raises:
            BadOption: there is no such head.
        """
        return kind_of(self.head)

    @property
    def has_random_start(self) -> bool:
        """Whether training starts from random weights."""
        return self.init == RANDOM_START

    def preparation_for(self, width: int) -> str:
        """The preparation of features [N, width]: the requested one, or else the default."""
        if self.prepare is not None:
            return self.prepare
        if self.blocks or self.kind.default_preparation == "standardize":
            is_solved = self.kind.is_closed_form or not self.has_random_start
            # Scatters of many features are slow to decompose and poorly estimated.
            is_wide = is_solved and width > WIDEST_SCATTER
            # Whitening is no default: it cost 1.7 points on real faces (docs/experiments.md).
            return f"pca:{SCATTER_DIRECTIONS}" if is_wide else "standardize"
        return self.kind.default_preparation

    def _check_start(self, kind: HeadKind) -> None:
        if self.init not in kind.starts:
            others = [other.name for other in head_kinds() if self.init in other.starts]
            raise BadOption(
                f"init {self.init} works with the head {' or '.join(others)}, not "
                f"{self.head}. Add --head {others[0]}."
            )
        per_dimension = kind.starts[self.init]
        needed = per_dimension * self.embedding_dim
        if self.hidden and min(self.hidden) < needed:
            raise BadOption(
                f"hidden is {'-'.join(map(str, self.hidden))}, but to start from {self.init} every "
                f"hidden layer needs {per_dimension} units per dimension of the embedding "
                f"({self.embedding_dim}): at least {needed}. Widen it, or use --hidden none."
            )
