"""Training: learns what is planted, repeats to the byte, keeps the best epoch."""

import dataclasses

import numpy as np
import pytest
import torch

from fec_cache.errors import NothingToTrain, TrainingDiverged
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.heads.scoring import similarity_of, triplet_accuracy
from fec_cache.pairs.build import TripletTable, pairs_from_triplets
from fec_cache.testing.planted import planted_set, planted_split
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit, seconds_per_epoch

QUICK = TrainConfig(lr=3e-3, epochs=6, batch_size=64)


@pytest.mark.parametrize("head", ["concat", "symmetric", "embedding"])
@pytest.mark.parametrize("loss", ["bce", "triplet", "odd-one-out", "contrastive"])
def test_each_head_and_loss_learns_the_planted_factor(head, loss):
    features, train, validation = planted_split()
    config = dataclasses.replace(QUICK, loss=loss, epochs=12)
    result = fit(features, train, validation, HeadConfig(head=head, hidden=(32,)), config)
    assert result.best.val_triplet_accuracy > 0.55
    assert result.history[-1].train_loss < result.history[0].train_loss


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_each_optimizer_learns(optimizer):
    features, train, validation = planted_split()
    config = dataclasses.replace(
        QUICK, optimizer=optimizer, lr=1e-2 if optimizer == "sgd" else 3e-3
    )
    result = fit(features, train, validation, HeadConfig("embedding", hidden=(32,)), config)
    assert result.best.val_triplet_accuracy > 0.5


def test_same_seed_same_bytes_and_other_seed_other_bytes():
    features, train, validation = planted_split()
    config = HeadConfig(dropout=0.2)
    one, two, other = (
        fit(features, train, validation, config, dataclasses.replace(QUICK, seed=seed, epochs=2))
        for seed in (3, 3, 4)
    )
    for name, value in one.head.state_dict().items():
        assert torch.equal(value, two.head.state_dict()[name]), name
    weight = "layers.0.weight"
    assert not torch.equal(one.head.state_dict()[weight], other.head.state_dict()[weight])


def test_training_leaves_the_callers_random_state_alone():
    features, train, validation = planted_split()
    before = torch.get_rng_state()
    fit(features, train, validation, HeadConfig(), dataclasses.replace(QUICK, epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_equals_a_plain_dataloader_loop():
    """The tutorial's loop, pair by pair in the same order, ends at the same weights."""
    features, train, validation = planted_split()
    config = TrainConfig(epochs=2, batch_size=32, seed=5)
    ours = fit(features, train, validation, HeadConfig(hidden=(16,)), config)

    pairs = pairs_from_triplets(train)
    torch.manual_seed(5)
    head = build_head(HeadConfig(hidden=(16,)), features.shape[1])
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    shuffler = torch.Generator().manual_seed(5)
    states = []
    for _ in range(2):
        order = torch.randperm(len(pairs.rows), generator=shuffler).tolist()
        for start in range(0, len(order), 32):
            batch = order[start : start + 32]
            a = torch.from_numpy(np.stack([features[pairs.rows[i, 0]] for i in batch]))
            b = torch.from_numpy(np.stack([features[pairs.rows[i, 1]] for i in batch]))
            target = torch.tensor([float(pairs.is_similar[i]) for i in batch])
            loss = torch.nn.BCEWithLogitsLoss()(head(a, b), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        states.append({name: value.clone() for name, value in head.state_dict().items()})
    wanted = states[ours.best.epoch - 1]
    for name, value in ours.head.state_dict().items():
        if name not in ("calibration", "bends"):
            torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-6)


def test_small_batches_train_on_one_thread_and_the_setting_comes_back():
    features, train, validation = planted_split()
    before = torch.get_num_threads()
    seen = []

    def on_epoch(epoch):
        seen.append(torch.get_num_threads())

    for batch_size in (64, 4096):
        config = TrainConfig(epochs=1, batch_size=batch_size)
        fit(features, train, validation, HeadConfig(), config, on_epoch=on_epoch)
    assert seen == [1, before]
    assert torch.get_num_threads() == before


def test_32_pairs_can_be_overfitted():
    features, train = planted_set(40, 32)
    _, validation = planted_set(40, 32, seed=9)
    config = TrainConfig(lr=1e-2, epochs=150, batch_size=96)
    result = fit(features, train, validation, HeadConfig("symmetric"), config)
    assert result.history[-1].train_loss < 0.05


def test_the_best_epoch_is_kept_and_patience_stops():
    features, train, validation = planted_split()
    config = TrainConfig(lr=0.05, epochs=60, batch_size=64, patience=3)
    result = fit(features, train, validation, HeadConfig(), config)
    accuracies = [epoch.val_triplet_accuracy for epoch in result.history]
    assert result.best.val_triplet_accuracy == max(accuracies)
    assert result.best.epoch == accuracies.index(max(accuracies)) + 1
    assert len(accuracies) == result.best.epoch + 3 < 60
    again = similarity_of(result.head, features, validation.rows)
    measured = triplet_accuracy(torch.from_numpy(again), torch.from_numpy(validation.odd))
    assert measured == pytest.approx(result.best.val_triplet_accuracy, abs=1e-6)


def test_preparation_is_fitted_on_training_faces_only():
    features, train, validation = planted_split()
    features[train.rows.max() + 1 :] += 1000.0
    result = fit(features, train, validation, HeadConfig("symmetric"), QUICK)
    used = features[np.unique(train.rows)]
    mean = result.head.preparation.mean.numpy()
    np.testing.assert_allclose(mean, used.mean(0), rtol=1e-4, atol=1e-4)


def test_float16_features_train_like_their_float32_values():
    features, train, validation = planted_split()
    half = features.astype(np.float16)
    config = dataclasses.replace(QUICK, epochs=1)
    one = fit(half, train, validation, HeadConfig(), config)
    two = fit(half.astype(np.float32), train, validation, HeadConfig(), config)
    assert torch.equal(one.head.layers[0].weight, two.head.layers[0].weight)


def test_nan_features_and_empty_sides_are_refused():
    features, train, validation = planted_split()
    empty = train.take(np.zeros(len(train), bool))
    with pytest.raises(NothingToTrain, match="0 training and 200 validation"):
        fit(features, empty, validation, HeadConfig(), QUICK)
    features[3, 1] = np.nan
    with pytest.raises(NothingToTrain, match="The features of 1 of 180 faces are not finite"):
        fit(features, train, validation, HeadConfig(), QUICK)


def test_divergence_is_named_or_the_best_epoch_before_it_kept(caplog):
    features, train, validation = planted_split()
    wild = TrainConfig(lr=1e3, epochs=30, batch_size=64, optimizer="sgd")
    with pytest.raises(TrainingDiverged, match=r"lr 1000 .* Try a smaller --lr"):
        fit(features * 1e4, train, validation, HeadConfig(), wild)
    slower = dataclasses.replace(wild, lr=2.0, weight_decay=3.0)
    result = fit(features, train, validation, HeadConfig(hidden=()), slower)
    assert len(result.history) < 30
    assert "training ends there" in caplog.text
    assert all(torch.isfinite(value).all() for value in result.head.state_dict().values())


def test_odd_accuracy_shares_ties():
    logits = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 0.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    odd = torch.tensor([0, 1, 2, 0])
    assert triplet_accuracy(logits, odd) == pytest.approx((1 / 3 + 1 / 2 + 1 + 0) / 4)


def test_expected_time_is_near_the_real_one():
    features, train, validation = planted_split()
    config = dataclasses.replace(QUICK, batch_size=8, epochs=3)
    expected = 3 * seconds_per_epoch(features, train, validation, HeadConfig(), config)
    real = fit(features, train, validation, HeadConfig(), config).duration_s
    assert 0 < expected < 20 * real


def test_one_triplet_table_is_enough_for_validation():
    features, train, validation = planted_split()
    single = TripletTable(*(column[:1] for column in vars(validation).values()))
    result = fit(features, train, single, HeadConfig(), dataclasses.replace(QUICK, epochs=1))
    assert len(result.history) == 1


def test_an_interrupt_keeps_the_best_epoch_so_far():
    features, train, validation = planted_split()

    def stop_at(number):
        def on_epoch(epoch):
            if epoch.epoch == number:
                raise KeyboardInterrupt

        return on_epoch

    config = dataclasses.replace(QUICK, epochs=9)
    result = fit(features, train, validation, HeadConfig(), config, on_epoch=stop_at(3))
    assert result.interrupted
    assert len(result.history) == 3
    whole = fit(features, train, validation, HeadConfig(), dataclasses.replace(config, epochs=3))
    assert not whole.interrupted
    assert whole.best.val_triplet_accuracy == result.best.val_triplet_accuracy
    for name, value in whole.head.state_dict().items():
        assert torch.equal(value, result.head.state_dict()[name]), name
