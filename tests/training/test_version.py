"""Training gives what it gave under this version's name: other results need another name."""

import dataclasses

import pytest

from fec_cache.heads.config import HeadConfig
from fec_cache.testing.planted import planted_split
from fec_cache.training.closed_form import fit_closed_form
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit
from fec_cache.training.version import TRAINER_VERSION

TRAINING = TrainConfig(lr=3e-3, epochs=3, batch_size=32)
HEAD = HeadConfig(hidden=(16,))
# Each head and loss: training loss of the first and of the last epoch, validation loss of the last.
KNOWN = {
    "6aaf1ff50707b3e5": {
        "concat bce": [0.64676, 0.523721, 0.507864],
        "symmetric bce adamw": [0.584841, 0.425987, 0.400489],
        "embedding triplet sgd": [0.491855, 0.232839, 2.09931],
        "embedding contrastive": [0.465314, 0.424106, 1.23409],
        "embedding from scatter odd-one-out": [0.684073, 0.653111, 0.464091],
        "concat both orders": [0.620559, 0.408068, 0.390972],
        "scatter": [0.475359, 0.475359, 0.44892, 0.76],
    }
}
CASES = {
    "concat bce": (HEAD, TRAINING),
    "symmetric bce adamw": (
        dataclasses.replace(HEAD, head="symmetric", dropout=0.1),
        dataclasses.replace(TRAINING, optimizer="adamw", weight_decay=0.1),
    ),
    "embedding triplet sgd": (
        dataclasses.replace(HEAD, head="embedding"),
        dataclasses.replace(TRAINING, loss="triplet", optimizer="sgd"),
    ),
    "embedding contrastive": (
        dataclasses.replace(HEAD, head="embedding", prepare="pca:4"),
        dataclasses.replace(TRAINING, loss="contrastive"),
    ),
    "embedding from scatter odd-one-out": (
        HeadConfig("embedding", hidden=(), embedding_dim=4, init="scatter"),
        dataclasses.replace(TRAINING, loss="odd-one-out"),
    ),
    "concat both orders": (dataclasses.replace(HEAD, both_orders=True), TRAINING),
}


def losses(result):
    first, last = result.history[0], result.history[-1]
    return [first.train_loss, last.train_loss, last.val_loss]


@pytest.mark.parametrize("case", CASES)
def test_steps_give_what_this_version_gave(case):
    found = losses(fit(*planted_split(), *CASES[case]))
    assert found == pytest.approx(KNOWN[TRAINER_VERSION][case], rel=1e-3)


def test_the_closed_form_gives_what_this_version_gave():
    result = fit_closed_form(*planted_split(), HeadConfig("scatter"))
    found = [*losses(result), result.best.val_triplet_accuracy]
    assert found == pytest.approx(KNOWN[TRAINER_VERSION]["scatter"], rel=1e-3)
