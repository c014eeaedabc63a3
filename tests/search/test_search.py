"""The grid: each point once, resumable after a kill, failures told, ranking by hand."""

import csv
import dataclasses
import io
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fec_cache.config import HeadConfig, TrainConfig
from fec_cache.errors import BadOption
from fec_cache.pairs.split import Split
from fec_cache.search.ledger import Ledger, Outcome
from fec_cache.search.results import rank, results_csv
from fec_cache.search.run import Search
from fec_cache.search.space import DEFAULT_GRID, Point, grid
from tests.heads.planted import planted_split

VALUES = {"head": ["concat", "embedding"], "hidden": [(8,)], "lr": [1e-3, 1e-2], "epochs": [1]}
ROOT = Path(__file__).parents[2]


def search_in(folder, points=None, scope="s"):
    features, train, validation = planted_split()
    split = Split(train, validation, "components", 0)
    return Search(points or grid(VALUES), scope, features, split, Ledger(folder))


def without_time(outcomes):
    return [dataclasses.replace(outcome, duration_s=0.0) for outcome in outcomes]


class TestSpace:
    def test_grid_is_every_combination_once(self):
        points = grid(VALUES)
        assert len(points) == 4
        assert points[0] == Point(HeadConfig("concat", (8,)), TrainConfig(lr=1e-3, epochs=1))
        assert [(p.head.head, p.train.lr) for p in points] == [
            ("concat", 1e-3),
            ("concat", 1e-2),
            ("embedding", 1e-3),
            ("embedding", 1e-2),
        ]

    def test_repeated_values_make_no_repeated_points(self):
        assert len(grid({"lr": [1e-3, 1e-3, 1e-2]})) == 2

    def test_default_grid_has_twelve_points(self):
        assert len(grid(DEFAULT_GRID)) == 12

    def test_bad_values_are_named(self):
        with pytest.raises(BadOption, match=r"lr is -1.0, but it must be between"):
            grid({"lr": [-1.0]})
        with pytest.raises(BadOption, match="head is 'siamese', but it must be one of: concat"):
            grid({"head": ["siamese"]})

    def test_key_depends_on_scope_and_every_setting(self):
        point = Point(HeadConfig(), TrainConfig())
        others = [
            Point(HeadConfig(**{name: value}), TrainConfig())
            for name, value in {
                "head": "symmetric",
                "hidden": (1,),
                "dropout": 0.1,
                "embedding_dim": 3,
                "prepare": "l2",
            }.items()
        ] + [
            Point(HeadConfig(), TrainConfig(**{name: value}))
            for name, value in {
                "lr": 0.1,
                "epochs": 3,
                "batch_size": 3,
                "loss": "triplet",
                "optimizer": "sgd",
                "weight_decay": 0.1,
                "patience": 3,
                "seed": 3,
            }.items()
        ]
        keys = {point.key("s"), point.key("t"), *(other.key("s") for other in others)}
        assert len(keys) == 2 + len(others) == 15


class TestRun:
    def test_second_run_trains_nothing(self, tmp_path, monkeypatch):
        first = search_in(tmp_path).run()
        assert len(first) == 4
        monkeypatch.setattr("fec_cache.search.run.fit", None)
        assert search_in(tmp_path).run() == first
        assert search_in(tmp_path).open_points() == ()

    def test_only_new_points_are_tried(self, tmp_path):
        search_in(tmp_path).run()
        wider = grid({**VALUES, "lr": [1e-3, 1e-2, 1e-1]})
        assert [p.train.lr for p in search_in(tmp_path, wider).open_points()] == [1e-1, 1e-1]

    def test_other_features_are_another_search(self, tmp_path):
        search_in(tmp_path).run()
        assert len(search_in(tmp_path, scope="other").open_points()) == 4

    def test_a_torn_point_is_tried_again(self, tmp_path):
        outcomes = search_in(tmp_path).run()
        path = tmp_path / "points" / f"{outcomes[1].key}.json"
        path.write_text(path.read_text()[:40])
        assert len(search_in(tmp_path).open_points()) == 1
        assert without_time(search_in(tmp_path).run()) == without_time(outcomes)

    def test_failed_points_are_told_and_retried_on_request(self, tmp_path, monkeypatch):
        from fec_cache.search import run

        real = run.fit

        def failing(features, train, validation, head, config, device):
            if head.head == "embedding":
                raise RuntimeError("out of memory\nlong tail")
            return real(features, train, validation, head, config, device)

        monkeypatch.setattr(run, "fit", failing)
        outcomes = search_in(tmp_path).run()
        assert [outcome.error for outcome in outcomes] == ["", "", "out of memory", "out of memory"]
        assert len(rank(grid(VALUES), outcomes)) == 2
        monkeypatch.setattr(run, "fit", real)
        assert search_in(tmp_path).open_points() == ()
        assert len(search_in(tmp_path).open_points(retry_failed=True)) == 2
        mended = search_in(tmp_path).run(retry_failed=True)
        assert not any(outcome.error for outcome in mended)

    def test_expected_time_counts_open_points(self, tmp_path):
        search = search_in(tmp_path)
        points = search.open_points()
        assert search.expected_seconds(points) > 0
        assert search.expected_seconds(()) == 0

    def test_killed_search_ends_with_the_same_results(self, tmp_path):
        """SIGKILL at three moments; each point is there once and equals the unbroken run's."""
        whole = search_in(tmp_path / "whole", grid({**VALUES, "epochs": [8]})).run()
        script = tmp_path / "search.py"
        script.write_text(
            "import sys\n"
            f"sys.path.insert(0, {str(ROOT)!r})\n"
            "from pathlib import Path\n"
            "from tests.search.test_search import VALUES, grid, search_in\n"
            f"folder = Path({str(tmp_path / 'broken')!r})\n"
            "search_in(folder, grid({**VALUES, 'epochs': [8]})).run()\n"
        )
        points = tmp_path / "broken" / "points"
        for wanted in (1, 2, 3):
            with subprocess.Popen([sys.executable, script]) as process:
                until = time.monotonic() + 60
                while len(list(points.glob("*.json"))) < wanted and time.monotonic() < until:
                    time.sleep(0.005)
                os.kill(process.pid, signal.SIGKILL)
        resumed = search_in(tmp_path / "broken", grid({**VALUES, "epochs": [8]})).run()
        assert without_time(resumed) == without_time(whole)
        assert len(list(points.iterdir())) == 4


class TestResults:
    def outcomes(self):
        points = grid({"lr": [1e-3, 1e-2], "seed": [0, 1, 2]})
        accuracies = [0.5, 0.6, 0.7, 0.2, 0.9, 0.4]
        return points, [
            Outcome(point.key("s"), point.settings(), accuracy, 0.1, 3, 1.0)
            for point, accuracy in zip(points, accuracies, strict=True)
        ]

    def test_rank_is_by_mean_over_seeds_with_standard_error(self):
        points, outcomes = self.outcomes()
        first, second = rank(points, outcomes)
        assert (first.point.train.lr, second.point.train.lr) == (1e-3, 1e-2)
        assert first.val_triplet_accuracy == pytest.approx(0.6)
        assert first.stderr == pytest.approx(0.1 / math.sqrt(3))
        assert first.point.train.seed == 2
        assert first.num_seeds == 3

    def test_csv_has_each_point_once_with_every_setting(self):
        _, outcomes = self.outcomes()
        broken = dataclasses.replace(outcomes[0], key="f" * 16, error="no memory")
        rows = list(csv.DictReader(io.StringIO(results_csv([broken, *outcomes]).decode())))
        assert len(rows) == 7
        assert rows[0]["val_triplet_accuracy"] == "0.9"
        assert rows[-1]["error"] == "no memory"
        assert rows[0]["hidden"] == "256"
        assert {"head", "lr", "seed", "batch_size", "loss"} <= set(rows[0])

    def test_one_seed_has_no_standard_error(self):
        points, outcomes = self.outcomes()
        (only,) = rank(points[:1], outcomes[:1])
        assert math.isnan(only.stderr)
