"""A head is one file: it registers itself and is listed, trained, saved and searched like ours."""

import dataclasses
import importlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from fec_cache.errors import BadOption
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.kinds import HeadKind, head_kinds, head_names, kind_of
from fec_cache.heads.registry import build_head, head_class, register, unregister
from fec_cache.heads.scoring import pair_logits
from fec_cache.pairs.config import PairConfig
from fec_cache.runs.checkpoint import load_head, save_run
from fec_cache.runs.config import RunConfig
from fec_cache.search.space import Point, grid, unread_options
from fec_cache.testing.planted import planted_split
from fec_cache.training.backends.process_pool import JobPool, StackPlan
from fec_cache.training.batched.stack import TrainingJob
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit
from tests.recipes import toy_recipe

FILES = {
    # Nothing about training: autograd does it.
    "bilinear": """
        import torch
        from torch import nn

        from fec_cache.heads.base import PairHead
        from fec_cache.heads.kinds import HeadKind
        from fec_cache.heads.registry import register

        KIND = HeadKind(name="bilinear", summary="a' W b + c", reads=("dropout",))


        @register
        class BilinearHead(PairHead):
            kind = KIND

            def __init__(self, config, width):
                super().__init__(config, width)
                inner = self.preparation.width
                self.weight = nn.Parameter(torch.eye(inner) / inner)
                self.offset = nn.Parameter(torch.tensor(-1.0))
                self.drop = nn.Dropout(config.dropout)

            def compare(self, a, b):
                return ((self.drop(a) @ self.weight) * b).sum(-1) + self.offset
    """,
    # An MLP on another function of both faces: the hand-written steps fit.
    "difference": """
        from fec_cache.heads.kinds import HeadKind
        from fec_cache.heads.mlp import PairMlpHead
        from fec_cache.heads.registry import register

        KIND = HeadKind(
            name="difference",
            summary="an MLP on the squared difference",
            reads=("hidden", "dropout"),
            steps="pair-mlp",
            is_symmetric=True,
        )


        @register
        class DifferenceHead(PairMlpHead):
            kind = KIND

            def input_width(self):
                return self.preparation.width

            def inputs(self, a, b):
                return (a - b).square()
    """,
}
TRAIN = TrainConfig(lr=1e-2, epochs=6, batch_size=64)


@pytest.fixture(params=FILES)
def plugin(request, tmp_path, monkeypatch):
    """The name of a head from a file outside of the package."""
    module = f"{request.param}_head"
    (tmp_path / f"{module}.py").write_text(textwrap.dedent(FILES[request.param]))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module(module)
    yield request.param
    unregister(request.param)
    del sys.modules[module]


def test_a_head_in_a_file_of_its_own_is_listed_trained_saved_and_loaded(plugin, tmp_path):
    assert head_names()[-1] == plugin
    features, train, validation = planted_split()
    config = RunConfig(
        (toy_recipe(12),), HeadConfig(plugin, (16,)), TRAIN, PairConfig(), {"digest": "d"}
    )
    result = fit(features, train, validation, config.head, TRAIN)
    assert result.best.val_triplet_accuracy > 0.55
    assert result.history[-1].train_loss < result.history[0].train_loss
    save_run(tmp_path / "run", result.head, config, result.history, {})
    head, loaded = load_head(tmp_path / "run")
    assert loaded == config
    assert type(head) is head_class(plugin)
    a, b = features[:9], features[9:18]
    np.testing.assert_array_equal(pair_logits(head, a, b), pair_logits(result.head, a, b))


def test_a_search_takes_it_and_knows_what_it_does_not_read(plugin):
    points = grid({"head": [plugin, "concat"], "embedding_dim": [8, 16], "dropout": [0.0, 0.5]})
    assert [(p.head.head, p.head.dropout) for p in points] == [
        (plugin, 0.0),
        (plugin, 0.5),
        ("concat", 0.0),
        ("concat", 0.5),
    ]
    assert "embedding_dim" in unread_options(plugin)
    assert Point(HeadConfig(plugin, components=3), TRAIN).unread() == ("components",)


@pytest.mark.parametrize("loss", ["bce", "triplet", "odd-one-out", "contrastive"])
def test_its_stack_ends_where_each_head_ends_alone(plugin, loss):
    """Also dropout masks: they come from each job's own seed."""
    data = planted_split()
    head = HeadConfig(plugin, (8,), 0.3)
    train = dataclasses.replace(TRAIN, epochs=2, loss=loss, optimizer="adamw")
    jobs = [TrainingJob(head, dataclasses.replace(train, seed=seed, lr=lr)) for seed, lr in
            ((0, 1e-3), (1, 1e-2), (0, 1e-3))]  # fmt: skip
    pool = JobPool(*data, jobs, StackPlan(3, 1, 0.0, ""))
    pool.advance(1)
    pool.keep([1, 2])
    pool.advance(1)
    for job, result in zip(jobs[1:], pool.finish(), strict=True):
        alone = fit(*data, job.head, job.train)
        for name, value in alone.head.state_dict().items():
            if name not in ("calibration", "bends"):
                torch.testing.assert_close(
                    result.head.state_dict()[name], value, rtol=1e-4, atol=1e-6
                )


def test_processes_train_it(plugin):
    data = planted_split()
    train = dataclasses.replace(TRAIN, epochs=1)
    jobs = [TrainingJob(HeadConfig(plugin), dataclasses.replace(train, seed=n)) for n in (0, 1)]
    pool = JobPool(*data, jobs, StackPlan(1, 2, 0.0, ""))
    pool.advance(1)
    results = pool.finish()
    pool.close()
    for job, result in zip(jobs, results, strict=True):
        alone = fit(*data, job.head, job.train)
        assert result.best.val_loss == pytest.approx(alone.best.val_loss, rel=1e-5)


def test_two_heads_cannot_have_one_name():
    class Other(head_class("concat")):
        kind = HeadKind(name="concat", summary="another")

    with pytest.raises(BadOption, match="a head named 'concat' already"):
        register(Other)
    assert build_head(HeadConfig(), 4).kind is head_class("concat").kind


def test_descriptions_read_from_source_equal_the_classes_own():
    assert head_names() == ("concat", "symmetric", "embedding", "scatter")
    for kind in head_kinds():
        assert head_class(kind.name).kind == kind
    with pytest.raises(BadOption, match="head is 'siamese', but it must be one of: concat"):
        kind_of("siamese")


def test_a_symmetric_kind_is_symmetric_bit_for_bit():
    a, b = torch.randn(257, 24), torch.randn(257, 24)
    for kind in head_kinds():
        head = build_head(HeadConfig(kind.name, hidden=(32, 8)), 24).eval()
        for buffer in [buffer for name, buffer in head.named_buffers() if name == "projection"]:
            buffer.normal_()
        assert torch.equal(head(a, b), head(b, a)) == kind.is_symmetric, kind.name


def test_names_and_configurations_need_no_torch():
    code = """
        import sys
        from fec_cache.heads.config import HeadConfig
        from fec_cache.heads.kinds import head_names
        from fec_cache.runs import config, files, find, history
        from fec_cache.search import space
        assert HeadConfig("scatter").kind.is_closed_form
        assert "torch" not in sys.modules, "torch was loaded"
        print(",".join(head_names()))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == "concat,symmetric,embedding,scatter", run.stderr
