import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from fec_cache.errors import BadImage
from fec_cache.extraction import recipes
from fec_cache.extraction.recipes import RecipeNetworks, check_finite, recipes_of
from fec_cache.faces.crop import CropConfig
from fec_cache.testing import toy

PICTURES = [np.full((4, 4, 3), colour, np.uint8) for colour in ((51, 102, 255), (0, 0, 0))]


def test_each_layer_has_a_recipe_of_its_own():
    backbone = toy.toy_backbone(("avgpool", "layer1"))
    first, second = recipes_of(backbone, 0.2, "float32")
    assert first.layer == "avgpool"
    assert second == dataclasses.replace(first, layer="layer1")
    assert first.crop == CropConfig(input_size=4, margin=0.2)
    assert (first.weights, first.shape, first.store_dtype) == (toy.WEIGHTS, (3,), "float32")
    assert (first.mean, first.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("weights", "given", "asked"),
    [
        (toy.WEIGHTS, (), None),
        (toy.WEIGHTS, ("file",), "file"),
        ("random:7:abc", (), "random:7"),
        ("random:7:abc", ("random:8",), "random:8"),
    ],
)
def test_new_pictures_go_through_the_recipes_own_weights(monkeypatch, weights, given, asked):
    calls = []

    def load(*args, **kwargs):
        calls.append((args, kwargs))
        return toy.toy_backbone(weights=weights)

    monkeypatch.setattr(recipes, "load_backbone", load)
    recipe = toy.toy_recipe(weights=weights)
    features = RecipeNetworks((recipe,), given, "cpu").features(lambda crop: PICTURES)
    assert calls == [(("toy", asked, ("avgpool",)), {"expected_identity": weights})]
    assert features.dtype == np.float16
    assert features.tolist() == np.array([[0.2, 0.4, 1], [0, 0, 0]], np.float16).tolist()


def test_a_feature_that_the_store_cannot_hold_is_reported(monkeypatch):
    monkeypatch.setattr(recipes, "load_backbone", lambda *_, **__: toy.toy_backbone(("layer2",)))
    narrow = RecipeNetworks((toy.toy_recipe("layer2"),), (), "cpu").features(lambda crop: PICTURES)
    with pytest.raises(BadImage, match="not finite in float16"):
        check_finite(narrow[0], "float16")
    check_finite(narrow[1], "float16")
    wide = toy.toy_recipe("layer2", store_dtype="float32")
    whole = RecipeNetworks((wide,), (), "auto").features(lambda crop: PICTURES)
    np.testing.assert_allclose(whole, [[2e4, 4e4, 1e5], [0, 0, 0]], rtol=1e-6)


def test_layers_of_one_backbone_are_read_from_one_pass(monkeypatch):
    """Two layers of one network and a layer of another: two passes, parts in the asked order."""
    passes = []

    def load(name, weights, layers, *, expected_identity):
        passes.append((layers, expected_identity))
        return toy.toy_backbone(layers, weights=expected_identity)

    monkeypatch.setattr(recipes, "load_backbone", load)
    other = "sha256:" + "6" * 64
    asked = (toy.toy_recipe("layer1"), toy.toy_recipe(weights=other), toy.toy_recipe())
    features = RecipeNetworks(asked, (), "cpu").features(lambda crop: PICTURES)
    assert passes == [(("layer1", "avgpool"), toy.WEIGHTS), (("avgpool",), other)]
    wanted = np.array([[0.4, 0.8, 2, 0.2, 0.4, 1, 0.2, 0.4, 1], [0] * 9], np.float16)
    np.testing.assert_array_equal(features, wanted)


def test_several_backbones_find_their_weights_files_by_content(monkeypatch, tmp_path):
    asked = {}

    def load(name, weights, layers, *, expected_identity):
        asked[expected_identity] = weights
        return toy.toy_backbone(layers, weights=expected_identity)

    monkeypatch.setattr(recipes, "load_backbone", load)
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        file.write_text(file.name)
    identities = ["sha256:" + hashlib.sha256(f.read_bytes()).hexdigest() for f in files]
    both = [toy.toy_recipe(weights=identity) for identity in (*identities, "random:3:ab")]
    RecipeNetworks(both, [str(files[1]), str(files[0])], "cpu").features(lambda crop: PICTURES)
    assert asked == {
        identities[0]: str(files[0]),
        identities[1]: str(files[1]),
        "random:3:ab": "random:3",
    }


@pytest.mark.parametrize(("precision", "flip"), [("fp32", True), ("bf16", False), ("bf16", True)])
def test_new_pictures_are_run_in_the_recipes_precision_and_mirrored_if_it_says_so(
    monkeypatch, precision, flip
):
    class Left(torch.nn.Module):
        def forward(self, images):
            return {"avgpool": images[:, :, 0, 0]}

    backbone = dataclasses.replace(toy.toy_backbone(), module=Left())
    monkeypatch.setattr(recipes, "load_backbone", lambda *_, **__: backbone)
    recipe = dataclasses.replace(toy.toy_recipe(), precision=precision, flip=flip)
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:, 0], picture[:, 3] = (51, 51, 51), (255, 153, 0)
    (found,) = RecipeNetworks((recipe,), (), "cpu").features(lambda crop: [picture])
    wanted = np.array([0.6, 0.4, 0.1]) if flip else np.array([0.2, 0.2, 0.2])
    exact = wanted.astype(np.float16)
    assert (found.tolist() == exact.tolist()) == (precision == "fp32")
    np.testing.assert_allclose(found, wanted, rtol=2**-8)
