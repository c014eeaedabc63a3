"""What a trained head in memory says of itself, and what of it stands in its run."""

import json

import pytest
import torch

from fec_cache.errors import OutputExists
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.pairs.config import PairConfig
from fec_cache.runs.checkpoint import load_head, load_seen_faces
from fec_cache.runs.config import RunConfig
from fec_cache.runs.history import load_history
from fec_cache.runs.trained import TrainedHead
from fec_cache.training.config import TrainConfig
from fec_cache.training.history import Epoch, TrainResult
from tests.recipes import toy_recipe

EPOCHS = (
    Epoch(1, 0.7, 0.6, 0.5, 0.1),
    Epoch(2, 0.6, 0.5, 0.75, 0.1),
    Epoch(3, 0.5, 0.8, 0.25, 0.1),
)


@pytest.fixture
def trained():
    config = RunConfig((toy_recipe(4),), HeadConfig(hidden=(3,)), TrainConfig(), PairConfig(), {})
    result = TrainResult(build_head(config.head, 4), EPOCHS, best=EPOCHS[1], duration_s=0.3)
    return TrainedHead(result, config, calibration_error=0.02, face_ids=frozenset({"bb", "aa"}))


def test_its_accuracy_is_the_best_epochs_not_the_last_ones(trained):
    assert trained.val_triplet_accuracy == 0.75
    assert trained.head is trained.result.head


def test_a_saved_run_holds_the_head_its_figures_and_the_faces_it_saw(trained, tmp_path):
    folder = trained.save(str(tmp_path / "runs" / "one"))
    assert folder == tmp_path / "runs" / "one"
    assert json.loads((folder / "metrics.json").read_text()) == {
        "val_triplet_accuracy": 0.75,
        "val_calibration_error": 0.02,
        "val_loss": 0.5,
        "best_epoch": 2,
        "epochs": 3,
        "duration_s": 0.3,
    }
    head, config = load_head(folder)
    assert config == trained.config
    faces = torch.tensor([[1.0, 0.0, -1.0, 2.0], [0.5, 3.0, 0.0, -2.0]])
    assert torch.equal(head(faces, faces.flip(0)), trained.head.eval()(faces, faces.flip(0)))
    assert load_history(folder) == EPOCHS
    assert load_seen_faces(folder, config) == {"aa", "bb"}


def test_a_run_replaces_a_run_but_no_other_folder(trained, tmp_path):
    folder = trained.save(tmp_path / "one")
    assert trained.save(folder) == folder
    (folder / "config.json").unlink()  # as a killed save leaves it
    trained.save(folder)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_bytes(b"jpeg")
    with pytest.raises(OutputExists, match=r"photos contains mine.jpg, which is not part of a run"):
        trained.save(tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["mine.jpg"]
    with pytest.raises(OutputExists, match="is a file"):
        trained.save(tmp_path / "photos" / "mine.jpg")
    (folder / "search.json").write_text("{}")
    with pytest.raises(OutputExists, match="contains a search, which keeps its best head there"):
        trained.save(folder)
