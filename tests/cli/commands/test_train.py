"""`fec train-head`: what reaches its workflow, and how an interrupted training ends."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from fec_cache.cli.main import fec
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.config import PairConfig
from fec_cache.search.space import Point
from fec_cache.system.workspace import Workspace
from fec_cache.training.config import TrainConfig
from fec_cache.workflows.train import HeadRequest

WORKFLOW = "train.train"


def outcome(num_epochs=20, is_interrupted=False):
    result = SimpleNamespace(interrupted=is_interrupted, history=[None] * num_epochs)
    return SimpleNamespace(
        in_words=lambda: "done",
        to_dict=lambda: {"state": "done"},
        trained=SimpleNamespace(result=result),
    )


def test_without_options_it_is_the_original_recipe(arguments_of):
    workspace, request, point, _ = arguments_of(WORKFLOW, "train-head", outcome=outcome())
    assert workspace == Workspace(Path("data"), Path("cache"), Path("runs"))
    assert request == HeadRequest()
    assert point == Point(HeadConfig(), TrainConfig())


def test_every_option_reaches_its_field(arguments_of):
    words = (
        "--head embedding --hidden 512-128 --dropout 0.1 --embedding-dim 8 --prepare l2 "
        "--init scatter --both-orders --shrinkage 0.2 --components 5 --lr 0.01 --epochs 3 "
        "--batch-size 16 --loss triplet --optimizer adamw --weight-decay 0.5 --patience 2 --seed 4 "
        "--min-agreement 0.6 --validation-share 0.2 --split-seed 7 --features a,b --name n "
        "--device cpu"
    )
    _, request, point, _ = arguments_of(WORKFLOW, "train-head", *words.split(), outcome=outcome())
    assert request == HeadRequest("a,b", PairConfig(0.6, 0.2, 7), "n", "cpu")
    assert point.head == HeadConfig(
        head="embedding", hidden=(512, 128), dropout=0.1, embedding_dim=8, prepare="l2",
        init="scatter", both_orders=True, shrinkage=0.2, components=5,
    )  # fmt: skip
    assert point.train == TrainConfig(0.01, 3, 16, "triplet", "adamw", 0.5, 2, 4)


def test_no_hidden_layer_is_a_word(arguments_of):
    words = ("train-head", "--hidden", "none")
    assert arguments_of(WORKFLOW, *words, outcome=outcome())[2].head.hidden == ()


@pytest.mark.parametrize(("num_epochs", "words"), [(1, "1 epoch"), (2, "2 epochs")])
def test_an_interrupted_training_says_what_is_saved(monkeypatch, num_epochs, words):
    monkeypatch.setattr("fec_cache.workflows.checks.check_training", lambda *_: None)
    monkeypatch.setattr(f"fec_cache.workflows.{WORKFLOW}", lambda *_: outcome(num_epochs, True))
    result = CliRunner().invoke(fec, ["train-head"])
    assert result.exit_code == 130
    assert result.stdout == "done\n"
    assert result.stderr == f"Interrupted: the best of {words} so far is saved.\n"
