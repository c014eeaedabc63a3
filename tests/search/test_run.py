"""The coordinator: each point once, resumable after a kill, failures reported."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fec_cache.search.ledger import DONE, FAILED
from fec_cache.search.pruners.halving import Halving
from fec_cache.search.results import rank, results_csv
from fec_cache.search.space import Space, grid, space_of
from fec_cache.search.values import parse_axis
from fec_cache.training.backends.process_pool import StackPlan
from tests.search.conftest import (
    LONG,
    VALUES,
    NoTraining,
    failing,
    outcomes_of,
    run_in,
    search_in,
)

ROOT = Path(__file__).parents[2]


class TestRun:
    def test_second_run_trains_nothing(self, tmp_path):
        first = run_in(tmp_path)
        assert len(outcomes_of(first)) == 4
        second = search_in(tmp_path, trainer=NoTraining(first.trainer))
        assert second.survey().num_open == 0
        assert second.run() == 0
        assert outcomes_of(second) == outcomes_of(first)

    def test_points_equal_heads_that_are_trained_alone(self, tmp_path):
        from fec_cache.training.fit import fit

        search = run_in(tmp_path, space_of(LONG), width=3)
        for point in grid(LONG):
            split = search.trainer.split
            alone = fit(
                search.trainer.features, split.train, split.validation, point.head, point.train
            )
            found = search.ledger.outcomes()[point.key("s")]
            wanted = alone.best.val_triplet_accuracy
            assert found.val_triplet_accuracy == pytest.approx(wanted, abs=0.01)
            assert found.epochs == 6
            head = search.train(point).head.state_dict()
            for name, value in alone.head.state_dict().items():
                assert head[name].numpy() == pytest.approx(value.numpy(), rel=1e-3, abs=1e-4)

    def test_only_new_points_are_tried(self, tmp_path):
        run_in(tmp_path)
        wider = search_in(tmp_path, space_of({**VALUES, "lr": [1e-3, 1e-2, 1e-1]}))
        assert [point.train.lr for point in wider.survey().open_points] == [1e-1, 1e-1]
        assert wider.survey().num_known == 4

    def test_another_scope_is_another_search(self, tmp_path):
        run_in(tmp_path)
        assert search_in(tmp_path, scope="other").survey().num_open == 4

    def test_a_torn_point_is_tried_again(self, tmp_path):
        before = outcomes_of(run_in(tmp_path))
        path = sorted((tmp_path / "points").glob("*.json"))[0]
        path.write_text(path.read_text()[:40])
        again = search_in(tmp_path)
        assert again.survey().num_open == 2  # two heads were trained side by side
        assert again.run() == 0
        assert outcomes_of(again) == before

    def test_a_timeout_begins_nothing_more(self, tmp_path):
        search = search_in(tmp_path, timeout_s=0.0)
        assert search.run() == 4
        assert search.ledger.outcomes() == {}
        search.timeout_s = 600.0
        assert search.run() == 0

    def test_a_timeout_on_the_way_keeps_what_is_done(self, tmp_path, monkeypatch):
        search = search_in(tmp_path, timeout_s=3600.0, width=1)
        now = time.monotonic
        monkeypatch.setattr(
            "fec_cache.search.progress.time.monotonic",
            lambda: now() + (3600 if search.ledger.outcomes() else 0),
        )
        assert search.run() == 3
        assert len(search.ledger.outcomes()) == 1

    def test_expected_time_counts_open_points(self, tmp_path):
        search = search_in(tmp_path)
        assert search.seconds_expected(search.survey()) > 0
        search.run()
        assert search.seconds_expected(search.survey()) == 0

    def test_progress_counts_up_to_all_points(self, tmp_path):
        seen = []
        search = search_in(tmp_path, space_of(LONG))
        search.run(seen.append)
        assert (seen[-1].num_done, seen[-1].num_points, seen[-1].num_known) == (6, 6, 0)
        assert seen[-1].work == 1.0
        assert [p.num_done for p in seen] == sorted(p.num_done for p in seen)
        assert sum(len(progress.new) for progress in seen) == 6


class TestFailures:
    def test_failed_points_are_reported_and_retried_on_request(self, tmp_path):
        search = run_in(tmp_path, trainer=failing(tmp_path))
        outcomes = outcomes_of(search)
        assert sorted(o.status for o in outcomes) == [DONE, DONE, FAILED, FAILED]
        assert {o.error for o in outcomes} == {"", "out of memory"}
        assert len(rank(outcomes)) == 2
        assert search_in(tmp_path).survey().num_open == 0
        again = search_in(tmp_path, retry_failed=True)
        assert again.survey().num_open == 2
        assert again.run() == 0
        assert {o.status for o in outcomes_of(again)} == {DONE}

    def test_a_group_that_does_not_fit_is_tried_in_parts(self, tmp_path):
        whole = run_in(tmp_path / "a", space_of(LONG), width=3)
        parts = run_in(
            tmp_path / "b", space_of(LONG), trainer=failing(tmp_path, kind="none", most=1)
        )
        assert {o.status for o in outcomes_of(parts)} == {DONE}
        found = {o.key: o.val_triplet_accuracy for o in outcomes_of(parts)}
        wanted = {o.key: o.val_triplet_accuracy for o in outcomes_of(whole)}
        assert found == pytest.approx(wanted, abs=0.01)

    def test_what_cannot_be_timed_is_no_traceback(self, tmp_path):
        search = search_in(tmp_path, trainer=failing(tmp_path))
        assert search.seconds_expected(search.survey()) > 0
        only = space_of({**VALUES, "head": ["embedding"]})
        search = search_in(tmp_path, only, trainer=failing(tmp_path))
        assert str(search.seconds_expected(search.survey())) == "nan"

    def test_divergence_is_a_failed_point(self, tmp_path):
        space = space_of(
            {"optimizer": ["sgd"], "lr": [1e-3, 1000.0], "weight_decay": [1000.0], "epochs": [2]}
        )
        outcomes = outcomes_of(run_in(tmp_path, space))
        assert sorted(o.status for o in outcomes) == [DONE, FAILED]
        assert "Try a smaller --lr" in " ".join(o.error for o in outcomes)


def test_scatter_heads_of_a_grid_share_their_scatters(tmp_path, monkeypatch):
    """Each equals the head that is solved alone, and pairs are summed once per preparation."""
    from fec_cache.heads import scatter
    from fec_cache.training.fit import fit

    found, real = [], scatter.pair_scatters
    monkeypatch.setattr(scatter, "pair_scatters", lambda *a: found.append(1) or real(*a))
    values = {
        "head": ["embedding", "scatter"],
        "hidden": [(8,)],
        "epochs": [1],
        "prepare": ["standardize", "pca:4"],
        "shrinkage": [0.1, 0.5],
        "components": [1, 2],
    }
    search = run_in(tmp_path, space_of(values))
    outcomes = {o.key: o for o in outcomes_of(search)}
    assert len(outcomes) == 2 + 8
    assert len(found) == 2
    split = search.trainer.split
    for point in (point for point in grid(values) if point.is_closed):
        alone = fit(search.trainer.features, split.train, split.validation, point.head, point.train)
        ours = search.train(point)
        assert outcomes[point.key("s")].val_triplet_accuracy == alone.best.val_triplet_accuracy
        for name, value in alone.head.state_dict().items():
            assert torch.equal(ours.head.state_dict()[name], value)


RANGES = (("lr", "1e-4..1e-1:log"), ("epochs", "1"), ("batch_size", "512"), ("hidden", "8"))


class TestSamplers:
    SPACE = Space(tuple(parse_axis(name, text) for name, text in RANGES), (0, 1))

    @pytest.mark.parametrize("sampler", ["random", "tpe"])
    def test_resuming_asks_for_the_same_settings(self, tmp_path, sampler):
        whole = run_in(tmp_path / "whole", self.SPACE, sampler=sampler, trials=10)
        part = search_in(tmp_path / "part", self.SPACE, sampler=sampler, trials=10, width=1)

        class Stopped(Exception):
            pass

        def stop(progress):
            if progress.num_done >= 17:
                raise Stopped

        part.trainer = whole.trainer
        with pytest.raises(Stopped):
            part.run(stop)
        assert 17 <= len(part.ledger.outcomes()) < 20
        resumed = search_in(tmp_path / "part", self.SPACE, sampler=sampler, trials=10)
        assert resumed.run() == 0
        assert outcomes_of(resumed) == outcomes_of(whole)

    def test_more_trials_go_on_where_fewer_ended(self, tmp_path):
        few = run_in(tmp_path, self.SPACE, sampler="tpe", trials=8)
        before = set(few.ledger.outcomes())
        more = search_in(tmp_path, self.SPACE, sampler="tpe", trials=12)
        assert more.survey().num_known == 16
        assert more.run() == 0
        assert before < set(more.ledger.outcomes())
        assert len(more.ledger.outcomes()) == 24


@pytest.mark.parametrize("eta", [0, 2])
@pytest.mark.parametrize("num_processes", [1, 2])
def test_an_interrupt_keeps_each_point_that_was_done(tmp_path, num_processes, eta):
    """Also where all points are in one group; and the end is the unbroken run's, byte for byte."""
    plan = StackPlan(2, num_processes, 0.0, "")
    trainer = dataclasses.replace(search_in(tmp_path).trainer, plan=plan)
    options = {"trainer": trainer, "pruner": Halving(eta) if eta else None}
    whole = run_in(tmp_path / "whole", space_of(LONG), **options)

    def interrupt(progress):
        if any(outcome.status == DONE for outcome in progress.new):
            raise KeyboardInterrupt

    broken = search_in(tmp_path / "broken", space_of(LONG), **options)
    with pytest.raises(KeyboardInterrupt):
        broken.run(interrupt)
    done = {k for k, o in broken.ledger.outcomes().items() if o.status == DONE}
    assert 1 <= len(done) <= 2
    found = []
    resumed = search_in(tmp_path / "broken", space_of(LONG), **options)
    assert resumed.run(lambda progress: found.extend(progress.new)) == 0
    assert not done & {outcome.key for outcome in found}
    csv = results_csv(tuple(resumed.ledger.outcomes().values()))
    assert csv == results_csv(tuple(whole.ledger.outcomes().values()))


# Imports once and forks a search for each line that it reads: a kill costs no second import.
SERVER = """
import os, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from fec_cache.search.pruners.halving import Halving
from tests.search.conftest import LONG, search_in, space_of
for line in sys.stdin:
    folder, eta = line.split()
    child = os.fork()
    if not child:
        pruner = Halving(int(eta)) if int(eta) else None
        search_in(Path(folder), space_of(LONG), pruner=pruner).run()
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def server():
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER.format(root=str(ROOT))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **one_thread},
    ) as process:
        yield process
        process.stdin.close()


@pytest.mark.parametrize("eta", [0, 2])
def test_killed_search_ends_with_the_same_results(tmp_path, server, eta):
    """SIGKILL at four moments; results.csv is the unbroken run's, byte for byte."""
    options = {"pruner": Halving(eta) if eta else None}
    whole = run_in(tmp_path / "whole", space_of(LONG), **options)
    broken = tmp_path / "broken"
    for wanted in (0, 1, 2, 3):
        server.stdin.write(f"{broken} {eta}\n")
        server.stdin.flush()
        child = int(server.stdout.readline())
        until = time.monotonic() + 60
        while len(list(broken.glob("*/*.json"))) < wanted and time.monotonic() < until:
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    assert len(list(broken.glob("*/*.json"))) < len(list((tmp_path / "whole").glob("*/*.json")))
    resumed = run_in(broken, space_of(LONG), **options)
    csv = results_csv(tuple(resumed.ledger.outcomes().values()))
    assert csv == results_csv(tuple(whole.ledger.outcomes().values()))
    assert csv.count(b"\n") == 7
    assert resumed.ledger.damaged == []
