"""`fec train-head`: what it trains, what it saves, what it replaces."""

import json

import pytest

from fec_cache.cache.catalogue import open_cache
from fec_cache.errors import BadOption, OutputExists
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.annotated import load_pairs
from fec_cache.pairs.config import PairConfig
from fec_cache.runs.checkpoint import load_head
from fec_cache.search.space import Point
from fec_cache.system.reporter import SILENT
from fec_cache.testing.recording import RecordingReporter
from fec_cache.training.config import TrainConfig
from fec_cache.workflows.train import HeadRequest, fit, train
from tests.workflows.commands import names
from tests.workflows.toy_set import NUM_TRAIN


def test_another_head_under_an_old_name_takes_the_old_figures_away(measured):
    folder = measured.folder / "runs" / "first"
    (folder / "results.csv").write_text("key\nold\n")
    measured.ok("train-head", "--epochs", "1", "--seed", "5", "--name", "first")
    assert not {"evaluation.json", "model_card.md", "report.html", "results.csv"} & names(folder)


def test_the_same_head_again_keeps_its_figures(measured):
    folder = measured.folder / "runs" / "first"
    before = (folder / "evaluation.json").read_bytes()
    measured.ok("train-head", "--epochs", "3", "--name", "first", "--device", "cpu")
    assert (folder / "evaluation.json").read_bytes() == before


def test_ctrl_c_in_training_keeps_the_best_epoch(place, monkeypatch):
    from fec_cache.workflows import train as train_job

    fit = train_job.fit_arrays

    def interrupted_fit(*args):
        *rest, on_epoch = args

        def on_second(epoch):
            on_epoch(epoch)
            if epoch.epoch == 2:
                raise KeyboardInterrupt

        return fit(*rest, on_second)

    monkeypatch.setattr(train_job, "fit_arrays", interrupted_fit)
    result = place.run("train-head", "--epochs", "50", "--name", "short", "--json")
    assert result.exit_code == 130, result.output
    assert "Interrupted: the best of 2 epochs so far is saved." in result.stderr
    found = json.loads(result.stdout)
    assert (found["interrupted"], found["epochs"]) == (True, 2)
    assert found["best_epoch"] in (1, 2)
    monkeypatch.undo()
    monkeypatch.chdir(place.folder)
    place.ok("evaluate", "--run", "short")


def test_train_head_without_options_is_the_original_recipe(place):
    place.ok("train-head", "--epochs", "1", "--name", "plain")
    config = json.loads((place.folder / "runs" / "plain" / "config.json").read_text())
    assert config["head"]["head"] == "concat"
    assert config["head"]["hidden"] == [256]
    assert config["head"]["dropout"] == 0.0
    wanted = {"lr": 1e-3, "batch_size": 32, "loss": "bce", "optimizer": "adam", "weight_decay": 0}
    assert {name: config["train"][name] for name in wanted} == wanted
    from fec_cache.training.config import TrainConfig

    assert TrainConfig().epochs == 20


def test_same_seed_same_bytes(place):
    for name in ("one", "two"):
        place.ok("train-head", "--epochs", "2", "--name", name, "--device", "cpu")
    one, two = (place.folder / "runs" / name / "head.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_heads_train_without_the_images(place):
    """Annotations and cache are enough: the images may be on another machine."""
    (place.folder / "data" / "images").rename(place.folder / "elsewhere")
    result = place.ok("train-head", "--epochs", "1")
    assert "used" in result.output


def toy_run(workspace, reporter=SILENT, point=None, **request):
    point = point or Point(HeadConfig("embedding", (8,)), TrainConfig(epochs=2))
    request = {"features": "toy", "pairs": PairConfig(validation_share=0.2), **request}
    return train(workspace, HeadRequest(**request), point, reporter)


def test_the_outcome_is_what_the_run_holds(toy_workspace):
    reporter = RecordingReporter()
    outcome = toy_run(toy_workspace, reporter, device="cpu")
    head, config = load_head(outcome.folder)
    assert outcome.folder.parent == toy_workspace.runs_dir
    assert outcome.folder.name.startswith("embedding-toy-avgpool-")
    assert config == outcome.trained.config
    assert {name: value.tolist() for name, value in head.state_dict().items()} == {
        name: value.tolist() for name, value in outcome.trained.head.state_dict().items()
    }
    assert config.data["num_train_triplets"] + config.data["num_validation_triplets"] == NUM_TRAIN
    assert len(outcome.trained.face_ids) == 80
    fields = outcome.to_dict()
    assert fields["val_triplet_accuracy"] == outcome.trained.val_triplet_accuracy
    assert fields["epochs"] == 2
    assert f"at epoch {fields['best_epoch']} of 2, in " in outcome.in_words()
    assert [step[:3] for step in reporter.steps][-2:] == [("Training", 1, 2), ("Training", 2, 2)]


def test_the_same_request_has_the_same_name_and_another_seed_another(toy_workspace):
    first, again = (toy_run(toy_workspace).folder for _ in range(2))
    point = Point(HeadConfig("embedding", (8,)), TrainConfig(epochs=2, seed=1))
    assert first == again != toy_run(toy_workspace, point=point).folder


def test_fit_trains_the_head_that_train_saves(toy_workspace):
    saved = toy_run(toy_workspace, device="cpu").trained
    with open_cache(toy_workspace.cache_dir, "toy") as cache:
        trained = fit(
            cache,
            load_pairs(toy_workspace.data_dir),
            HeadConfig("embedding", (8,)),
            TrainConfig(epochs=2),
            PairConfig(validation_share=0.2),
            device="cpu",
        )
    assert trained.config == saved.config
    for name, value in trained.head.state_dict().items():
        assert value.tolist() == saved.head.state_dict()[name].tolist()


def test_options_that_a_head_ignores_are_warned_of(toy_workspace):
    reporter = RecordingReporter()
    toy_run(toy_workspace, reporter, point=Point(HeadConfig("scatter"), TrainConfig(lr=0.5)))
    assert "the scatter head ignores --lr" in reporter.warnings


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "the name of a folder"),
        ("a/b", "without slashes"),
        (".a", "must not begin with a dot or a dash"),
        ("a\n", "control characters"),
        ("a ", "spaces at either end"),
        ("é" * 101, "at most 200 bytes"),
    ],
)
def test_a_name_must_be_a_folders_on_every_system(name, words):
    with pytest.raises(BadOption, match=words):
        HeadRequest(name=name)
    assert HeadRequest(name="é" * 100).name == "é" * 100


def test_the_name_of_a_search_is_refused(toy_workspace):
    folder = toy_workspace.runs_dir / "grid"
    folder.mkdir(parents=True)
    (folder / "search.json").write_text("{}")
    with pytest.raises(OutputExists, match="contains a search"):
        toy_run(toy_workspace, name="grid")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cache": []}, "The list of caches is empty. Open at least one with open_cache."),
        ({"cache": ["cache"]}, "cache is of type str, but it must be what open_cache gives"),
        ({"cache": None}, "cache is of type NoneType, but it must be what open_cache gives"),
        ({"pairs": "data"}, "pairs is of type str, but it must be what load_pairs gives."),
        ({"head": "embedding"}, "head is of type str, but it must be a HeadConfig."),
        ({"train": HeadConfig()}, "train is of type HeadConfig, but it must be a TrainConfig."),
        ({"split": "train"}, "split is of type str, but it must be a PairConfig."),
        ({"device": None}, "device None cannot be used here: expected auto, cpu"),
    ],
)
def test_arguments_of_the_wrong_type_are_explained(toy_workspace, changes, message):
    arguments = {
        "cache": open_cache(toy_workspace.cache_dir),
        "pairs": load_pairs(toy_workspace.data_dir),
        "reporter": SILENT,
    }
    with pytest.raises(BadOption) as caught:
        fit(**{**arguments, **changes})
    assert str(caught.value).startswith(message)


def test_fit_warns_of_options_that_the_head_does_not_read(toy_folder):
    reporter = RecordingReporter()
    with open_cache("cache", "toy") as cache:
        head = HeadConfig(embedding_dim=4)
        fit(cache, load_pairs("data"), head, TrainConfig(epochs=1), reporter=reporter)
        with pytest.raises(BadOption, match=r"blocks is \(3,\), but .* Leave blocks out"):
            fit(cache, load_pairs("data"), HeadConfig(blocks=(3,)), reporter=reporter)
    assert "the concat head ignores --embedding-dim" in reporter.warnings
