"""`PairConfig`: which triplets count, and how they are split."""

from dataclasses import dataclass, field

from fec_cache.system.checks import check_range, check_whole


@dataclass(frozen=True)
class PairConfig:
    """Which triplets count, and how train.csv is split into training and validation.

    Raises:
        BadOption: a field is out of range.

    Example:
        >>> PairConfig(validation_share=0.2).split_seed
        0
    """

    min_agreement: float = field(
        default=0.0, metadata={"help": "Minimum share of raters that agree with the majority."}
    )
    validation_share: float = field(
        default=0.1,
        metadata={
            "help": "Share of the triplets in train.csv to hold out for validation. The two sides "
            "share no face, so the actual share may differ and is reported."
        },
    )
    split_seed: int = field(
        default=0, metadata={"help": "Random seed of the split into training and validation."}
    )

    def __post_init__(self) -> None:
        """Check every field."""
        check_range("min agreement", self.min_agreement, 0.0, 1.0)
        check_range("validation share", self.validation_share, 0.01, 0.9)
        check_whole("split seed", self.split_seed, 0, 2**63 - 1)
