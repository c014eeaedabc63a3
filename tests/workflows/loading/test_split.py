"""What is reported of a split, and when it is refused."""

import dataclasses
import math

import numpy as np
import pytest

from fec_cache.errors import NothingToTrain
from fec_cache.pairs.config import PairConfig
from fec_cache.pairs.labelled import Labelled
from fec_cache.testing.planted import planted_set
from fec_cache.testing.recording import RecordingReporter
from fec_cache.workflows.loading.split import split_labelled


def labelled_of(table):
    """Only the table is read."""
    empty = dict.fromkeys(field.name for field in dataclasses.fields(Labelled))
    return Labelled(**{**empty, "table": table})


def groups_of(num_groups):
    """Each group of four faces has four triplets, and shares no face with the others."""
    _, table = planted_set(num_triplets=4 * num_groups)
    members = np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])
    rows = (4 * np.arange(num_groups)[:, None, None] + members).reshape(-1, 3)
    return dataclasses.replace(table, rows=rows)


def test_a_good_split_is_one_message():
    reporter = RecordingReporter()
    split = split_labelled(labelled_of(groups_of(500)), PairConfig(), reporter)
    assert (len(split.train), len(split.validation), split.num_dropped) == (1800, 200, 0)
    assert reporter.messages == [
        "Split by components: 1800 training and 200 validation triplets (10.0 %), 0 dropped "
        "between them"
    ]
    assert reporter.warnings == []


def test_a_small_validation_is_warned_of_with_its_error():
    reporter = RecordingReporter()
    split = split_labelled(labelled_of(groups_of(50)), PairConfig(), reporter)
    num = len(split.validation)
    (warning,) = reporter.warnings
    points = 100 * math.sqrt(1 / 3 * 2 / 3 / num)
    assert f"with {num} validation triplets the accuracy has a standard error of" in warning
    assert f"about {points:.0f} points" in warning


def test_a_share_far_from_the_requested_one_is_warned_of():
    _, table = planted_set(60, 1500)  # one connected component: faces are split
    reporter = RecordingReporter()
    split = split_labelled(labelled_of(table), PairConfig(validation_share=0.3), reporter)
    assert split.method == "faces"
    share = len(split.validation) / (len(split.train) + len(split.validation))
    assert reporter.warnings[0] == (
        f"validation has {100 * share:.1f} % of the triplets instead of the requested 30.0 %: no "
        "face may be on both sides, and this set has triplets that share faces."
    )


def test_a_handful_for_validation_is_refused():
    with pytest.raises(NothingToTrain, match="Only 4 triplets left for validation") as caught:
        split_labelled(labelled_of(groups_of(10)), PairConfig(), RecordingReporter())
    assert "at least 5 are needed" in str(caught.value)
