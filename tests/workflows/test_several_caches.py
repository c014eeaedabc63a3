"""Several caches side by side, through every command."""

import json

import numpy as np
import pytest

from fec_cache.cache.joined import select_caches
from fec_cache.runs.checkpoint import load_head
from fec_cache.system.wording import counted
from tests.workspace_fixtures import BACKBONE

GRID, POOL = f"{BACKBONE}:layer3:grid4", f"{BACKBONE}:avgpool"
BOTH = f"{GRID},{POOL}"


@pytest.fixture
def both(place):
    place.ok(
        *("extract", "--backbone", BACKBONE, "--weights", "random:0", "--device", "cpu"),
        *("--layer", "layer3:grid4"),
    )
    return place


def test_a_head_on_two_caches_goes_through_every_command(both):
    result = both.ok("train-head", "--features", BOTH, "--epochs", "2", "--name", "two")
    assert f"{GRID} (random:0 weights) + {POOL} (random:0 weights)" in result.output
    folder = both.folder / "runs" / "two"
    head, config = load_head(folder)
    caches = select_caches(both.folder / "cache", BOTH)
    assert config.recipes == caches.recipes
    assert config.head.blocks == caches.blocks == tuple(r.width for r in config.recipes)
    assert head.width == sum(caches.blocks)
    fields = json.loads((folder / "config.json").read_text())
    assert fields["fingerprints"] == [recipe.fingerprint for recipe in caches.recipes]
    found = json.loads(both.ok("evaluate", "--run", "two", "--json").stdout)
    assert found["num_triplets"] > 0
    both.ok("report", "--run", "two")
    page = (folder / "report.html").read_text()
    for recipe in caches.recipes:
        assert recipe.folder_name in page
    picture = str(next((both.folder / "data" / "images" / "test").glob("*.jpg")))
    both.ok("predict", picture, picture, "--run", "two")


def test_the_order_of_the_caches_belongs_to_the_head(both):
    both.ok("train-head", "--features", BOTH, "--epochs", "1", "--name", "ab")
    both.ok("train-head", "--features", f"{POOL},{GRID}", "--epochs", "1", "--name", "ba")
    widths = [load_head(both.folder / "runs" / name)[1].head.blocks for name in ("ab", "ba")]
    assert widths[0] == widths[1][::-1]


def test_a_search_on_two_caches_keeps_a_head_that_knows_both(both):
    both.ok(
        *("grid-search", "--features", BOTH, "--epochs", "1", "--head", "embedding"),
        *("--hidden", "8", "--loss", "bce", "--name", "g"),
    )
    head, config = load_head(both.folder / "runs" / "g")
    assert config.head.blocks == select_caches(both.folder / "cache", BOTH).blocks
    assert head.width == sum(config.head.blocks)


def test_a_face_that_one_cache_lacks_is_left_out_and_told(both):
    """A picture that changes after the first extraction is in one cache under its old bytes."""
    before = len(select_caches(both.folder / "cache", BOTH).load().face_ids)
    path = sorted((both.folder / "data" / "images" / "train").glob("*.jpg"))[0]
    from PIL import Image

    with Image.open(path) as image:
        image.rotate(180).save(path)
    both.ok(
        *("extract", "--backbone", BACKBONE, "--weights", "random:0", "--device", "cpu"),
        *("--layer", "layer3:grid4"),
    )
    result = both.ok("train-head", "--features", BOTH, "--epochs", "1")
    joined = select_caches(both.folder / "cache", BOTH).load()
    assert len(joined.face_ids) == before
    assert joined.num_incomplete > 0
    assert f"{counted(joined.num_incomplete, 'face')} left out: in some but" in result.stderr
    assert "without a feature" in result.stdout
    assert np.isfinite(joined.features).all()
