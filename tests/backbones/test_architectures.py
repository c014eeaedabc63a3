import importlib.util
import sys

import pytest
import torchvision.models as zoo

from fec_cache.backbones import architectures
from fec_cache.backbones.architectures import backbone_names, find_architecture, lite0_name
from fec_cache.errors import BadOption, UnknownBackbone

needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="needs the extra `offline` (timm)"
)


def test_every_classification_model_of_torchvision_has_a_name():
    names = backbone_names()
    assert set(zoo.list_models(module=zoo)) | {"efficientnet_lite0"} == set(names)
    assert list(names) == sorted(names)
    assert not [name for name in names if "rcnn" in name or "quantized" in name or "raft" in name]


@pytest.mark.parametrize(
    ("name", "size", "file_name"),
    [
        ("resnet18", 224, "resnet18-f37072fd.pth"),
        ("resnet50", 224, "resnet50-0676ba61.pth"),
        ("inception_v3", 299, "inception_v3_google-0cc3c7bd.pth"),
        ("efficientnet_b1", 240, "efficientnet_b1_rwightman-bac287d4.pth"),
        ("vit_b_16", 224, "vit_b_16-c867db91.pth"),
        ("vit_h_14", 518, "vit_h_14_swag-80465313.pth"),
        ("mnasnet0_5", 224, "mnasnet0.5_top1_67.823-3ffadce67e.pth"),
    ],
)
def test_first_published_weights_decide_file_and_size(name, size, file_name):
    architecture = find_architecture(name)
    assert architecture.input_size == size
    assert architecture.published.file_name == file_name
    assert architecture.published.url == f"https://download.pytorch.org/models/{file_name}"
    assert architecture.mean == (0.485, 0.456, 0.406)
    assert architecture.std == (0.229, 0.224, 0.225)


def test_colours_are_the_published_ones():
    assert find_architecture("efficientnet_v2_l").mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", zoo.list_models(module=zoo))
def test_every_published_file_names_its_hash(name):
    file_name = find_architecture(name).published.file_name
    assert architectures.PublishedFile(name, file_name).hub_path.name == file_name
    assert len(file_name.rpartition(".")[0].rpartition("-")[2]) in (8, 10)


def test_unknown_name_suggests_near_ones():
    with pytest.raises(UnknownBackbone, match=r"'resnet81' is no backbone\. Did you mean resnet18"):
        find_architecture("resnet81")
    with pytest.raises(UnknownBackbone, match=r"'' is no backbone\. Known are: alexnet, "):
        find_architecture("")


@needs_timm
def test_unknown_timm_name_suggests_near_ones():
    with pytest.raises(UnknownBackbone, match="Did you mean timm:resnet18 or "):
        find_architecture("timm:resnet1888")


@pytest.mark.parametrize("name", ["efficientnet_lite0", "timm:resnet18"])
def test_missing_timm_is_told(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BadOption, match=r"needs timm\. Run: pip install 'fec_cache\[offline\]'"):
        find_architecture(name)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("_conv_stem.weight", "conv_stem.weight"),
        ("_bn0.running_mean", "bn1.running_mean"),
        ("_bn1.num_batches_tracked", "bn2.num_batches_tracked"),
        ("_fc.bias", "classifier.bias"),
        ("_blocks.0._bn1.weight", "blocks.0.0.bn1.weight"),
        ("_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"),
        ("_blocks.1._expand_conv.weight", "blocks.1.0.conv_pw.weight"),
        ("_blocks.2._bn0.bias", "blocks.1.1.bn1.bias"),
        ("_blocks.8._depthwise_conv.weight", "blocks.4.0.conv_dw.weight"),
        ("_blocks.15._bn2.running_var", "blocks.6.0.bn3.running_var"),
        ("blocks.6.0.bn3.running_var", "blocks.6.0.bn3.running_var"),
        ("bn1.weight", "bn1.weight"),
    ],
)
def test_lite0_names(theirs, ours):
    assert lite0_name(theirs) == ours


def test_lite0_block_that_does_not_exist_stays_unknown():
    assert not lite0_name("_blocks.16._bn2.bias").startswith("blocks.")


def test_old_densenet_names_are_understood():
    rename = find_architecture("densenet121").rename
    old = "features.denseblock1.denselayer2.norm.1.running_mean"
    assert rename(old) == "features.denseblock1.denselayer2.norm1.running_mean"
    for kept in ("features.norm5.weight", "features.denseblock1.denselayer2.conv2.weight"):
        assert rename(kept) == kept
