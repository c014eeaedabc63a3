"""Every stage by its command, on a small synthetic set, values checked against the library."""

import csv
import json

import pytest

from fec_cache.cache.catalogue import select_cache
from fec_cache.heads.scoring import pair_logits, probability_of
from fec_cache.runs.checkpoint import load_head
from tests.workflows.commands import GRID
from tests.workspace_fixtures import BACKBONE


def test_random_weights_are_named_in_every_output(place):
    picture = str(next((place.folder / "data" / "images" / "test").glob("*.jpg")))
    for words in (
        ("train-head", "--epochs", "1"),
        ("grid-search", *GRID),
        ("evaluate",),
        ("predict", picture, picture, "--json"),
    ):
        assert "random:0" in place.ok(*words).output, words
    page = place.ok("report", "--out", "page.html")
    assert page.exit_code == 0
    assert "random:0" in (place.folder / "page.html").read_text()


def test_evaluate_writes_what_it_prints(place):
    result = place.ok("evaluate", "--run", "first", "--json")
    found = json.loads(result.stdout)
    written = json.loads((place.folder / "runs" / "first" / "evaluation.json").read_text())
    assert {**found, "warnings": written["warnings"]} == written
    assert set(written["warnings"]) < set(found["warnings"])  # random weights are warned of, too
    groups = found["triplets"]
    assert sum(groups[name]["num_triplets"] for name in groups) == 2 * groups["all"]["num_triplets"]
    assert groups["all"]["low"] <= groups["all"]["accuracy"] <= groups["all"]["high"]
    assert 0.7 < groups["all"]["rater_accuracy"] < 1
    assert found["pairs"]["base_rate"] == pytest.approx(1 / 3)
    text = place.ok("evaluate", "--run", "first").output
    assert f"{100 * groups['all']['accuracy']:.1f} %" in text
    assert "synthetic set" in text


def test_predict_equals_the_cached_features(place):
    """A test face's picture gives the probability that its cached feature gives."""
    cache = select_cache(place.folder / "cache", BACKBONE)
    matrix = cache.load()
    first_line = (place.folder / "data" / "test.csv").read_text().splitlines()[0]
    row = next(csv.reader([first_line]))
    from fec_cache.datasets.annotations import FaceRef
    from fec_cache.faces.digests import ImageDigests
    from fec_cache.faces.table import identify_faces

    refs = [FaceRef(row[i], *map(float, row[i + 1 : i + 5])) for i in (0, 5)]
    images = place.folder / "data" / "images"
    ids = identify_faces(refs, images, ImageDigests(place.folder / "cache")).ids()
    rows = matrix.rows()
    a, b = (matrix.features[[rows[ids[ref]]]] for ref in refs)
    head, _ = load_head(place.folder / "runs" / "first")
    wanted = probability_of(head, pair_logits(head, a, b))[0]
    words = [str(images / ref.image) for ref in refs]
    boxes = [w for ref in refs for w in ("--box", ",".join(map(str, ref.box)))]
    found = json.loads(place.ok("predict", *words, *boxes, "--run", "first", "--json").stdout)
    assert found["probability_similar"] == pytest.approx(wanted, abs=2e-3)
    assert found["verdict"] == ("similar" if wanted >= found["threshold"] else "different")
