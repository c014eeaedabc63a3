"""Hand-written steps against autograd, torch's optimisers and a plain DataLoader loop."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.kinds import head_kinds
from fec_cache.heads.registry import build_head
from fec_cache.testing.planted import planted_set
from fec_cache.training.batched.engine import Engine, Items
from fec_cache.training.batched.gradients import GRADIENTS
from fec_cache.training.batched.job_state import JobState
from fec_cache.training.batched.resident import Resident, share_preparation
from fec_cache.training.config import LOSSES, OPTIMIZERS, TrainConfig
from fec_cache.training.losses import training_columns
from tests.training.plain_losses import batch_loss, torch_optimizer

TRAINED = [kind.name for kind in head_kinds() if not kind.is_closed_form]
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
        # Without its own generator, a loader draws a number from the one that dropout uses.
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
