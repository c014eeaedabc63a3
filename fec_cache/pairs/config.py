"""`PairConfig`: which triplets count, and how they are split."""

from dataclasses import dataclass

from fec_cache.system.checks import check_range


@dataclass(frozen=True)
class PairConfig:
    """Which triplets count, and how train.csv is parted into training and validation."""

    min_agreement: float = 0.0
    validation_share: float = 0.1
    split_seed: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        check_range("min agreement", self.min_agreement, 0.0, 1.0)
        check_range("validation share", self.validation_share, 0.01, 0.9)
        check_range("split seed", self.split_seed, 0, 2**63 - 1)
