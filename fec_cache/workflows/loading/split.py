"""Triplets -> training and validation, with warnings where the split is weak."""

import math

from fec_cache.errors import NothingToTrain
from fec_cache.pairs.config import PairConfig
from fec_cache.pairs.labelled import Labelled
from fec_cache.pairs.split import Split, split_triplets
from fec_cache.system.reporter import Reporter
from fec_cache.system.wording import counted, percent

FEWEST_VALIDATION, ENOUGH_VALIDATION = 5, 200


def split_labelled(labelled: Labelled, pairs: PairConfig, reporter: Reporter) -> Split:
    """Split triplets into training and validation, and report how good the split is.

    Raises:
        NothingToTrain: validation would have fewer than `FEWEST_VALIDATION` triplets.
    """
    split = split_triplets(labelled.table, pairs.validation_share, pairs.split_seed)
    reporter.message(
        f"Split by {split.method}: {len(split.train)} training and "
        f"{counted(len(split.validation), 'validation triplet')} ({percent(_share(split))}), "
        f"{split.num_dropped} dropped between them"
    )
    _judge_split(split, pairs, reporter)
    return split


def _judge_split(split: Split, pairs: PairConfig, reporter: Reporter) -> None:
    """Warn if a split is not as requested, and refuse one that cannot rank epochs.

    Raises:
        NothingToTrain: validation has fewer than `FEWEST_VALIDATION` triplets.
    """
    num, requested = len(split.validation), pairs.validation_share
    if num < FEWEST_VALIDATION:
        raise NothingToTrain(
            f"Only {counted(num, 'triplet')} left for validation, too few to rank epochs; "
            f"at least {FEWEST_VALIDATION} are needed. Add triplets, or raise "
            f"--validation-share (now {requested:g})."
        )
    if abs(_share(split) - requested) > requested / 3:
        parts = "triplets that share faces" if split.method == "faces" else "few large groups"
        reporter.warning(
            f"validation has {percent(_share(split))} of the triplets instead of the requested "
            f"{percent(requested)}: no face may be on both sides, and this set has {parts}."
        )
    if num < ENOUGH_VALIDATION:
        # The error of a share near chance: p (1 - p) = 2/9 at p = 1/3.
        reporter.warning(
            f"with {counted(num, 'validation triplet')} the accuracy has a standard error of about "
            f"{100 * math.sqrt(2 / 9 / num):.0f} points; smaller differences between heads are not "
            "meaningful."
        )


def _share(split: Split) -> float:
    return len(split.validation) / (len(split.train) + len(split.validation))
