import subprocess
import sys

import pytest
import torchvision.models as zoo

from fec_cache.backbones import registry
from fec_cache.backbones.base import BackboneKind
from fec_cache.backbones.registry import (
    backbone_names,
    find_architecture,
    find_kind,
    split_layer,
    unknown_backbone,
    ways_without_download,
)
from fec_cache.errors import UnknownBackbone


def test_every_classification_model_of_torchvision_has_a_name():
    names = backbone_names()
    assert set(zoo.list_models(module=zoo)) | {"efficientnet_lite0"} == set(names)
    assert list(names) == sorted(names)
    assert not [name for name in names if "rcnn" in name or "quantized" in name or "raft" in name]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("resnet18", "torchvision_models"),
        ("efficientnet_lite0", "efficientnet_lite0"),
        ("timm:resnet18", "timm_models"),
    ],
)
def test_a_name_leads_to_its_kind(name, module):
    assert type(find_kind(name)).__module__ == f"fec_cache.backbones.{module}"


def test_unknown_name_suggests_near_ones():
    with pytest.raises(
        UnknownBackbone, match=r"Unknown backbone 'resnet81'\. Did you mean resnet18"
    ):
        find_architecture("resnet81")
    with pytest.raises(
        UnknownBackbone, match=r"Unknown backbone ''\. Known backbones: alexnet, .*\.\.\.$"
    ):
        find_architecture("")


def test_at_most_four_similar_names_are_suggested():
    error = unknown_backbone("net", ["net1", "net2", "net3", "net4", "net5"])
    assert str(error).count("net") == 1 + 4


@pytest.mark.parametrize(
    ("features", "backbone", "layer"),
    [
        ("resnet18", "resnet18", ""),
        ("resnet18:layer3:grid4", "resnet18", "layer3:grid4"),
        ("timm:resnet18", "timm:resnet18", ""),
        ("timm:resnet18:layer3:grid4", "timm:resnet18", "layer3:grid4"),
    ],
)
def test_features_are_split_behind_the_prefix(features, backbone, layer):
    assert split_layer(features) == (backbone, layer)


def test_a_backbone_is_no_alternative_to_itself():
    (way,) = ways_without_download("resnet18")
    assert way.startswith("--backbone efficientnet_lite0, after pip install")
    assert ways_without_download("efficientnet_lite0") == ()


def test_a_new_file_is_a_new_kind(tmp_path, monkeypatch):
    (tmp_path / "colour_means.py").write_text(
        "from fec_cache.backbones.base import BackboneKind\n"
        "from fec_cache.backbones.registry import register_kind\n\n\n"
        "@register_kind\n"
        "class ColourMeans(BackboneKind):\n"
        "    def names(self):\n"
        "        return ('colour_means',)\n\n"
        "    def architecture(self, name):\n"
        "        return 'the architecture of ' + name\n"
    )
    monkeypatch.setattr(registry, "_kinds", dict(registry._kinds))
    monkeypatch.setattr(
        registry.fec_cache.backbones,
        "__path__",
        [*registry.fec_cache.backbones.__path__, str(tmp_path)],
    )
    registry.kinds.cache_clear()
    try:
        assert isinstance(find_kind("colour_means"), BackboneKind)
        assert find_architecture("colour_means") == "the architecture of colour_means"
        assert "colour_means" in backbone_names()
    finally:
        sys.modules.pop("fec_cache.backbones.colour_means", None)
        registry.kinds.cache_clear()


def test_names_with_a_prefix_are_found_without_torch():
    code = (
        "import sys\n"
        "from fec_cache.backbones.registry import split_layer\n"
        "print(split_layer('timm:a:layer3'), 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "('timm:a', 'layer3') False\n"
