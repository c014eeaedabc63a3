"""`fec grid-search` by its command: ranks, names, plots, storage, no look at the test split."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fec_cache.runs.checkpoint import load_head
from fec_cache.system.failpoints import VARIABLE

ROOT = Path(__file__).parents[3]
QUICK = ("--head", "embedding,concat", "--hidden", "8", "--loss", "bce", "--batch-size", "512")
GRID = (*QUICK, "--lr", "1e-3", "--epochs", "2", "--name", "grid")


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def misused(place, *words):
    result = place.run(*words)
    assert result.exit_code == 2, result.output
    return result.stderr


def folder_of(place, name="grid"):
    return place.folder / "runs" / name


def test_it_resumes_and_ranks_by_means_and_keeps_the_first_seed_of_the_best(place):
    first = place.ok("grid-search", *GRID, "--repeat-seeds", "3")
    assert "6 points (3 seeds each), 0 of them done before; expected time" in first.output
    assert "6 points trained in" in first.output
    again = place.ok("grid-search", *GRID, "--repeat-seeds", "3", "--json")
    found = json.loads(again.stdout)
    assert found["trained"] == 0
    rows = rows_of(folder_of(place) / "results.csv")
    assert len({row["key"] for row in rows}) == len(rows) == 6
    for place_, entry in enumerate(found["ranked"], start=1):
        mine = [row for row in rows if row["rank"] == str(place_)]
        accuracies = [float(row["val_triplet_accuracy"]) for row in mine]
        assert [row["seed"] for row in mine] == ["0", "1", "2"]
        assert {row["head"] for row in mine} == {entry["head"]}
        assert entry["val_triplet_accuracy"] == pytest.approx(np.mean(accuracies))
        assert entry["stderr"] == pytest.approx(np.std(accuracies, ddof=1) / np.sqrt(3))
        assert float(mine[0]["mean_val_triplet_accuracy"]) == pytest.approx(np.mean(accuracies))
    means = [entry["val_triplet_accuracy"] for entry in found["ranked"]]
    assert means == sorted(means, reverse=True)
    config = load_head(folder_of(place))[1]
    assert (config.head.head, config.train.seed) == (found["ranked"][0]["head"], 0)
    metrics = json.loads((folder_of(place) / "metrics.json").read_text())
    assert metrics["val_triplet_accuracy"] == float(rows[0]["val_triplet_accuracy"])
    assert "seed 0, the first (not the best) of 3 seeds" in first.output


def test_the_report_ranks_settings_by_means_too(place):
    place.ok("grid-search", *GRID, "--repeat-seeds", "2")
    place.ok("report", "--run", "grid")
    page = (folder_of(place) / "report.html").read_text()
    rows = rows_of(folder_of(place) / "results.csv")
    best = float(rows[0]["mean_val_triplet_accuracy"])
    assert "best 2 of 2 settings" in page
    assert f"{100 * best:.1f}" in page


def test_ranges_and_equal_heads_are_told(place):
    result = place.ok(
        *("grid-search", *QUICK, "--lr", "1e-4..1e-2:log:3", "--epochs", "1"),
        *("--embedding-dim", "4,8", "--name", "r"),
    )
    assert "12 combinations are 9 distinct heads" in result.output
    assert "9 points, 0 of them done before" in result.output
    assert {row["lr"] for row in rows_of(folder_of(place, "r") / "results.csv")} == {
        "0.0001",
        "0.001",
        "0.01",
    }


def test_options_that_a_head_does_not_read_are_told(place):
    words = ("grid-search", "--head", "concat,embedding", "--hidden", "32", "--lr", "1e-3")
    words += ("--epochs", "1", "--loss", "bce", "--init", "scatter", "--components", "4")
    told = place.ok(*words, "--name", "r", "--no-plots").stderr
    assert "the concat head ignores --init, --components" in told
    assert "the embedding head ignores --components" in told
    assert "head ignores" not in place.ok("grid-search", *GRID).stderr


def test_a_worse_grid_under_the_same_name_replaces_nothing(place):
    grids = [(*QUICK, "--lr", rate, "--epochs", "3") for rate in ("1e-2", "1e-9")]
    for number, words in enumerate(grids):
        place.ok("grid-search", *words, "--name", str(number), "--no-plots")
    best = [rows_of(folder_of(place, str(n)) / "results.csv")[0] for n in (0, 1)]
    order = sorted((0, 1), key=lambda n: -float(best[n]["val_triplet_accuracy"]))
    place.ok("grid-search", *grids[order[0]], "--name", "grid")
    head = (folder_of(place) / "head.safetensors").read_bytes()
    result = place.ok("grid-search", *grids[order[1]], "--name", "grid")
    assert "2 points, 0 of them done before" in result.output
    after = rows_of(folder_of(place) / "results.csv")
    assert len(after) == 4
    assert after[0]["key"] == best[order[0]]["key"]
    assert (folder_of(place) / "head.safetensors").read_bytes() == head


def test_names_of_something_else_are_refused(place):
    assert "trained head that was not made by a search" in place.fails(
        "grid-search", *GRID[:-2], "--name", "first"
    )
    place.ok("grid-search", *GRID)
    before = (folder_of(place) / "head.safetensors").read_bytes()
    line = place.fails("train-head", "--epochs", "1", "--name", "grid")
    assert "grid contains a search, which keeps its best head there. Choose another --name" in line
    assert (folder_of(place) / "head.safetensors").read_bytes() == before
    line = place.fails("grid-search", *GRID, "--min-agreement", "0.8")
    assert "other triplets, other validation split" in line
    assert "--name" in line


def test_other_code_is_another_search(place, monkeypatch):
    place.ok("grid-search", *GRID)
    monkeypatch.setattr("fec_cache.workflows.searching.request.TRAINER_VERSION", "newer")
    line = place.fails("grid-search", *GRID)
    assert "other version of the training code" in line
    result = place.ok("grid-search", *GRID[:-2], "--name", "again")
    assert "2 points, 0 of them done before" in result.output


def test_damaged_files_are_named_and_their_points_tried_again(place):
    place.ok("grid-search", *GRID)
    before = (folder_of(place) / "results.csv").read_bytes()
    points = sorted((folder_of(place) / "points").glob("*.json"))
    points[0].write_bytes(b"\xff\x00 not a point")
    (folder_of(place) / "search.json").write_text("[1, 2]")
    result = place.ok("grid-search", *GRID)
    assert f"points/{points[0].name} is damaged" in result.stderr
    assert "damaged search.json" in result.stderr
    assert (folder_of(place) / "damaged" / points[0].name).exists()
    assert (folder_of(place) / "results.csv").read_bytes() == before


def test_a_search_that_goes_on_keeps_its_plan(place, monkeypatch):
    place.ok("grid-search", *GRID)
    points = sorted((folder_of(place) / "points").glob("*.json"))
    points[0].unlink()
    monkeypatch.setattr("fec_cache.workflows.search.plan_for", None)
    assert "Calibration, per head" in place.ok("grid-search", *GRID).stdout


def test_a_finished_search_trains_not_even_its_winner_again(place, monkeypatch):
    place.ok("grid-search", *GRID)
    head = (folder_of(place) / "head.safetensors").read_bytes()
    monkeypatch.setattr("fec_cache.search.run.Search.train", None)
    place.ok("grid-search", *GRID)
    assert (folder_of(place) / "head.safetensors").read_bytes() == head


def test_points_of_other_triplets_never_stand_among_the_results(place):
    place.ok("grid-search", *GRID)
    before = {row["key"] for row in rows_of(folder_of(place) / "results.csv")}
    (folder_of(place) / "search.json").write_text("[1, 2]")
    train = place.folder / "data" / "train.csv"
    train.write_text("".join(train.read_text().splitlines(keepends=True)[:-9]))
    place.ok("grid-search", *GRID)
    after = {row["key"] for row in rows_of(folder_of(place) / "results.csv")}
    assert len(after) == len(before) == 2
    assert not after & before


def test_failed_points_are_told_and_retried(place, monkeypatch):
    from fec_cache.search.trainer import SearchTrainer

    real = SearchTrainer.begin

    def failing(self, points):
        if points[0].head.head == "concat":
            raise RuntimeError("out of memory")
        return real(self, points)

    monkeypatch.setattr(SearchTrainer, "begin", failing)
    result = place.ok("grid-search", *GRID)
    assert "failed: out of memory" in result.stderr
    assert "1 point failed" in result.output
    rows = rows_of(folder_of(place) / "results.csv")
    assert [(row["status"], row["rank"]) for row in rows] == [("done", "1"), ("failed", "")]
    monkeypatch.setattr(SearchTrainer, "begin", real)
    place.ok("report", "--run", "grid")
    assert "out of memory" in (folder_of(place) / "report.html").read_text()
    again = place.ok("grid-search", *GRID, "--retry-failed")
    assert "2 points, 1 of them done before" in again.output
    assert {row["status"] for row in rows_of(folder_of(place) / "results.csv")} == {"done"}


def test_all_failed_is_one_line(place):
    line = place.fails(
        *("grid-search", "--optimizer", "sgd", "--lr", "1000", "--weight-decay", "1000"),
        *("--epochs", "2", "--head", "concat", "--loss", "bce", "--batch-size", "4"),
    )
    assert "Every point failed (1 in all); the first: The loss is no longer finite" in line


def test_one_standard_error_rule(place):
    assert "--repeat-seeds 3" in misused(place, "grid-search", *GRID, "--choose", "one-se")
    result = place.ok(
        *("grid-search", *GRID, "--hidden", "none,8", "--repeat-seeds", "2"),
        *("--choose", "one-se", "--json"),
    )
    found = json.loads(result.stdout)
    best = found["ranked"][0]
    least = best["val_triplet_accuracy"] - best["stderr"]
    near = [entry for entry in found["ranked"] if entry["val_triplet_accuracy"] >= least]
    assert found["winner"]["val_triplet_accuracy"] >= least
    assert len(found["winner"]["hidden"]) == min(len(entry["hidden"]) for entry in near)


def test_halving_tells_what_was_pruned(place):
    place.ok(
        *("grid-search", *QUICK, "--lr", "1e-4..1e-2:log:2", "--epochs", "4"),
        *("--prune", "halving:2", "--name", "h"),
    )
    rows = rows_of(folder_of(place, "h") / "results.csv")
    assert [(row["status"], row["epochs"]) for row in rows] == [
        ("done", "4"),
        ("pruned", "2"),
        ("pruned", "1"),
        ("pruned", "1"),
    ]


def test_samplers_and_their_wrong_usage(place):
    words = (*QUICK, "--lr", "1e-4..1e-1:log", "--epochs", "1", "--name", "s")
    assert "Add --trials" in misused(place, "grid-search", *words, "--sampler", "tpe")
    result = place.ok("grid-search", *words, "--sampler", "tpe", "--trials", "3")
    assert "3 points, 0 of them done before" in result.output
    assert len(rows_of(folder_of(place, "s") / "results.csv")) == 3
    assert (
        "3 points, 3 of them"
        in place.ok("grid-search", *words, "--sampler", "tpe", "--trials", "3").output
    )
    for wrong in (
        ("--lr", "1e-2..1e-4"),
        ("--head", "a..b"),
        ("--prune", "hyperband"),
        ("--timeout", "soon"),
        ("--sampler", "cmaes"),
    ):
        assert place.run("grid-search", *words, *wrong).exit_code == 2


def test_a_timeout_before_the_first_point_is_an_error(place):
    assert "Raise --timeout." in place.fails("grid-search", *GRID, "--timeout", "0s")


def test_plots_lie_beside_the_results(place):
    place.ok("grid-search", *QUICK, "--lr", "1e-4,1e-3", "--epochs", "1", "--name", "grid")
    for name in ("heatmap", "parallel"):
        assert (folder_of(place) / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (folder_of(place) / f"{name}.svg").read_text()
    place.ok("grid-search", *GRID[:-2], "--name", "plain", "--no-plots")
    assert not list(folder_of(place, "plain").glob("*.png"))


def test_storage_is_a_study_that_optuna_opens(place):
    optuna = pytest.importorskip("optuna")
    words = (*QUICK, "--lr", "1e-4,1e-3", "--epochs", "1", "--name", "grid", "--repeat-seeds", "2")
    url = f"sqlite:///{place.folder / 'study.db'}"
    place.ok("grid-search", *words, "--storage", url)
    place.ok("grid-search", *words, "--storage", url, "--hidden", "8,16-8")
    study = optuna.load_study(study_name="grid", storage=url)
    rows = rows_of(folder_of(place) / "results.csv")
    wanted = {row["rank"]: float(row["mean_val_triplet_accuracy"]) for row in rows}
    assert len(study.trials) == len(wanted) == 8
    assert sorted(trial.value for trial in study.trials) == pytest.approx(sorted(wanted.values()))
    assert study.best_value == pytest.approx(wanted["1"])
    assert study.best_params["head"] == rows[0]["head"]
    assert study.best_params["lr"] == float(rows[0]["lr"])
    assert {trial.params["hidden_1"] for trial in study.trials} == {8, 16}
    assert "cannot be opened" in misused(
        place, "grid-search", *words, "--storage", "sqlite:////nowhere/at/all.db"
    )


def test_the_test_split_is_never_looked_at(place, monkeypatch):
    """Neither test.csv nor a test face's feature is read: the one may be nonsense."""
    place.ok("grid-search", *GRID)
    wanted = (folder_of(place) / "results.csv").read_bytes()
    (place.folder / "data" / "test.csv").write_text("nonsense\n")
    for path in (place.folder / "data" / "images" / "test").glob("*.jpg"):
        path.unlink()
    from fec_cache.workflows import search as search_job

    real = search_job.load_training

    def without_test_faces(*args):
        labelled, split = real(*args)
        used = np.unique(np.concatenate([split.train.rows, split.validation.rows]))
        read.append((len(labelled.matrix.features), len(used)))
        return labelled, split

    read = []
    monkeypatch.setattr(search_job, "load_training", without_test_faces)
    place.ok("grid-search", *GRID[:-2], "--name", "blind")
    assert (folder_of(place, "blind") / "results.csv").read_bytes() == wanted
    ((num_read, num_used),) = read
    assert num_read == num_used


def test_an_interrupt_keeps_everything_and_says_how_to_go_on(place):
    words = (*QUICK, "--lr", "1e-4..1e-2:log:5", "--epochs", "30", "--name", "i")
    command = [sys.executable, str(ROOT / "cli.py"), "grid-search", *words, "--no-plots"]
    # At a known place: a signal from here may come when all is done.
    second = "rename:*[0-9a-f][0-9a-f][0-9a-f][0-9a-f].json:3:interrupt"
    process = subprocess.run(
        command, capture_output=True, timeout=100, check=False, env={**os.environ, VARIABLE: second}
    )
    told = process.stderr
    assert process.returncode == 130, told
    assert b"un the same command again to continue" in told
    assert b"Traceback" not in told
    before = rows_of(folder_of(place, "i") / "results.csv")
    assert 0 < len(before) < 10
    things = b"point" if len(before) == 1 else b"points"
    assert b"%d %s done and saved" % (len(before), things) in told
    # The best head so far can be used at once.
    config = load_head(folder_of(place, "i"))[1]
    assert f"{config.train.lr:.12g}" == f"{float(before[0]['lr']):.12g}"
    again = place.ok("grid-search", *words, "--no-plots")
    assert f"10 points, {len(before)} of them done before" in again.stdout
    rows = rows_of(folder_of(place, "i") / "results.csv")
    assert len({row["key"] for row in rows}) == len(rows) == 10
    assert load_head(folder_of(place, "i"))


def test_what_a_wrong_time_or_halving_should_have_been(place):
    assert "'abc' is not a duration; expected e.g. 90s" in place.misused(
        "grid-search", "--timeout", "abc"
    )
    assert "must begin with one of: halving" in place.misused("grid-search", "--prune", "foo")


def test_no_sampler_draws_without_end(place):
    words = (*QUICK, "--sampler", "random", "--lr", "1e-4..1e-2:log", "--trials", str(10**11))
    assert "trials is 100000000000, but it must be between 1 and 100000" in place.misused(
        "grid-search", *words
    )
