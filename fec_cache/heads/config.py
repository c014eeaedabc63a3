"""`HeadConfig`: the shape of a pair classifier, with its defaults and limits."""

import math
import re
from dataclasses import dataclass

from fec_cache.errors import BadOption
from fec_cache.system.checks import check_choice, check_range

WIDEST_SCATTER, SCATTER_DIRECTIONS = 1024, 512
MOST_COMPONENTS = 512
HEADS = ("concat", "symmetric", "embedding", "scatter")
INITS = ("random", "scatter")
PREPARATIONS = ("none", "l2", "standardize", "pca:K", "whiten:K")


def split_preparation(words: str) -> tuple[str, int | None]:
    """`pca:128` -> ("pca", 128), `l2` -> ("l2", None).

    Raises:
        BadOption: not one of `PREPARATIONS`.
    """
    kind, colon, number = words.partition(":")
    if colon and f"{kind}:K" in PREPARATIONS and re.fullmatch("[1-9][0-9]{0,8}", number):
        return kind, int(number)
    check_choice("prepare", words, PREPARATIONS)
    if words.endswith(":K"):
        raise BadOption(f"prepare is {words!r}: K stands for a number, as in {kind}:128.")
    return words, None


@dataclass(frozen=True)
class HeadConfig:
    """The shape of a pair classifier. The defaults are the original recipe.

    `prepare` is what happens to features before the first layer: `none`, `l2` (unit length),
    `standardize` (mean 0 and variance 1 per feature), `pca:K` (then the K directions of largest
    variance) or `whiten:K` (with variance 1 in each), all fitted on training faces and then brought
    to one length. None means: the head's own default. `blocks` are the widths of several caches'
    features side by side, empty for one cache: each block gets the same share of that length, so
    that a wide grid does not drown a pool.

    `init` is where the `embedding` head starts: `random`, or `scatter` for the first
    `embedding_dim` directions of the `scatter` head. `both_orders` makes `concat` symmetric: it is
    trained on both orders of each pair and answers the mean of both. `shrinkage` and `components`
    are the `scatter` head's; None means: chosen by validation triplet accuracy.
    """

    head: str = "concat"
    hidden: tuple[int, ...] = (256,)
    dropout: float = 0.0
    embedding_dim: int = 16
    prepare: str | None = None
    blocks: tuple[int, ...] = ()
    init: str = "random"
    both_orders: bool = False
    shrinkage: float | None = None
    components: int | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        check_choice("head", self.head, HEADS)
        check_choice("init", self.init, INITS)
        if self.shrinkage is not None:
            check_range("shrinkage", self.shrinkage, 0.0, 1.0)
        if self.components is not None:
            check_range("components", self.components, 1, MOST_COMPONENTS)
        for width in self.blocks:
            check_range("block", width, 1, math.inf)
        for width in self.hidden:
            check_range("hidden", width, 1, 65536)
        check_range("dropout", self.dropout, 0.0, 0.95)
        check_range("embedding dim", self.embedding_dim, 1, 4096)
        if self.prepare is not None:
            split_preparation(self.prepare)
        self._check_start()

    def preparation_for(self, width: int) -> str:
        """The preparation in force for D = `width`: what was asked for, or the head's default."""
        if self.prepare is not None:
            return self.prepare
        if self.head == "concat" and not self.blocks:
            return "none"
        is_closed = self.head == "scatter" or self.init == "scatter"
        # Scatters of many features are slow to decompose and badly known.
        wide = is_closed and width > WIDEST_SCATTER
        return f"pca:{SCATTER_DIRECTIONS}" if wide else "standardize"

    def _check_start(self) -> None:
        if self.init == "scatter":
            if self.head != "embedding":
                raise BadOption(
                    f"init scatter is where the embedding head can start, not {self.head}. Add "
                    "--head embedding."
                )
            if self.hidden and min(self.hidden) < 2 * self.embedding_dim:
                raise BadOption(
                    f"hidden is {'-'.join(map(str, self.hidden))}, but to start from scatter every "
                    f"hidden layer must hold twice the embedding's {self.embedding_dim} numbers: "
                    f"at least {2 * self.embedding_dim}. Widen it, or take --hidden none."
                )
