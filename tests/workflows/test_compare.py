"""`fec compare`: two heads, or two groups of seeds, on the same test triplets."""

import json

from tests.workspace_fixtures import NUM_TRIPLETS


def test_a_head_compared_with_itself_and_with_none(place):
    found = json.loads(place.ok("compare", "first", "first", "--json").stdout)
    assert found["triplets"]["all"]["difference"] == 0
    assert found["triplets"]["all"]["mcnemar_p"] == 1
    assert found["triplets"]["all"]["num_triplets"] <= NUM_TRIPLETS
    assert "no difference on" in place.ok("compare", "first", "first").output
    assert "There is no run 'nope'" in place.fails("compare", "first", "nope")
    assert "No run in runs matches 'best-*'" in place.fails("compare", "first", "best-*")
    place.ok("train-head", "--epochs", "1", "--name", "second")
    wrong = place.run("compare", "first,second", "second")
    assert wrong.exit_code == 2
    assert "share a run" in wrong.stderr


def test_heads_on_caches_of_different_faces_are_compared_on_common_triplets(place):
    image = sorted((place.folder / "data" / "images" / "test").glob("*.jpg"))[0]
    hidden = image.rename(place.folder / "hidden.jpg")
    words = ("extract", "--backbone", "mobilenet_v3_small", "--weights", "random:1")
    place.ok(*words, "--device", "cpu")
    hidden.rename(image)
    names = [p.parent.name for p in (place.folder / "cache").glob("*/recipe.json")]
    config = json.loads((place.folder / "runs" / "first" / "config.json").read_text())
    print_of = config["fingerprints"][0][:8]
    features = next(name for name in names if not name.endswith(print_of))
    place.ok("train-head", "--epochs", "1", "--features", features, "--name", "partial")
    everything = json.loads(place.ok("compare", "first", "first", "--json").stdout)
    found = json.loads(place.ok("compare", "first", "partial", "--json").stdout)
    used = json.loads(place.ok("evaluate", "--run", "partial", "--json").stdout)
    assert found["num_left_out"] > 0
    overall = found["triplets"]["all"]["num_triplets"]
    assert overall == used["triplets"]["all"]["num_triplets"]
    assert overall + found["num_left_out"] == everything["triplets"]["all"]["num_triplets"]
    assert "triplets left out: only one side has features" in (
        place.ok("compare", "partial", "first").output
    )


def test_the_split_is_told_once_however_many_runs_are_compared(three):
    said = three.ok("compare", "small-*", "first").output
    assert said.count("test.csv: ") == 1
