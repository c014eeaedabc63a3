"""The model card: figures, limits, and what the head is not for."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from fec_cache.datasets.origin import LABELS, RATERS
from fec_cache.evaluation.outcome import EvaluateOutcome
from fec_cache.evaluation.overlap import Overlap
from fec_cache.pairs.build import TripletCounts
from fec_cache.pairs.config import PairConfig
from fec_cache.reports.evaluation_tables import pair_markdown, triplet_markdown
from fec_cache.reports.model_card import model_card, survivors_line


@pytest.fixture
def outcome(full):
    counts = TripletCounts(241, 1, 0, 0, 0, 0, 240)
    labelled = SimpleNamespace(counts=counts, digest="d1ge5t", table=full.table)
    return EvaluateOutcome(
        Path("runs/best"), full.config, labelled, full.evaluation, Overlap(), RATERS, full.baseline
    )


def test_the_card_has_the_figures_of_the_evaluation(outcome, full, tmp_path):
    card = model_card(outcome, tmp_path)
    assert card.startswith("# best\n\nA embedding head on frozen features of resnet18:avgpool")
    other = full.baseline.evaluation
    assert triplet_markdown(full.evaluation, other, RATERS) in card
    assert pair_markdown(full.evaluation, other) in card
    assert "Test: 241 rows: 240 used, 1 rejected; digest d1ge5t." in card
    assert f"Compared with the original recipe: {full.baseline.comparison.in_words()}." in card
    assert "resnet18:avgpool, 8 numbers per face, weights sha256:f3f3f3f3" in card
    headings = [line for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "## Data",
        "## Recipe",
        "## Figures",
        "## Limits",
        "## Intended use",
        "## Not intended for",
    ]


def test_an_overlap_is_on_the_card(outcome, tmp_path):
    assert "- No test face was seen in training" in model_card(outcome, tmp_path)
    card = model_card(dataclasses.replace(outcome, overlap=Overlap(3)), tmp_path)
    assert "- 3 faces of the test split WERE SEEN IN TRAINING: not comparable." in card
    assert "No test face was seen" not in card


def test_limits_follow_the_origin_and_the_weights(outcome, tmp_path):
    recipe = dataclasses.replace(outcome.config.recipe, weights="random:1:ab")
    config = dataclasses.replace(outcome.config, recipes=(recipe,))
    card = model_card(dataclasses.replace(outcome, config=config, origin=LABELS), tmp_path)
    assert f"- {LABELS.note}" in card
    assert "for pictures like those of the test split, and for its labels." in card
    assert "- The backbone was never trained" in card
    assert "never trained" not in model_card(outcome, tmp_path)


def test_a_minimum_agreement_is_stated(outcome, tmp_path):
    assert "agreement between" not in model_card(outcome, tmp_path)
    config = dataclasses.replace(outcome.config, pairs=PairConfig(min_agreement=0.6))
    card = model_card(dataclasses.replace(outcome, config=config), tmp_path)
    assert "- Training used triplets of at least 60% agreement between raters." in card


def test_survivors_are_named_if_they_were_recorded(tmp_path):
    assert "only the digest of the triplets" in survivors_line(tmp_path)
    (tmp_path / "survivors.json").write_text(json.dumps({"survivors": "abc"}))
    assert survivors_line(tmp_path) == "Survivor set: abc (survivors.json)."
    for content in ("[]", "{}", "{"):
        (tmp_path / "survivors.json").write_text(content)
        assert survivors_line(tmp_path).startswith("No survivors.json")
