"""Chooses the winner among ranked settings."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fec_cache.errors import BadOption
from fec_cache.system.checks import check_choice

# The rules are choices of an option: their module must not load ledgers and statistics.
if TYPE_CHECKING:
    from fec_cache.search.results import Ranked

BEST, ONE_SE = "best", "one-se"
RULES = (BEST, ONE_SE)


def check_rule(rule: str, num_seeds: int) -> None:
    """Check that a rule exists and can be applied.

    Raises:
        BadOption: no rule has this name, or it needs a standard error but there is only one seed.
    """
    check_choice("choose", rule, RULES)
    if rule == ONE_SE and num_seeds < 2:
        raise BadOption(
            "--choose one-se needs the standard error over seeds, but there is only one seed. "
            "Add --repeat-seeds 3."
        )


def choose(ranked: Sequence["Ranked"], rule: str, cost: Callable[["Ranked"], float]) -> "Ranked":
    """The winner among settings that are sorted by rank.

    `best` is the first. `one-se` is the cheapest of those whose mean is within one standard error
    of the first's mean; among equally cheap ones, the one with the higher mean.

    Args:
        ranked: at least one setting, best first.
        rule: one of `RULES`.
        cost: cost of a setting, such as its number of weights.

    Source: Breiman et al., Classification and Regression Trees, 1984, section 3.4.3.
    """
    first = ranked[0]
    if rule == BEST or math.isnan(first.stderr):
        return first
    lowest = first.val_triplet_accuracy - first.stderr
    # If the first is not done, none is: failed and pruned settings rank behind.
    # On planted faces 8, 12 and 16 dimensions were equal on validation, but a probe names the
    # person from 8 in 1.2 % and from 16 in 11.6 % of cases: the smallest of equals forgets most.
    near = [e for e in ranked if e.is_done and e.val_triplet_accuracy >= lowest] or [first]
    return min(near, key=lambda entry: (cost(entry), -entry.val_triplet_accuracy))
