import hashlib
import importlib.util
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
import torchvision.models as zoo
from safetensors.torch import save_file

from fec_cache.backbones import load as module
from fec_cache.backbones.base import PublishedFile
from fec_cache.backbones.load import find_local_weights, load_backbone
from fec_cache.backbones.registry import find_architecture
from fec_cache.errors import BadOption, UnknownBackbone, WeightsMismatch, WeightsNotFound

has_timm = importlib.util.find_spec("timm") is not None
needs_timm = pytest.mark.skipif(not has_timm, reason="needs the extra `offline` (timm)")
WORDS = ("avgpool", "layer1", "layer3:grid4", "layer4:map", "layer4:grid3", "layer2")


def images_for(backbone, num=2):
    side = backbone.input_size
    return torch.randn(num, 3, side, side, generator=torch.Generator().manual_seed(7))


def make_resnet18(num_classes=1000):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        network = zoo.resnet18(num_classes=num_classes).eval()
        for module in network.modules():
            # Fresh statistics would leave much of batch norm untested.
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network


@pytest.fixture(scope="module")
def resnet18():
    return make_resnet18()


@pytest.fixture
def resnet18_file(resnet18, tmp_path):
    torch.save(resnet18.state_dict(), tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


def close(got, expected):
    return torch.allclose(got, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@torch.no_grad()
def test_resnet18_layers_are_those_of_a_plain_forward(resnet18, resnet18_file):
    backbone = load_backbone("resnet18", str(resnet18_file), WORDS)
    images = images_for(backbone)
    got = backbone.module(images)

    net = resnet18
    layer1 = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(images)))))
    layer2 = net.layer2(layer1)
    layer3 = net.layer3(layer2)
    layer4 = net.layer4(layer3)
    assert torch.equal(got["avgpool"], net.avgpool(layer4).flatten(1))
    assert torch.equal(got["layer1"], layer1.mean((2, 3)))
    assert torch.equal(got["layer2"], layer2.mean((2, 3)))
    assert torch.equal(got["layer4:map"].reshape(2, 49, 512)[1, 8], layer4[1, :, 1, 1])
    grid = got["layer3:grid4"].reshape(2, 256, 4, 4)
    # 14 positions in 4 cells: cell 0 spans 0 to 3, cell 2 spans 7 to 10 (floor and ceil of 3.5 i).
    assert close(grid[:, :, 0, 2], layer3[:, :, 0:4, 7:11].mean((2, 3)))
    cells = torch.nn.functional.adaptive_avg_pool2d(layer4, 3)
    assert torch.equal(got["layer4:grid3"], cells.flatten(1))


def test_backbone_says_how_to_feed_it(resnet18_file):
    backbone = load_backbone("resnet18", str(resnet18_file), WORDS)
    assert backbone.name == "resnet18"
    assert backbone.layers == WORDS
    assert backbone.input_size == 224
    assert backbone.mean == (0.485, 0.456, 0.406)
    assert backbone.std == (0.229, 0.224, 0.225)
    assert backbone.shapes == {
        "avgpool": (512,),
        "layer1": (64,),
        "layer3:grid4": (256, 4, 4),
        "layer4:map": (49, 512),
        "layer4:grid3": (512, 3, 3),
        "layer2": (128,),
    }
    assert backbone.widths["layer3:grid4"] == 4096
    assert backbone.widths["layer4:map"] == 25088
    assert backbone.weights.source == str(resnet18_file)
    sha256 = hashlib.sha256(resnet18_file.read_bytes()).hexdigest()
    assert backbone.weights.identity == f"sha256:{sha256}"


@needs_timm
@torch.no_grad()
def test_features_agree_with_timm(resnet18, resnet18_file):
    import timm

    other = timm.create_model("resnet18").eval()
    other.load_state_dict(resnet18.state_dict())
    backbone = load_backbone("resnet18", str(resnet18_file), ["avgpool", "layer3:map", "layer1"])
    images = images_for(backbone)
    got = backbone.module(images)
    maps = other.forward_intermediates(images, indices=[1, 3], intermediates_only=True)
    assert close(
        got["avgpool"], other.forward_head(other.forward_features(images), pre_logits=True)
    )
    assert close(got["layer1"], maps[0].mean((2, 3)))
    assert close(got["layer3:map"], maps[1].flatten(2).transpose(1, 2).flatten(1))


@needs_timm
@torch.no_grad()
def test_timm_names_give_the_same_features(resnet18_file):
    words = ["avgpool", "layer2", "layer3:grid4"]
    ours = load_backbone("resnet18", str(resnet18_file), words)
    theirs = load_backbone("timm:resnet18", str(resnet18_file), words)
    assert theirs.name == "timm:resnet18"
    images = images_for(ours)
    got, expected = theirs.module(images), ours.module(images)
    assert all(close(got[word], expected[word]) for word in words)


@pytest.fixture
def in_hub_cache(monkeypatch, tmp_path, resnet18):
    """A hub cache with a resnet18 whose file name carries its hash, as torchvision's do."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(resnet18.state_dict(), folder / "new.pth")
    sha256 = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()
    path = (folder / "new.pth").rename(folder / f"resnet18-{sha256[:8]}.pth")
    published = PublishedFile("resnet18", path.name, f"http://127.0.0.1:9/{path.name}")
    architecture = replace(find_architecture("resnet18"), published=published)
    monkeypatch.setattr(module, "find_architecture", lambda name: architecture)
    return path, sha256


def test_published_weights_come_from_the_hub_cache(in_hub_cache):
    path, sha256 = in_hub_cache
    backbone = load_backbone("resnet18", allow_download=False)
    assert backbone.weights.identity == f"sha256:{sha256}"
    assert backbone.weights.source == str(path)
    assert find_local_weights("resnet18") == str(path)


def test_damaged_hub_cache_is_refused(in_hub_cache):
    path, _ = in_hub_cache
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"!")
    with pytest.raises(WeightsMismatch, match="damaged or a different file"):
        load_backbone("resnet18")


def test_empty_hub_cache_names_three_ways(in_hub_cache):
    path, _ = in_hub_cache
    path.unlink()
    assert find_local_weights("resnet18") is None
    with pytest.raises(
        WeightsNotFound, match=r"\(1\) --weights FILE.*\(2\) save .*\(3\) --backbone"
    ):
        load_backbone("resnet18")


def test_expected_identity_is_enforced(resnet18_file):
    identity = load_backbone("resnet18", str(resnet18_file)).weights.identity
    load_backbone("resnet18", str(resnet18_file), expected_identity=identity)
    with pytest.raises(WeightsMismatch) as caught:
        load_backbone("resnet18", str(resnet18_file), expected_identity="sha256:0123")
    assert "sha256:0123" in str(caught.value) and identity in str(caught.value)
    with pytest.raises(WeightsMismatch, match="random:0:"):
        load_backbone("resnet18", "random:0", expected_identity=identity)


def test_random_weights_are_a_function_of_the_seed():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = load_backbone("resnet18", "random:0")
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = load_backbone("resnet18", "random:0")
    other = load_backbone("resnet18", "random:1")
    assert first.weights == again.weights
    assert first.weights.source == "random:0"
    assert other.weights.identity != first.weights.identity
    images = images_for(first)
    assert torch.equal(first.module(images)["avgpool"], again.module(images)["avgpool"])
    assert not torch.equal(first.module(images)["avgpool"], other.module(images)["avgpool"])


def test_backbone_is_frozen():
    module = load_backbone("resnet18", "random:0").module
    module.train()
    module.network.train(False)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert not any(part.training for part in module.modules())
    features = module(torch.zeros(1, 3, 224, 224))["avgpool"]
    assert not features.requires_grad


def test_classifier_of_other_size_is_no_matter(tmp_path, resnet18_file):
    state = torch.load(resnet18_file, weights_only=True)
    state["fc.weight"], state["fc.bias"] = torch.zeros(7, 512), torch.zeros(7)
    torch.save(state, tmp_path / "seven.pth")
    images = torch.zeros(1, 3, 224, 224)
    seven = load_backbone("resnet18", str(tmp_path / "seven.pth")).module(images)
    thousand = load_backbone("resnet18", str(resnet18_file)).module(images)
    assert torch.equal(seven["avgpool"], thousand["avgpool"])


def drop(state, key):
    del state[key]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda s: drop(s, "layer1.0.conv1.weight"), r"1 missing \(layer1\.0\.conv1\.weight\)"),
        (lambda s: s.update(extra=torch.zeros(1)), r"1 unexpected \(extra\)"),
        (lambda s: s.update({"conv1.weight": torch.zeros(2, 2)}), "size mismatch for conv1.weight"),
        (lambda s: drop(s, "layer4.1.bn2.running_var"), r"1 missing \(layer4\.1\.bn2\.running_var"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, resnet18, spoil, reason):
    state = OrderedDict(resnet18.state_dict())
    spoil(state)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(WeightsMismatch, match=f"do not fit resnet18: .*{reason}"):
        load_backbone("resnet18", str(tmp_path / "x.pth"))


def test_weights_of_another_network_are_refused(resnet18_file):
    with pytest.raises(WeightsMismatch, match=r"do not fit resnet50: "):
        load_backbone("resnet50", str(resnet18_file))
    with pytest.raises(
        WeightsMismatch, match=r"do not fit squeezenet1_1: .* missing .* and .* une"
    ):
        load_backbone("squeezenet1_1", str(resnet18_file))


def test_old_files_without_batch_counters_load(tmp_path, resnet18):
    state = {k: v for k, v in resnet18.state_dict().items() if "num_batches" not in k}
    save_file(state, tmp_path / "x.safetensors")
    load_backbone("resnet18", str(tmp_path / "x.safetensors"))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_mnasnet_loads_with_and_without_format_versions(tmp_path, suffix):
    state = zoo.mnasnet0_5().state_dict()
    path = tmp_path / f"x{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    load_backbone("mnasnet0_5", str(path))


@torch.no_grad()
def test_files_with_auxiliary_classifiers_load(tmp_path):
    whole = zoo.googlenet(init_weights=False, aux_logits=True, transform_input=True).eval()
    torch.save(whole.state_dict(), tmp_path / "x.pth")
    backbone = load_backbone("googlenet", str(tmp_path / "x.pth"))
    images = images_for(backbone, 1)
    assert close(whole.fc(backbone.module(images)["avgpool"]), whole(images))


@torch.no_grad()
def test_old_densenet_file_loads(tmp_path):
    whole = zoo.densenet121().eval()
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): tensor
        for name, tensor in whole.state_dict().items()
    }
    torch.save(old, tmp_path / "x.pth")
    backbone = load_backbone("densenet121", str(tmp_path / "x.pth"))
    images = images_for(backbone, 1)
    assert close(whole.classifier(backbone.module(images)["avgpool"]), whole(images))


FAMILIES = {
    "alexnet": (256, "layer4:map", (36, 256)),
    "vgg11": (512, "layer4:grid7", (512, 7, 7)),
    "squeezenet1_1": (512, "layer3:map", (169, 512)),
    "densenet121": (1024, "layer3:grid4", (1024, 4, 4)),
    "googlenet": (1024, "layer3:grid4", (832, 4, 4)),
    "inception_v3": (2048, "layer2:map", (35 * 35, 288)),
    "mobilenet_v3_small": (576, "layer3:grid4", (48, 4, 4)),
    "shufflenet_v2_x0_5": (1024, "layer3:grid4", (96, 4, 4)),
    "mnasnet0_5": (1280, "layer3:grid4", (48, 4, 4)),
    "regnet_y_400mf": (440, "layer3:grid4", (208, 4, 4)),
    "efficientnet_b0": (1280, "layer3:grid4", (112, 4, 4)),
    "convnext_tiny": (768, "layer3:grid4", (384, 4, 4)),
    "swin_t": (768, "layer3:grid4", (384, 4, 4)),
    "maxvit_t": (512, "layer3:grid4", (256, 4, 4)),
    "vit_b_32": (768, "layer2:map", (49, 768)),
}


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_every_family_can_be_read(name):
    width, word, shape = FAMILIES[name]
    backbone = load_backbone(name, "random:0", ["avgpool", word, "layer1"])
    features = backbone.module(images_for(backbone))
    assert backbone.widths["avgpool"] == width
    assert backbone.shapes[word] == shape
    for layer in backbone.layers:
        assert features[layer].shape == (2, backbone.widths[layer])
        assert features[layer].dtype == torch.float32
        assert bool(features[layer].isfinite().all())
        assert not torch.equal(features[layer][0], features[layer][1])


@pytest.mark.parametrize("name", ["swin_t", "vit_b_32", "convnext_tiny"])
@torch.no_grad()
def test_pool_is_what_the_classifier_reads(name):
    backbone = load_backbone(name, "random:3")
    whole = zoo.get_model(name).eval()
    result = whole.load_state_dict(backbone.module.network.state_dict(), strict=False)
    assert not result.unexpected_keys
    read = []
    classifier = next(
        getattr(whole, n) for n in ("classifier", "heads", "head") if hasattr(whole, n)
    )
    classifier.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    images = images_for(backbone, 1)
    whole(images)
    assert torch.equal(backbone.module(images)["avgpool"], read[0].flatten(1))


@torch.no_grad()
def test_vit_stage_is_its_block_without_class_token():
    backbone = load_backbone("vit_b_32", "random:0", ["layer2:map", "layer2"])
    taken = []
    block = backbone.module.network.encoder.layers[5]
    block.register_forward_hook(lambda module, args, output: taken.append(output))
    features = backbone.module(images_for(backbone, 1))
    assert torch.equal(features["layer2:map"].reshape(49, 768), taken[0][0, 1:])
    assert close(features["layer2"][0], taken[0][0, 1:].mean(0))


@torch.no_grad()
def test_channels_last_and_copies_give_the_same_features():
    backbone = load_backbone("resnet18", "random:0", WORDS)
    images = images_for(backbone)
    expected = backbone.module(images)
    moved = backbone.module.to(memory_format=torch.channels_last)
    got = moved(images.contiguous(memory_format=torch.channels_last))
    assert all(close(got[word], expected[word]) for word in WORDS)


@torch.no_grad()
def test_autocast_gives_float32_features_nearby():
    backbone = load_backbone("resnet18", "random:0", WORDS)
    images = images_for(backbone)
    expected = backbone.module(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = backbone.module(images)
    for word in WORDS:
        assert got[word].dtype == torch.float32
        cosine = torch.nn.functional.cosine_similarity(got[word], expected[word])
        assert float(cosine.min()) > 0.999


def test_bad_options_are_reported_before_weights_are_looked_for():
    with pytest.raises(BadOption, match="squeezenet1_1 has no layer4"):
        load_backbone("squeezenet1_1", None, ["layer4"], allow_download=False)
    with pytest.raises(BadOption, match=r"layer4:grid8 is finer"):
        load_backbone("resnet18", "/nowhere.pth", ["layer4:grid8"])
    with pytest.raises(UnknownBackbone):
        load_backbone("resnet19")
    with pytest.raises(UnknownBackbone):
        find_local_weights("resnet19")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.no_grad()
def test_features_agree_on_the_gpu():
    backbone = load_backbone("resnet18", "random:0", WORDS)
    images = images_for(backbone)
    expected = backbone.module(images)
    got = backbone.module.to("cuda", memory_format=torch.channels_last)(images.to("cuda"))
    for word in WORDS:
        cosine = torch.nn.functional.cosine_similarity(got[word].cpu(), expected[word])
        assert float(cosine.min()) > 0.9999
