"""`FolderConfig`: how labelled pictures become triplets."""

from dataclasses import dataclass, field

from fec_cache.system.checks import check_range


@dataclass(frozen=True)
class FolderConfig:
    """How many triplets to draw, and how people are split.

    People are split into test and training. Training people are further divided into `blocks` that
    share no triplet, so that a validation split without shared faces drops none. Sets with few
    people or pictures get fewer blocks.

    Raises:
        BadOption: a field is out of range.
    """

    triplets: int = field(
        default=0, metadata={"help": "Total number of triplets.", "unset": "three per picture"}
    )
    test_share: float = field(default=0.2, metadata={"help": "Share of people in test.csv."})
    blocks: int = field(
        default=8,
        metadata={"help": "Maximum number of groups of training people that share no triplet."},
    )
    seed: int = field(
        default=0, metadata={"help": "Random seed; the same seed writes the same files."}
    )

    def __post_init__(self) -> None:
        """Check every field."""
        check_range("triplets", self.triplets, 0, 100_000_000)
        check_range("test share", self.test_share, 0.05, 0.9)
        check_range("blocks", self.blocks, 1, 1000)
        check_range("seed", self.seed, 0, 2**63 - 1)
