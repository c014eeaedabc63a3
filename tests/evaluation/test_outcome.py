"""What `evaluation.json` says of a head, field by field."""

import dataclasses
import json
from pathlib import Path

import pytest

from fec_cache.datasets.origin import LABELS, RATERS
from fec_cache.datasets.survivors import Survivors
from fec_cache.evaluation.baseline import Rivals, figures_of, measure_baseline
from fec_cache.evaluation.outcome import EvaluateOutcome
from fec_cache.evaluation.overlap import Overlap
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.config import PairConfig
from fec_cache.runs.config import RunConfig
from fec_cache.training.config import TrainConfig
from tests.evaluation.known_heads import Constant, Distance, head_of, labelled_triplets
from tests.recipes import toy_recipe


def outcome():
    labelled = labelled_triplets()
    pairs = PairConfig(min_agreement=0.7)
    config = RunConfig((toy_recipe(1),), HeadConfig(), TrainConfig(), pairs, {})
    evaluation = figures_of(head_of(Distance), labelled)
    overlap = Overlap(2, ("Ann", "Bo", "Cy"))
    return EvaluateOutcome(Path("runs/one"), config, labelled, evaluation, overlap, LABELS)


def test_each_field_says_what_the_figures_rest_on():
    fields = json.loads(json.dumps(outcome().to_dict(), allow_nan=False))
    assert {
        name: fields[name] for name in ("run", "features", "origin", "answers_from", "test_digest")
    } == {
        "run": str(Path("runs/one")),
        "features": "toy:avgpool",
        "origin": "The triplets were made from labels; they stand in for raters' answers.",
        "answers_from": "labels",
        "test_digest": "digest of the rows",
    }
    assert (fields["num_overlap"], fields["num_overlapping_people"]) == (2, 3)
    assert fields["num_triplets"] == 4
    assert fields["rows"] == "7 rows: 4 used, 1 without a feature, 2 without a majority"
    assert fields["row_counts"]["num_ties"] == 2
    assert fields["trained_with_min_agreement"] == 0.7
    assert fields["triplets"]["all"]["accuracy"] == 1.0
    assert fields["survivors"] is fields["baseline"] is None


def test_baseline_and_survivors_are_added_if_there_are_any():
    ours = outcome()
    rivals = Rivals({"plain": head_of(Constant)}, ours.labelled)
    baseline = measure_baseline(rivals, [ours.evaluation], ours.labelled.table.rows)
    survivors = Survivors("5" * 64, num_images=9, num_usable=4, num_triplets=12)
    full = dataclasses.replace(ours, origin=RATERS, baseline=baseline, survivors=survivors)
    fields = full.to_dict()
    assert (fields["origin"], fields["answers_from"]) == ("", "raters")
    assert fields["baseline"]["this_head"]["difference"] == pytest.approx(2 / 3)
    assert fields["survivors"] == {
        "test_set": "5" * 64,
        "images": 9,
        "triplets": 4,
        "triplets_in_all": 12,
    }
