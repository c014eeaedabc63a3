"""`fec extract`: annotations and pictures to caches, with every row accounted for."""

import json
from pathlib import Path

import h5py
import numpy as np

from fec_cache.cache.catalogue import select_cache
from tests.workflows.commands import rows_of
from tests.workspace_fixtures import BACKBONE, NUM_FACES


def test_extract_again_computes_nothing(place):
    result = place.ok("extract", "--backbone", BACKBONE, "--weights", "random:0", "--json")
    found = json.loads(result.stdout)
    assert found["num_cached"] == NUM_FACES
    assert found["num_computed"] == found["num_failed"] == found["num_missing"] == 0


def test_every_row_is_used_or_reported(place):
    path = place.folder / "data" / "train.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "garbage,row", lines[0].replace("_CLASS_", "_KIND_")]))
    result = place.ok("extract", "--backbone", BACKBONE, "--weights", "random:0", "--json")
    found = json.loads(result.stdout)
    assert found["rejected_rows"] == 2
    rejected = rows_of(select_cache(place.folder / "cache").folder / "rejected.csv")
    assert [row["line"] for row in rejected] == [str(len(lines) + 1), str(len(lines) + 2)]
    result = place.ok("train-head", "--epochs", "1")
    assert f"train.csv: {len(lines) + 2} rows" in result.output
    assert "2 rejected" in result.output
    assert len(rows_of(place.folder / "runs" / "rejected-train.csv")) == 2


def test_several_layers_in_one_pass(place):
    words = ("--backbone", BACKBONE, "--weights", "random:0", "--layer", "layer3,layer3:grid4")
    place.ok("extract", *words)
    cache = place.folder / "cache"
    pooled = select_cache(cache, f"{BACKBONE}:layer3").load()
    grid = select_cache(cache, f"{BACKBONE}:layer3:grid4").load()
    assert pooled.face_ids == grid.face_ids
    cells = grid.features.reshape(len(grid.features), -1, 4, 4).astype(np.float32)
    # An odd-sized map is pooled in overlapping cells, so the means agree only roughly.
    assert np.corrcoef(cells.mean((2, 3)).ravel(), pooled.features.ravel())[0, 1] > 0.95
    result = place.run("train-head", "--features", BACKBONE)
    assert result.exit_code == 1
    assert "several matching caches" in result.stderr


def test_features_decoded_on_a_gpu_are_gone_on_with_and_asked_without_one(place):
    words = ("extract", "--backbone", BACKBONE, "--weights", "random:0", "--device", "cpu")
    result = place.ok(*words, "--decode", "gpu", "--json")
    assert "JPEGs are decoded at full size on the CPU: nvJPEG cannot be used" in result.stderr
    (folder,) = json.loads(result.stdout)["caches"]
    recipe = json.loads((Path(folder) / "recipe.json").read_text())
    assert recipe["crop"]["decode"] == "gpu"
    # Another word, another cache; the usual one was there before.
    (usual,) = json.loads(place.ok(*words, "--json").stdout)["caches"]
    assert usual != folder
    place.ok("train-head", "--features", Path(folder).name, "--epochs", "2", "--name", "gpu")
    first, second = sorted(Path("data/images/test").iterdir())[:2]
    said = place.ok("predict", str(first), str(second), "--run", "gpu", "--device", "cpu", "--json")
    assert 0.0 <= json.loads(said.stdout)["probability_similar"] <= 1.0


def test_features_table_is_one_hdf5_table(place):
    cache = select_cache(place.folder / "cache", BACKBONE)
    with h5py.File(cache.folder / "features.h5") as file:
        assert file["features"].shape == (NUM_FACES, cache.recipe.width)
        np.testing.assert_array_equal(file["features"][:], cache.load().features)
