"""The fields of an evaluation for machines."""

import json
from pathlib import Path
from types import SimpleNamespace

from fec_cache.datasets.origin import LABELS, RATERS
from fec_cache.evaluation.baseline import Rivals, figures_of, measure_baseline
from fec_cache.evaluation.outcome import EvaluateOutcome
from fec_cache.evaluation.overlap import Overlap
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.pairs.build import TripletCounts
from fec_cache.pairs.config import PairConfig
from fec_cache.runs.config import RunConfig
from fec_cache.testing.planted import planted_set
from fec_cache.training.config import TrainConfig
from tests.recipes import toy_recipe


def outcome_of(**fields):
    features, table = planted_set(40, 60)
    labelled = SimpleNamespace(
        table=table,
        matrix=SimpleNamespace(features=features),
        counts=TripletCounts(62, 2, 0, 0, 0, 0, 60),
        digest="d" * 16,
    )
    head = build_head(HeadConfig("embedding", (8,)), 12)
    pairs = PairConfig(min_agreement=0.5)
    config = RunConfig((toy_recipe(12),), head.config, TrainConfig(), pairs, {})
    evaluation = figures_of(head, labelled)
    baseline = measure_baseline(Rivals({"plain": head}, labelled), [evaluation], evaluation.units)
    made = {"overlap": Overlap(1, ("Ann", "Bo")), "origin": LABELS, "baseline": baseline, **fields}
    return EvaluateOutcome(Path("runs/best"), config, labelled, evaluation, **made)


def test_fields_say_what_was_measured_and_what_to_compare_it_with():
    outcome = outcome_of()
    fields = json.loads(json.dumps(outcome.to_dict(), allow_nan=False))
    assert (fields["run"], fields["features"]) == ("runs/best", outcome.config.features)
    assert (fields["num_overlap"], fields["num_overlapping_people"]) == (1, 2)
    assert (fields["origin"], fields["answers_from"]) == (LABELS.note, "labels")
    assert (fields["num_triplets"], fields["rows"]) == (60, "62 rows: 60 used, 2 rejected")
    assert fields["row_counts"]["num_rejected"] == 2
    assert fields["trained_with_min_agreement"] == 0.5
    assert fields["triplets"]["all"]["accuracy"] == outcome.evaluation.overall.accuracy
    assert fields["baseline"]["runs"] == ["plain"]
    assert fields["baseline"]["this_head"]["difference"] == 0.0


def test_missing_parts_are_null():
    fields = outcome_of(baseline=None, origin=RATERS).to_dict()
    assert fields["baseline"] is None
    assert fields["survivors"] is None
    assert fields["origin"] == ""
