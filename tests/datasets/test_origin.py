"""Who set faces apart: the word for them is the same everywhere, and the right one."""

import json
import re
from html import unescape

import pytest

from fec_cache.datasets.origin import LABELS, RATERS, SIMULATED, origin_of

# What labels are not, and what they stand in for, has to be said.
SAID_OF_LABELS = (
    LABELS.note,
    "so no rater and no ceiling",
    "no rater’s accuracy is known, as the answers come from labels",
    "Labels stand in for raters, one per triplet",
)


def as_labels(data_dir):
    """Make a set that raters judged one that was made from labels: one answer a triplet."""
    for split in ("train", "test"):
        path = data_dir / f"{split}.csv"
        rows = [row.split(",") for row in path.read_text().splitlines()]
        path.write_text("".join(",".join([*row[:16], "label", row[17]]) + "\n" for row in rows))
    (data_dir / "synthetic.json").rename(data_dir / "imported.json")


def words_of(place):
    """All that the surfaces say of the run `first` to a reader."""
    evaluated = place.ok("evaluate", "--run", "first").output
    folder = place.folder / "runs" / "first"
    card = (folder / "model_card.md").read_text()
    place.ok("train-head", "--name", "other", "--seed", "1", "--epochs", "2", "--head", "embedding")
    compared = place.ok("compare", "first", "other").output
    place.ok("report", "--run", "other")
    page = (folder.parent / "other" / "report.html").read_text().split("</style>")[1]
    assert "data:image/jpeg" in page  # the gallery is there
    page = unescape(re.sub(r"<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL))
    return {
        "evaluate": evaluated,
        "card": card,
        "compare": compared,
        "page": re.sub(r"\s+", " ", page),
    }


def test_the_maker_of_a_set_decides_the_word(tmp_path):
    assert origin_of(tmp_path) is RATERS
    assert not RATERS.note
    (tmp_path / "synthetic.json").write_text("{}")
    assert origin_of(tmp_path) is SIMULATED
    (tmp_path / "synthetic.json").write_text("")
    assert origin_of(tmp_path) is RATERS
    (tmp_path / "imported.json").write_text("{}")
    assert origin_of(tmp_path) is LABELS


def test_labels_are_called_labels_everywhere(place):
    as_labels(place.folder / "data")
    for surface, text in words_of(place).items():
        for sentence in SAID_OF_LABELS:
            text = text.replace(sentence, "")
        assert "rater" not in text.lower(), surface
        assert "most people" not in text, surface
    fields = json.loads(place.ok("evaluate", "--run", "first", "--json").stdout)
    assert (fields["answers_from"], fields["origin"]) == ("labels", LABELS.note)


def test_labels_are_named_where_raters_would_be(place):
    as_labels(place.folder / "data")
    found = words_of(place)
    assert "the face that the labels set apart" in found["page"]
    assert "the answer of the labels in the triplets of the pair" in found["page"]
    assert "labels: odd" in found["page"]
    assert "labels: similar" in found["page"]
    assert "Of all labels " in found["evaluate"]
    assert "| 95 % |" in found["card"]
    assert "similarity was not judged" in found["card"]
    assert "and for its labels." in found["card"]


def test_simulated_raters_are_called_simulated_everywhere(place):
    found = words_of(place)
    for surface, text in found.items():
        text = text.replace(SIMULATED.note, "")
        assert not re.search(r"(?<!simulated )\brater", text, re.IGNORECASE), surface
    assert "a single simulated rater" in found["page"]
    assert "what most simulated raters would say" in found["evaluate"]
    assert "simulated rater |" in found["card"]


@pytest.mark.parametrize("origin", [RATERS, SIMULATED, LABELS])
def test_only_raters_can_be_compared_with_each_other(origin):
    assert origin.are_people == (origin is not LABELS)
