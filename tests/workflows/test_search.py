"""`fec grid-search`: what it says, keeps and draws; the same search from Python."""

import json
import sys

from fec_cache.cache.catalogue import open_cache
from fec_cache.pairs.annotated import load_pairs
from fec_cache.pairs.config import PairConfig
from fec_cache.runs.checkpoint import load_head
from fec_cache.search.ledger import FAILED, Outcome
from fec_cache.search.progress import SearchProgress
from fec_cache.search.space import space_of
from fec_cache.testing.recording import RecordingReporter
from fec_cache.workflows.search import _shown, grid_search, search
from fec_cache.workflows.searching.request import SearchRequest
from fec_cache.workflows.train import HeadRequest
from tests.workflows.commands import GRID, rows_of


def test_failed_points_are_warned_of_as_they_come():
    reporter = RecordingReporter()
    bad = Outcome("k" * 16, {"lr": 1.0}, FAILED, error="no memory")
    with reporter.live("Searching") as show:
        _shown(reporter, show)(SearchProgress(1, 2, 0, 0.5, "", (bad,), (bad,)))
    assert reporter.warnings == ["point kkkkkkkkkkkkkkkk failed: no memory"]
    assert len(reporter.snapshots) == 1


def test_grid_search_resumes_ranks_and_keeps_the_best(place):
    first = place.ok("grid-search", *GRID, "--name", "grid")
    assert "2 points, 0 of them done before; expected time" in first.output
    again = place.ok("grid-search", *GRID, "--name", "grid", "--json")
    ranked = json.loads(again.stdout)["ranked"]
    folder = place.folder / "runs" / "grid"
    rows = rows_of(folder / "results.csv")
    assert [row["head"] for row in rows] == [entry["head"] for entry in ranked]
    accuracies = [float(row["val_triplet_accuracy"]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["val_triplet_accuracy"] == accuracies[0]
    assert 0.0 <= metrics["val_calibration_error"] < 0.2
    assert load_head(folder)[1].head.head == rows[0]["head"]
    wider = place.ok("grid-search", *GRID, "--name", "grid", "--seed", "0,1")
    assert "4 points (2 seeds each), 2 of them done before" in wider.output


def toy_search(workspace, reporter, **options):
    values = {"head": ["embedding"], "hidden": [(8,)], "lr": [1e-3, 1e-2], "epochs": [1]}
    request = HeadRequest("toy", PairConfig(validation_share=0.2), "grid", "cpu")
    return grid_search(workspace, request, SearchRequest(space_of(values), **options), reporter)


def test_without_matplotlib_a_search_warns_once_and_has_no_plots(toy_workspace, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    reporter = RecordingReporter()
    outcome = toy_search(toy_workspace, reporter)
    assert [text for text in reporter.warnings if "plots" in text] == [
        "No plots will be drawn. This needs matplotlib, which is not installed. Run: pip install "
        "'fec_cache[report]'"
    ]
    files = {path.name for path in outcome.folder.iterdir()}
    assert "head.safetensors" in files
    assert not {"parallel.png", "heatmap.png"} & files
    reporter = RecordingReporter()
    toy_search(toy_workspace, reporter, plots=False)
    assert not any("plots" in text for text in reporter.warnings)


def test_a_search_in_python_equals_the_command(toy_workspace, tmp_path):
    by_command = toy_search(toy_workspace, RecordingReporter(), plots=False)
    values = {"head": ["embedding"], "hidden": [(8,)], "lr": [1e-3, 1e-2], "epochs": [1]}
    with open_cache(toy_workspace.cache_dir, "toy") as cache:
        pairs, split = load_pairs(toy_workspace.data_dir), PairConfig(validation_share=0.2)
        found = search(cache, pairs, values, tmp_path / "mine", split, device="cpu")
    assert found.folder == tmp_path / "mine"
    assert [entry.settings for entry in found.ranked] == [e.settings for e in by_command.ranked]
    accuracies = [
        [entry.val_triplet_accuracy for entry in outcome.ranked] for outcome in (found, by_command)
    ]
    assert accuracies[0] == accuracies[1]
    assert (found.num_points, found.num_trained, found.num_open) == (2, 2, 0)


def test_a_search_from_python_warns_of_options_that_no_head_reads(toy_folder):
    reporter = RecordingReporter()
    settings = {"epochs": [1], "embedding_dim": [4, 8]}
    with open_cache("cache", "toy") as cache:
        outcome = search(cache, load_pairs("data"), settings, "runs/search", reporter=reporter)
    assert outcome.num_points == 1
    assert "the concat head ignores --embedding-dim" in reporter.warnings
