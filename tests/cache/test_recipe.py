import dataclasses
import json

import numpy as np
import pytest

from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.errors import BadOption
from fec_cache.faces.crop import CropConfig

RECIPE = FeatureRecipe(
    backbone="resnet18",
    weights="sha256:" + "f3" * 32,
    layer="layer3:grid4",
    shape=(256, 4, 4),
    crop=CropConfig(input_size=224, margin=0.1),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
OTHER = {
    "backbone": "resnet50",
    "weights": "random:0:abc",
    "layer": "avgpool",
    "shape": (256, 16),
    "crop": CropConfig(input_size=225),
    "mean": (0.486, 0.456, 0.406),
    "std": (0.229, 0.224, 0.226),
    "precision": "fp16",
    "flip": True,
    "store_dtype": "float32",
    "version": 3,
}
OTHER_CROP = {
    "input_size": 225,
    "margin": 0.2,
    "pad": "reflect",
    "resize": "bicubic",
    "colour": "BGR",
    "decode": "full",
}


def forced(record, name, value):
    """A record with a value that it does not take yet; a later version may."""
    copy = dataclasses.replace(record)
    object.__setattr__(copy, name, value)
    return copy


OLD = dataclasses.replace(RECIPE, crop=CropConfig(decode="full"), version=1)


def test_canonical_form_is_pinned():
    assert RECIPE.canonical_json() == (
        '{"backbone":"resnet18","crop":{"colour":"RGB","decode":"scaled","input_size":224,'
        '"margin":0.1,"pad":"edge","resize":"bilinear-antialias"},"flip":false,'
        '"layer":"layer3:grid4","mean":[0.485,0.456,0.406],"precision":"fp32","shape":[256,4,4],'
        '"std":[0.229,0.224,0.225],"store_dtype":"float16","version":2,"weights":"sha256:'
        + "f3" * 32
        + '"}'
    )
    # A new value here makes every cache in the world useless: raise RECIPE_VERSION if it must be.
    assert RECIPE.fingerprint == "9ad863d8956fed2884e2cca11fd7c0dbe46479dd3b7aa796e3a25a9d8f34a637"
    assert RECIPE.folder_name == "resnet18-layer3-grid4-9ad863d8"


def test_recipes_of_version_1_are_still_read():
    assert OLD.fingerprint == "bcf6808904898a88b65c77a4a576eae3289ba63589a722d8d4de1e437871c272"
    assert FeatureRecipe.from_json(OLD.canonical_json()) == OLD
    assert "decode" not in OLD.canonical_json()
    assert [line.split(":")[0] for line in OLD.differences(RECIPE)] == ["version", "crop.decode"]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(FeatureRecipe)])
def test_each_field_of_a_recipe_changes_the_fingerprint(name):
    other = forced(RECIPE, name, OTHER[name])
    assert other.fingerprint != RECIPE.fingerprint
    assert other != RECIPE
    changed = [line.split(":")[0] for line in RECIPE.differences(other)]
    assert changed == ["crop.input_size" if name == "crop" else name]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(CropConfig)])
def test_each_field_of_a_crop_changes_the_fingerprint(name):
    other = forced(RECIPE, "crop", forced(RECIPE.crop, name, OTHER_CROP[name]))
    assert other.fingerprint != RECIPE.fingerprint


def test_equal_recipes_have_one_fingerprint():
    same = dataclasses.replace(
        RECIPE,
        shape=[np.int64(256), 4, 4],
        mean=[np.float64(0.485), 0.456, 0.406],
        crop=CropConfig(input_size=np.int32(224), margin=np.float64(0.1)),
    )
    assert same == RECIPE
    assert hash(same) == hash(RECIPE)
    assert same.canonical_json() == RECIPE.canonical_json()


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, False])
def test_one_zero_is_as_good_as_another(zero):
    plain = dataclasses.replace(RECIPE, crop=CropConfig(margin=0.0), mean=(0.0, 0.0, 0.0))
    same = dataclasses.replace(RECIPE, crop=CropConfig(margin=zero), mean=(zero, zero, zero))
    assert same.fingerprint == plain.fingerprint


def test_a_recipe_survives_json():
    text = json.dumps(json.loads(RECIPE.canonical_json()), indent=3)
    assert FeatureRecipe.from_json(text) == RECIPE
    assert FeatureRecipe.from_json(text).fingerprint == RECIPE.fingerprint


@pytest.mark.parametrize(
    "edit",
    [
        lambda fields: fields.update(version=3),
        lambda fields: fields.update(unknown=1),
        lambda fields: fields.pop("layer"),
        lambda fields: fields.update(crop=None),
        lambda fields: fields["crop"].update(input_size=224.0),
        lambda fields: fields["crop"].update(margin="wide"),
        lambda fields: fields.update(shape=3),
        lambda fields: fields.update(store_dtype="float64"),
    ],
)
def test_json_that_is_no_recipe_is_refused(edit):
    fields = json.loads(RECIPE.canonical_json())
    edit(fields)
    with pytest.raises((ValueError, TypeError, KeyError, BadOption)):
        FeatureRecipe.from_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"store_dtype": "float64"}, "store dtype is 'float64', .* one of: float16, float32"),
        ({"precision": "int8"}, "precision is 'int8', but it must be one of: fp32, bf16, fp16"),
    ],
)
def test_a_recipe_checks_its_values(fields, message):
    with pytest.raises(BadOption, match=message):
        dataclasses.replace(RECIPE, **fields)


def test_what_a_recipe_says_of_itself():
    assert RECIPE.width == 4096
    assert RECIPE.label == "resnet18:layer3:grid4"
    assert RECIPE.weights_label == "sha256:f3f3f3f3"
    random = dataclasses.replace(RECIPE, weights="random:7:abcdef", layer="avgpool")
    assert random.has_random_weights
    assert random.label == "resnet18:avgpool (random:7 weights)"
    timm = dataclasses.replace(RECIPE, backbone="timm:a/b")
    assert timm.folder_name == f"timm-a-b-layer3-grid4-{timm.fingerprint[:8]}"
