"""Hand-written steps against autograd, torch's optimisers and a plain DataLoader loop."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.kinds import head_names
from fec_cache.heads.registry import build_head
from fec_cache.testing.planted import planted_set
from fec_cache.training.batched.engine import Engine, Items
from fec_cache.training.batched.gradients import GRADIENTS
from fec_cache.training.batched.job_state import JobState
from fec_cache.training.batched.kernels import Compiled
from fec_cache.training.batched.optimisers import FusedOptimiser, WrittenOptimiser
from fec_cache.training.batched.parameters import Parameters
from fec_cache.training.batched.resident import Resident, share_preparation
from fec_cache.training.config import LOSSES, OPTIMIZERS, TrainConfig
from fec_cache.training.losses import training_columns
from tests.training.plain_losses import batch_loss

TRAINED = [head for head in head_names() if head != "scatter"]
NUM_STEPS = 200
CPU = torch.device("cpu")


def idle_parameters(kind, loss, num_layers=2):
    """What a loss does not depend on.

    In the plain loop the gradients of these are rounding errors, which Adam blows up to whole
    steps; here they are exactly zero.
    """
    last_bias = f"layers.{2 * num_layers - 2}.bias"
    if GRADIENTS[loss].ignores_shift:
        return {"threshold" if kind == "embedding" else last_bias}
    return {"log_scale", "threshold"} if GRADIENTS[loss].of_distances else set()


def torch_optimizer(head, config):
    kinds = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": lambda p, **rest: torch.optim.SGD(p, momentum=0.9, **rest),
    }
    return kinds[config.optimizer](
        head.parameters(), lr=config.lr, weight_decay=config.weight_decay
    )


def plain_loop(features, train, head_config, config, num_steps):
    """What a tutorial writes, over the batches that the job's seed gives."""
    torch.manual_seed(config.seed)
    head = build_head(head_config, features.shape[1])
    shuffler = torch.Generator().manual_seed(config.seed)
    head.fit_preparation(torch.from_numpy(features[np.unique(train.rows)]))
    columns = [
        torch.from_numpy(column)
        for column in training_columns(config.loss, train, head_config.both_orders)
    ]
    prepared = head.prepare(torch.from_numpy(features))
    data = TensorDataset(prepared[columns[0]], *columns[1:])
    optimizer = torch_optimizer(head, config)
    done = 0
    while True:
        order = torch.randperm(len(data), generator=shuffler).tolist()
        # Without a generator of its own, a loader draws a number from the one that dropout uses.
        own = torch.Generator()
        for faces, *answers in DataLoader(data, config.batch_size, sampler=order, generator=own):
            optimizer.zero_grad()
            batch_loss(config.loss, head, faces, tuple(answers)).backward()
            optimizer.step()
            done += 1
            if done == num_steps:
                return head


def by_engine(features, train, head_configs, configs, num_steps, max_prepared_bytes=2**30, at=CPU):
    """The same steps by the engine, for one head or several side by side."""
    states = [
        JobState(head, config, features.shape[1], at)
        for head, config in zip(head_configs, configs, strict=True)
    ]
    heads = [state.head for state in states]
    resident = Resident(features, np.unique(train.rows), heads[0], at, max_prepared_bytes)
    for head in heads[1:]:
        share_preparation(heads[0], head)
    items = Items(configs[0].loss, head_configs[0], train, at)
    engine = Engine(heads, configs, [state.noise for state in states], items, resident)
    per_epoch = -(-len(items) // configs[0].batch_size)
    while num_steps > 0:
        orders = [state.order(len(items)).to(at) for state in states]
        engine.epoch(orders, min(num_steps, per_epoch))
        num_steps -= per_epoch
    for index, head in enumerate(heads):
        engine.stacked.write_to(head, index)
    return heads


def assert_same_weights(ours, wanted, but=()):
    for (name, ours_value), wanted_value in zip(
        ours.named_parameters(), wanted.parameters(), strict=True
    ):
        if name not in but:
            ours_value, wanted_value = ours_value.detach(), wanted_value.detach()
            error = (ours_value - wanted_value).norm() / wanted_value.norm()
            assert float(error) < 1e-4, f"{name} differs by {float(error):.2g} of its size"


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", TRAINED)
def test_200_steps_end_at_the_weights_of_a_plain_dataloader_loop(kind, loss, optimizer):
    features, train = planted_set(num_triplets=400)
    head = HeadConfig(kind, hidden=(16,))
    config = TrainConfig(
        loss=loss, optimizer=optimizer, batch_size=24, lr=3e-3, weight_decay=1e-3, seed=3
    )
    (ours,) = by_engine(features, train, [head], [config], NUM_STEPS)
    wanted = plain_loop(features, train, head, config, NUM_STEPS)
    assert_same_weights(ours, wanted, idle_parameters(kind, loss))
    torch.manual_seed(3)
    fresh = build_head(head, features.shape[1])
    weight, initial = ours.layers[0].weight.detach(), fresh.layers[0].weight.detach()
    assert float((weight - initial).norm() / initial.norm()) > 0.01


@pytest.mark.parametrize("hidden", [(), (12, 8)])
@pytest.mark.parametrize("kind", TRAINED)
def test_any_number_of_layers(kind, hidden):
    features, train = planted_set(num_triplets=200)
    head, config = HeadConfig(kind, hidden=hidden), TrainConfig(batch_size=50)
    (ours,) = by_engine(features, train, [head], [config], 60)
    assert_same_weights(ours, plain_loop(features, train, head, config, 60))


def test_dropout_draws_the_masks_of_a_plain_loop():
    features, train = planted_set(num_triplets=200)
    head, config = HeadConfig(hidden=(16, 8), dropout=0.4), TrainConfig(batch_size=32, seed=7)
    (ours,) = by_engine(features, train, [head], [config], NUM_STEPS)
    assert_same_weights(ours, plain_loop(features, train, head, config, NUM_STEPS))


def test_both_orders_of_each_pair_are_trained_on():
    features, train = planted_set(num_triplets=60)
    head, config = HeadConfig(hidden=(16,), both_orders=True), TrainConfig(batch_size=32)
    (ours,) = by_engine(features, train, [head], [config], 60)
    assert_same_weights(ours, plain_loop(features, train, head, config, 60))


@pytest.mark.parametrize("prepare", ["none", "l2", "standardize", "pca:6"])
def test_preparing_batch_by_batch_is_the_same(prepare):
    features, train = planted_set(num_triplets=200)
    features = features.astype(np.float16)
    head, config = HeadConfig(hidden=(16,), prepare=prepare), TrainConfig()
    (whole,) = by_engine(features, train, [head], [config], 50)
    (piecewise,) = by_engine(features, train, [head], [config], 50, max_prepared_bytes=0)
    assert_same_weights(whole, piecewise)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", TRAINED)
def test_stacked_heads_end_where_each_ends_alone(kind, loss):
    features, train = planted_set(num_triplets=300)
    shape, plain = HeadConfig(kind, hidden=(16,)), TrainConfig(loss=loss, batch_size=50)
    heads = [shape, dataclasses.replace(shape, dropout=0.5), shape, shape]
    configs = [
        plain,
        dataclasses.replace(plain, seed=1),
        dataclasses.replace(plain, lr=1e-2, weight_decay=0.1),
        dataclasses.replace(plain, lr=1e-4, seed=2),
    ]
    together = by_engine(features, train, heads, configs, 60)
    for ours, head, config in zip(together, heads, configs, strict=True):
        (alone,) = by_engine(features, train, [head], [config], 60)
        assert_same_weights(ours, alone)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_losses_equal_autograds(loss):
    head = build_head(HeadConfig("embedding"), 4)
    _, train = planted_set(num_triplets=40)
    answers = tuple(torch.from_numpy(column) for column in training_columns(loss, train)[1:])
    answers = tuple(a if a.dim() == 2 else a[:, None] for a in answers)
    written = GRADIENTS[loss]
    logits = torch.randn(len(answers[0]), 3 if len(answers[0]) == 40 else 1, requires_grad=True)
    flat = logits.squeeze(-1)
    plain = tuple(a if a.shape[1] == 3 else a[:, 0] for a in answers)
    wanted_loss = batch_loss_of(loss, head, flat, plain)
    (wanted,) = torch.autograd.grad(wanted_loss, logits)
    with torch.no_grad():
        values = head.distance(logits) if written.of_distances else logits
        share, out = torch.tensor(1 / len(logits)), torch.empty_like(logits)
        ours = written.gradient(values, answers, share, out)
        if written.of_distances:
            ours = -ours / head.log_scale.exp()
        each = written.per_item(values, answers)
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-8)
    assert each.mean().item() == pytest.approx(wanted_loss.item(), rel=1e-5)


def batch_loss_of(loss, head, logits, answers):
    """The loss of given logits: a head that compares nothing hands them on."""

    class Given:
        distance = staticmethod(head.distance)
        calls = 0

        def compare(self, a, b):
            self.calls += 1
            return logits if logits.dim() == 1 else logits[:, self.calls - 1]

    return batch_loss(loss, Given(), torch.zeros(len(logits), 3, 1), answers)


@pytest.mark.parametrize("make", [FusedOptimiser, WrittenOptimiser])
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("num_heads", [1, 3])
def test_optimisers_equal_torchs(make, kind, num_heads):
    configs = [
        TrainConfig(optimizer=kind, lr=10.0**-index, weight_decay=0.1 * index)
        for index in range(1, num_heads + 1)
    ]
    lead = (num_heads,) if num_heads > 1 else ()
    initial = [torch.randn(*lead, 5, 3), torch.randn(*lead, 1, 2)]
    parameters = Parameters(initial, num_heads)
    optimiser = make(parameters, configs)
    plain = [
        [torch.nn.Parameter((t[index] if lead else t).clone()) for t in initial]
        for index in range(num_heads)
    ]
    theirs = [
        torch_optimizer(torch.nn.ParameterList(own), config)
        for own, config in zip(plain, configs, strict=True)
    ]
    for step in range(7):
        if step == 4:  # a stack that goes on with some of its heads hands the memory over
            state = optimiser.state_of(range(num_heads))
            optimiser = make(parameters, configs)
            optimiser.restore(state)
        for grad, initial_value in zip(parameters.grads, initial, strict=True):
            grad.copy_(torch.randn_like(initial_value))
        for index, own in enumerate(plain):
            for parameter, grad in zip(own, parameters.grads, strict=True):
                parameter.grad = (grad[index] if lead else grad).clone()
        optimiser.step()
        for optimizer in theirs:
            optimizer.step()
    for index, own in enumerate(plain):
        for parameter, value in zip(own, parameters.values, strict=True):
            ours = value[index] if lead else value
            torch.testing.assert_close(ours, parameter.data, rtol=1e-5, atol=1e-7)


class TestCompiled:
    def test_without_a_compiler_one_line_says_so_and_the_function_is_called(
        self, monkeypatch, caplog
    ):
        def broken(function, **_):
            def fail(*arguments):
                raise RuntimeError("Cannot find a working compiler\nand much more")

            return fail

        monkeypatch.setattr(torch, "compile", broken)
        function = Compiled(lambda tensor: tensor.add_(1.0))
        value = torch.zeros(2)
        function(value)
        function(value)
        assert value.tolist() == [2.0, 2.0]
        assert len(caplog.records) == 1
        assert "Cannot find a working compiler" in caplog.text
        assert "much more" not in caplog.text

    def test_what_fails_after_it_has_worked_is_raised(self, monkeypatch):
        monkeypatch.setattr(torch, "compile", lambda function, **_: function)

        def picky(tensor):
            if len(tensor) > 2:
                raise RuntimeError("too long")

        function = Compiled(picky)
        function(torch.zeros(2))
        with pytest.raises(RuntimeError, match="too long"):
            function(torch.zeros(3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", TRAINED)
def test_graphed_steps_end_where_plain_ones_end(kind, loss, optimizer):
    features, train = planted_set(num_triplets=1000)
    head = HeadConfig(kind, hidden=(16,))
    plain = TrainConfig(loss=loss, optimizer=optimizer, batch_size=8, lr=1e-3)
    configs = [plain, dataclasses.replace(plain, lr=3e-3, seed=1)]
    together = by_engine(features, train, [head] * 2, configs, NUM_STEPS, at=torch.device("cuda"))
    for ours, config in zip(together, configs, strict=True):
        wanted = plain_loop(features, train, head, config, NUM_STEPS)
        assert_same_weights(ours.cpu(), wanted, idle_parameters(kind, loss))
