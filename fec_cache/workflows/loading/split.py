"""Triplets -> training and validation, and what such a split is worth."""

import math

from fec_cache.errors import NothingToTrain
from fec_cache.pairs.config import PairConfig
from fec_cache.pairs.labelled import Labelled
from fec_cache.pairs.split import Split, split_triplets
from fec_cache.system.reporter import Reporter
from fec_cache.system.wording import counted, percent

FEWEST_VALIDATION, ENOUGH_VALIDATION = 5, 200


def split_labelled(labelled: Labelled, pairs: PairConfig, reporter: Reporter) -> Split:
    """Split triplets into training and validation, and say what the split is worth.

    Raises:
        NothingToTrain: validation would be a handful of triplets.
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
    """Say where a split is not what was asked for, and refuse one that can rank nothing.

    Raises:
        NothingToTrain: validation is a handful of triplets.
    """
    num, asked = len(split.validation), pairs.validation_share
    if num < FEWEST_VALIDATION:
        raise NothingToTrain(
            f"Only {counted(num, 'triplet')} left for validation, too few to tell one epoch from "
            f"another; at least {FEWEST_VALIDATION} are needed. Add triplets, or raise "
            f"--validation-share (now {asked:g})."
        )
    if abs(_share(split) - asked) > asked / 3:
        reason = "its faces hang together" if split.method == "faces" else "it has few large parts"
        reporter.warning(
            f"validation got {percent(_share(split))} of the parted triplets instead of the asked "
            f"{percent(asked)}: no face may stand on both sides, and {reason}."
        )
    if num < ENOUGH_VALIDATION:
        reporter.warning(
            f"with {counted(num, 'validation triplet')} the accuracy is sure to about "
            f"{100 * math.sqrt(2 / 9 / num):.0f} points only; heads closer than that are not told "
            "apart."
        )


def _share(split: Split) -> float:
    return len(split.validation) / (len(split.train) + len(split.validation))
