import pytest
import torchvision.models as zoo

from fec_cache.backbones.base import PublishedFile
from fec_cache.backbones.registry import find_architecture
from fec_cache.backbones.weights import hub_path


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
    assert hub_path(PublishedFile(name, file_name)).name == file_name
    assert len(file_name.rpartition(".")[0].rpartition("-")[2]) in (8, 10)


def test_old_densenet_names_are_understood():
    rename = find_architecture("densenet121").rename
    old = "features.denseblock1.denselayer2.norm.1.running_mean"
    assert rename(old) == "features.denseblock1.denselayer2.norm1.running_mean"
    for kept in ("features.norm5.weight", "features.denseblock1.denselayer2.conv2.weight"):
        assert rename(kept) == kept
