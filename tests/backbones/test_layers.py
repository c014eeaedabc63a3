import copy

import pytest
import torch
from torch import nn

from fec_cache.backbones.layers import (
    FeatureReader,
    Form,
    Readout,
    Stage,
    bind_words,
    check_words,
)
from fec_cache.errors import BadOption

STAGES = {
    "avgpool": Stage("pool", Form.POOLED, 2),
    "layer3": Stage("map", Form.CHANNELS_FIRST, 2, 4),
}


def reads(word, output, stage):
    (readout,) = bind_words([word], {word.partition(":")[0]: stage}, "toy")
    features = readout.read(output)
    assert features.shape[1:] == (readout.width,)
    return features


def numbered_map():
    """Two channels of 4 x 4: 0..15 and 100..115, in reading order."""
    counted = torch.arange(16.0).reshape(1, 1, 4, 4)
    return torch.cat([counted, counted + 100], dim=1)


def test_stage_word_is_the_average_over_positions():
    assert reads("layer3", numbered_map(), STAGES["layer3"]).tolist() == [[7.5, 107.5]]


def test_grid_is_channel_by_channel_in_reading_order():
    got = reads("layer3:grid2", numbered_map(), STAGES["layer3"])
    # Cell 0 holds 0, 1, 4, 5; cell 1 holds 2, 3, 6, 7; and so on.
    assert got.tolist() == [[2.5, 4.5, 10.5, 12.5, 102.5, 104.5, 110.5, 112.5]]


def test_grid_that_does_not_divide_the_map_overlaps_its_cells():
    got = reads("layer3:grid3", numbered_map(), STAGES["layer3"])
    # Adaptive pooling: rows and columns 0-1, 1-2, 2-3.
    assert got[0, :9].tolist() == [2.5, 3.5, 4.5, 6.5, 7.5, 8.5, 10.5, 11.5, 12.5]


def test_map_is_position_by_position():
    got = reads("layer3:map", numbered_map(), STAGES["layer3"])
    assert got.reshape(16, 2)[:3].tolist() == [[0, 100], [1, 101], [2, 102]]


@pytest.mark.parametrize("word", ["layer3", "layer3:grid2", "layer3:map"])
@pytest.mark.parametrize(
    ("form", "arrange"),
    [
        (Form.CHANNELS_LAST, lambda m: m.permute(0, 2, 3, 1)),
        (Form.TOKENS, lambda m: torch.cat([m.new_full((1, 3, 2), 9e9), m.flatten(2).mT], dim=1)),
        (Form.CHANNELS_FIRST, lambda m: m.contiguous(memory_format=torch.channels_last)),
    ],
)
def test_every_layout_gives_the_same_features(word, form, arrange):
    expected = reads(word, numbered_map(), STAGES["layer3"])
    stage = Stage("map", form, channels=2, side=4)
    assert torch.equal(reads(word, arrange(numbered_map()), stage), expected)


def test_pool_takes_vectors_as_they_are_and_averages_positions():
    assert reads("avgpool", torch.tensor([[1.0, 2.0]]), STAGES["avgpool"]).tolist() == [[1, 2]]
    assert reads("avgpool", numbered_map(), STAGES["avgpool"]).tolist() == [[7.5, 107.5]]


def test_shapes_say_how_to_unflatten():
    stage = STAGES["layer3"]
    assert Readout("layer3", stage).shape == (2,)
    assert Readout("layer3:grid3", stage, grid=3).shape == (2, 3, 3)
    assert Readout("layer3:map", stage, is_map=True).shape == (16, 2)


def test_half_precision_is_averaged_in_float32():
    half = torch.full((1, 2, 4, 4), 2048.0).half()
    half[..., 0] = 2050.0
    got = reads("layer3", half, STAGES["layer3"])
    assert got.dtype == torch.float32
    assert got.tolist() == [[2048.5, 2048.5]]


@pytest.mark.parametrize(
    "word",
    ["", "layer0", "layer5", "layer10", "avgpool:grid2", "avgpool:map", "layer3:", "layer3:grid",
     "layer3:grid0", "layer3:grid-1", "layer3:Map", "layer3 ", "fc", "layer3:grid2:map"],
)  # fmt: skip
def test_unknown_words_are_refused(word):
    with pytest.raises(BadOption, match=r"Unknown layer '.*'\. Expected avgpool or layer1 to "):
        check_words([word])


def test_one_word_may_stand_alone_and_repetitions_count_once():
    assert check_words("avgpool") == ("avgpool",)
    assert check_words(["layer3", "avgpool", "layer3"]) == ("layer3", "avgpool")
    with pytest.raises(BadOption, match="No layer is given"):
        check_words([])


def test_missing_stage_is_reported_with_those_that_exist():
    with pytest.raises(BadOption) as caught:
        bind_words(["layer2:map"], STAGES, "toynet")
    assert str(caught.value) == "toynet has no layer2. It has avgpool, layer3[:gridN|:map]."


def test_grid_finer_than_the_map_is_refused():
    assert bind_words(["layer3:grid4"], STAGES, "toynet")[0].grid == 4
    with pytest.raises(BadOption, match=r"whose map is 4 x 4\. Use layer3:grid4 or coarser"):
        bind_words(["layer3:grid5"], STAGES, "toynet")


class InPlace(nn.Module):
    """Doubles its input and then, like DenseNet, works on the result in place."""

    def __init__(self):
        super().__init__()
        self.map = nn.BatchNorm2d(2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.5)

    def forward(self, images):
        output = self.map(images * 2)
        output += 1000
        return self.drop(self.pool(output).flatten(1))


@pytest.fixture
def reader():
    network = InPlace().eval()
    network.map.eps = 0.0
    return FeatureReader(network, bind_words(["layer3:map", "avgpool", "layer3"], STAGES, "toy"))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_features_are_taken_before_later_work_in_place(reader, layout):
    images = numbered_map().contiguous(memory_format=layout)
    features = reader(images)
    assert list(features) == ["layer3:map", "avgpool", "layer3"]
    assert features["layer3"].tolist() == [[15, 215]]
    assert features["avgpool"].tolist() == [[1015, 1215]]
    assert features["layer3:map"].reshape(16, 2)[1].tolist() == [2, 202]


def test_reader_stays_frozen_in_training_mode(reader):
    before = copy.deepcopy(reader.state_dict())
    first = reader(numbered_map())
    reader.train()
    second = reader(numbered_map())
    assert not any(module.training for module in reader.modules())
    assert not any(parameter.requires_grad for parameter in reader.parameters())
    assert all(torch.equal(first[word], second[word]) for word in first)
    assert all(torch.equal(before[key], value) for key, value in reader.state_dict().items())


def test_calls_do_not_share_their_results(reader):
    first = reader(numbered_map())
    kept = {word: feature.clone() for word, feature in first.items()}
    reader(numbered_map() + 1)
    assert all(torch.equal(first[word], kept[word]) for word in kept)


def test_copy_reads_its_own_network(reader):
    twin = copy.deepcopy(reader)
    with torch.no_grad():
        twin.network.map.weight.fill_(3.0)
    assert twin(numbered_map())["layer3"].tolist() == [[45, 645]]
    assert reader(numbered_map())["layer3"].tolist() == [[15, 215]]


def test_reader_compiles_into_one_graph(reader):
    compiled = torch.compile(reader, backend="eager", fullgraph=True)
    assert compiled(numbered_map())["layer3"].tolist() == [[15, 215]]
