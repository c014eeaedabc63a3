import pytest
import torch
from torch import nn

from fec_cache.backbones.layers import Form
from fec_cache.backbones.stages import find_stages
from fec_cache.errors import BadOption


def halving(in_channels, out_channels):
    return nn.Conv2d(in_channels, out_channels, 2, stride=2)


class Chain(nn.Module):
    """Stride 2, 4, 4, 8; a block that normalises before it halves; no stride 16."""

    def __init__(self):
        super().__init__()
        self.stem = halving(3, 4)
        self.stages = nn.Sequential(
            halving(4, 5),
            nn.ReLU(inplace=True),
            nn.Sequential(nn.BatchNorm2d(5), halving(5, 6)),
        )
        self.fc = nn.Identity()

    def forward(self, images):
        return self.fc(self.stages(self.stem(images)).mean((2, 3)))


def paths(stages):
    return {name: stage.path for name, stage in stages.items()}


def test_stage_is_the_last_outermost_module_at_its_stride():
    stages = find_stages(Chain().eval(), 32, "fc")
    # Not stages.2.0, the norm inside the next stage, though it too is 8 x 8 and runs later.
    assert paths(stages) == {"avgpool": "fc", "layer1": "stages.1", "layer2": "stages"}
    assert (stages["layer1"].channels, stages["layer1"].side) == (5, 8)
    assert (stages["layer2"].channels, stages["layer2"].side) == (6, 4)
    assert stages["avgpool"].channels == 6


def test_dry_run_leaves_the_network_as_it_was():
    network = Chain().eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    find_stages(network, 32, "fc")
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


class TwoScales(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 5), nn.Linear(5, 7)

    def forward(self, images):
        places = nn.functional.avg_pool2d(images, 4).permute(0, 2, 3, 1)
        places = self.first(places)
        places = self.second(places[:, ::2, ::2])
        return places.mean((1, 2))


def test_channels_last_is_seen():
    stages = find_stages(TwoScales().eval(), 32, "")
    assert paths(stages) == {"avgpool": "", "layer1": "first", "layer2": "second"}
    assert stages["layer2"].form is Form.CHANNELS_LAST
    assert (stages["layer2"].channels, stages["layer2"].side) == (7, 4)


class Tokens(nn.Module):
    def __init__(self, depth, with_tied=False):
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 8, stride=8)
        self.blocks = nn.Sequential(*[nn.Linear(6, 6) for _ in range(depth)])
        if with_tied:
            self.again = self.blocks
        self.norms = nn.Sequential(*[nn.Identity() for _ in range(depth + 1)])

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens[:, :2], tokens], dim=1)
        return self.norms(self.blocks(tokens))[:, 0]


@pytest.mark.parametrize(
    ("depth", "ends"), [(4, [0, 1, 2, 3]), (12, [2, 5, 8, 11]), (6, [1, 2, 4, 5])]
)
def test_token_stages_are_quarters_of_the_depth(depth, ends):
    stages = find_stages(Tokens(depth).eval(), 32, "")
    assert [stages[f"layer{k}"].path for k in (1, 2, 3, 4)] == [f"blocks.{end}" for end in ends]
    assert stages["layer4"].form is Form.TOKENS
    assert (stages["layer4"].channels, stages["layer4"].side) == (6, 4)


def test_module_registered_twice_keeps_its_values():
    network = Tokens(4, with_tied=True).eval()
    find_stages(network, 32, "")
    assert all(tensor.device.type == "cpu" for tensor in network.state_dict().values())


class ReadsValues(Chain):
    def forward(self, images):
        return super().forward(images) if float(images.sum()) == 0 else None


def test_network_that_reads_values_is_run_with_real_weights():
    assert paths(find_stages(ReadsValues().eval(), 32, "fc"))["layer1"] == "stages.1"


class Pair(nn.Module):
    def forward(self, images):
        return images, images


def test_network_without_one_vector_is_refused():
    with pytest.raises(BadOption, match="Pair does not return one vector per image"):
        find_stages(Pair(), 32, "")
