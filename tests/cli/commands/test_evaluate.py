"""`fec evaluate` and `fec compare`: what reaches their workflows, and what they print."""

import json

from fec_cache.system.workspace import Workspace


def test_compare_passes_both_groups_of_runs(arguments_of):
    words = ("compare", "a,b", "c*")
    workspace, a, b, overlap, _ = arguments_of("compare.compare", *words)
    assert (workspace, a, b, overlap) == (Workspace(), "a,b", "c*", False)
    assert arguments_of("compare.compare", *words, "--allow-overlap")[3] is True


def test_evaluate_passes_the_run(arguments_of, monkeypatch):
    monkeypatch.setattr(
        "fec_cache.reports.evaluation_tables.evaluation_parts", lambda outcome: outcome.parts()
    )
    words = ("evaluate", "--run", "a", "--allow-overlap")
    assert arguments_of("evaluate.evaluate", *words)[:3] == (Workspace(), "a", True)
    assert arguments_of("evaluate.evaluate", "evaluate")[:3] == (Workspace(), None, False)


def test_evaluate_names_the_survivors(place):
    fields = json.loads(place.ok("evaluate", "--run", "first", "--json").stdout)
    assert fields["survivors"] is None
    assert "Survivors" not in place.ok("evaluate", "--run", "first").output
    told = {"survivors": "ab" * 32, "images": 7, "triplets": {"ONE_CLASS_TRIPLET": 3},
            "triplets_in_all": {"ONE_CLASS_TRIPLET": 5, "TWO_CLASS_TRIPLET": 1}}  # fmt: skip
    path = place.folder / "data" / "survivors.json"
    path.write_text(json.dumps({"survivors": "cd" * 32, "splits": {"test": told}}))
    fields = json.loads(place.ok("evaluate", "--run", "first", "--json").stdout)
    named = {"test_set": "ab" * 32, "images": 7, "triplets": 3, "triplets_in_all": 6}
    assert fields["survivors"] == named
    saved = json.loads((place.folder / "runs" / "first" / "evaluation.json").read_text())
    assert saved["survivors"] == named
    text = place.ok("evaluate", "--run", "first").output
    assert f"test set {'ab' * 8}, 7 images, 3 of 6 triplets" in text
    path.write_text("[1, 2]")
    assert "Survivors" not in place.ok("evaluate", "--run", "first").output
