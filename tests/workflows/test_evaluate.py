"""`fec evaluate` and `fec compare`: what they refuse, what they write, and what they say."""

import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fec_cache.cache.matrix import FeatureMatrix


def evaluation(place, *words):
    return json.loads(place.ok("evaluate", "--run", "first", "--json", *words).stdout)


@pytest.mark.parametrize("command", [("evaluate",), ("compare", "first", "first"), ("report",)])
def test_features_that_are_no_numbers_are_refused_by_every_command(place, monkeypatch, command):
    load = FeatureMatrix.__init__

    def spoil(self, face_ids, features, num_incomplete=0):
        load(self, face_ids, np.full_like(features, np.nan), num_incomplete)

    monkeypatch.setattr(FeatureMatrix, "__init__", spoil)
    assert "features that are not finite" in place.fails(*command)


@pytest.mark.parametrize("command", [("evaluate",), ("compare", "first", "first"), ("report",)])
def test_a_head_that_answers_no_numbers_is_refused_by_every_command(place, command):
    folder = place.folder / "runs" / "first"
    weights = load_file(folder / "head.safetensors")
    name = next(name for name in weights if name.endswith("weight"))
    save_file({**weights, name: weights[name] * np.nan}, folder / "head.safetensors")
    fields = json.loads((folder / "config.json").read_text())
    digest = hashlib.sha256((folder / "head.safetensors").read_bytes()).hexdigest()
    fields["files"]["head.safetensors"] = digest
    (folder / "config.json").write_text(json.dumps(fields))
    assert "Train the head again" in place.fails(*command)


def test_json_is_complete_and_the_card_agrees_with_it(place):
    found = evaluation(place)
    for name in ("triplets", "macro_average", "pairs", "calibration", "identity", "intervals"):
        assert found[name] is not None, name
    overall = found["triplets"]["all"]
    wanted = {"accuracy", "low", "high", "stderr", "floor", "ceiling", "rater_accuracy"}
    assert wanted <= set(overall)
    assert overall["floor"] < overall["rater_accuracy"] <= 1
    assert overall["vote_entropy"] < overall["vote_log_loss"]
    assert sum(found["calibration"]["counts"]) == found["pairs"]["num_pairs"]
    assert found["pairs"]["num_pairs"] == 3 * overall["num_triplets"]
    counts = found["row_counts"]
    assert counts["num_rows"] == counts["num_used"] + counts["num_ties"]
    card = (place.folder / "runs" / "first" / "model_card.md").read_text()
    for told in ("## Data", "## Recipe", "## Figures", "## Limits", "## Intended use"):
        assert told in card
    assert f"{100 * overall['accuracy']:.1f} %" in card
    assert found["test_digest"] in card
    assert "random:0" in card
    assert "No test face was seen in training" in card


def test_a_set_without_labels_has_no_figures_by_person(place):
    (place.folder / "data" / "truth.csv").unlink()
    found = evaluation(place)
    assert found["identity"] is None
    assert found["intervals"]["redrawn"] == "faces"


def test_all_test_triplets_count_whatever_a_head_was_trained_on(place):
    everything = evaluation(place)["triplets"]["all"]["num_triplets"]
    place.ok("train-head", "--epochs", "1", "--min-agreement", "0.99", "--name", "strict")
    found = json.loads(place.ok("evaluate", "--run", "strict", "--json").stdout)
    assert found["triplets"]["all"]["num_triplets"] == everything
    assert found["trained_with_min_agreement"] == 0.99
    assert 0 < found["agreed"]["num_triplets"] < everything
    assert found["agreed"]["vote_entropy"] == pytest.approx(0.0, abs=1e-6)
    text = place.ok("evaluate", "--run", "strict").output
    assert "agreement from 99%" in text
    card = (place.folder / "runs" / "strict" / "model_card.md").read_text()
    assert "Training used triplets of at least 99% agreement" in card
