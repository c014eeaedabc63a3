"""Bad input: one line that names the next step, exit code 1, nothing of value changed."""

import hashlib
import socket

import pytest

from tests.workspace_fixtures import BACKBONE

EXTRACT = ("extract", "--backbone", BACKBONE, "--weights", "random:0")


def contents(folder):
    """Sha256 of every file below a folder, locks and the digest index left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in (".lock", "images.index")
    }


def test_no_data_folder(empty):
    for words in (("extract",), ("train-head",), ("grid-search",), ("evaluate",), ("report",)):
        line = empty.fails(*words)
        assert "fec " in line or "--data" in line
    assert "There is no data folder data. Make one with: fec synthesize --out data" in empty.fails(
        *EXTRACT
    )
    assert not (empty.folder / "data").exists()


def test_empty_csv(place):
    before = contents(place.folder / "cache")
    (place.folder / "data" / "train.csv").write_text("")
    line = place.fails(*EXTRACT)
    assert "train.csv has no usable row (rows read: 0)" in line
    assert "Expected FEC's format" in line
    assert contents(place.folder / "cache") == before


def test_csv_with_only_bad_rows(place):
    (place.folder / "data" / "train.csv").write_text("a,b\nc,d\n")
    line = place.fails("train-head")
    assert "rows read: 2" in line
    assert "The first: line 1: 2 columns" in line


def test_cache_of_another_recipe(place):
    before = contents(place.folder / "cache")
    line = place.fails("train-head", "--features", "resnet18")
    assert "but not resnet18. Choose one of those with --features" in line
    assert "or run: fec extract --backbone resnet18" in line
    assert contents(place.folder / "cache") == before


def test_edited_recipe_is_refused(place):
    path = next((place.folder / "cache").glob("*/recipe.json"))
    path.write_text(path.read_text().replace('"margin": 0.1', '"margin": 0.2'))
    assert "one of them was changed" in place.fails("train-head")


def test_unknown_layer(place):
    assert "layer3" in place.misused(*EXTRACT, "--layer", "layer9")


@pytest.fixture
def no_internet(monkeypatch, tmp_path):
    """Every connection is refused at once, and the hub's cache is empty."""

    def refuse(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty-hub"))


def test_no_weights_and_no_internet(place, no_internet):
    before = contents(place.folder / "cache")
    line = place.fails("extract", "--backbone", "resnet18")
    for way_out in ("--weights", "resnet18-f37072fd.pth", "efficientnet_lite0"):
        assert way_out in line
    assert contents(place.folder / "cache") == before


def test_head_and_cache_that_do_not_fit(place):
    cache = next((place.folder / "cache").glob("*/recipe.json")).parent
    cache.rename(place.folder / "hidden")
    place.ok(*EXTRACT, "--crop-margin", "0.3")
    line = place.fails("evaluate", "--run", "first")
    assert "The head was trained on features of recipe" in line
    assert "--cache" in line


def test_head_whose_weights_were_swapped(place):
    place.ok("train-head", "--epochs", "1", "--hidden", "8", "--name", "other")
    other = place.folder / "runs" / "other" / "head.safetensors"
    (place.folder / "runs" / "first" / "head.safetensors").write_bytes(other.read_bytes())
    assert "does not fit its config.json" in place.fails("evaluate", "--run", "first")


def test_picture_that_is_no_picture(place):
    good = str(next((place.folder / "data" / "images" / "test").glob("*.jpg")))
    bad = place.folder / "page.jpg"
    bad.write_text("<html>404</html>")
    assert "holds HTML" in place.fails("predict", good, str(bad))
    bad.write_bytes(b"")
    assert "is empty" in place.fails("predict", str(bad), good)
    assert "cannot be read" in place.fails("predict", good, "nowhere.jpg")


def test_unusable_pictures_end_as_failures_and_the_run_goes_on(place):
    import csv

    images = sorted((place.folder / "data" / "images" / "train").glob("*.jpg"))
    images[0].write_text("<html>gone</html>")
    images[1].write_bytes(images[1].read_bytes()[:900])
    images[2].unlink()
    result = place.ok(*EXTRACT)
    cache = next((place.folder / "cache").glob("*/failures.csv"))
    with cache.open(newline="", encoding="utf-8") as file:
        reasons = {row["image"]: row["reason"] for row in csv.DictReader(file)}
    assert "HTML" in reasons[f"train/{images[0].name}"]
    assert f"train/{images[1].name}" in reasons
    assert reasons[f"train/{images[2].name}"] == "no such file"
    assert "faces could not be used" in result.stderr
    result = place.ok("train-head", "--epochs", "1")
    assert "without a feature" in result.output


def test_an_image_that_cannot_be_read_in_time_is_given_up_in_the_time_asked_for(place, monkeypatch):
    import csv
    import threading

    from fec_cache.faces import digests

    image = min((place.folder / "data" / "images" / "train").glob("*.jpg"))
    read, wall = digests.read_regular, threading.Event()

    def hanging(path):
        if path.name == image.name and path.parent.name == "train":
            wall.wait()
        return read(path)

    monkeypatch.setattr(digests, "read_regular", hanging)
    try:
        place.ok(*EXTRACT, "--rehash", "--image-timeout", "0.5")
    finally:
        wall.set()
    cache = next((place.folder / "cache").glob("*/failures.csv"))
    with cache.open(newline="", encoding="utf-8") as file:
        reasons = {row["image"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {f"train/{image.name}": "could not be read within 0.5 s"}


def test_unknown_run_lists_the_known_ones(place):
    line = place.fails("evaluate", "--run", "nope")
    assert "There is no run 'nope' in runs. Choose one of: first." in line
    assert "runs has no trained head. Run: fec train-head" in place.fails(
        *("evaluate", "--run", "nope", "--runs", "elsewhere")
    ).replace("elsewhere", "runs")


def read_rows(path):
    import csv

    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file, skipinitialspace=True))


def test_test_faces_seen_in_training_are_refused(place):
    train, test = place.folder / "data" / "train.csv", place.folder / "data" / "test.csv"
    test.write_text(test.read_text() + "".join(train.read_text().splitlines(True)[:5]))
    leaked = {tuple(row[i : i + 5]) for row in read_rows(train)[:5] for i in (0, 5, 10)}
    line = place.fails("evaluate", "--run", "first")
    assert f"{len(leaked)} faces and" in line
    assert "people (train-" in line
    assert "of the test split in training" in line
    text = place.ok("evaluate", "--run", "first", "--allow-overlap").output
    assert "SEEN IN TRAINING" in text


def test_an_emptied_list_of_training_faces_does_not_switch_the_leak_check_off(place):
    path = place.folder / "runs" / "first" / "train_faces.txt"
    for content in (b"", b"\xff\xfe\x00"):
        path.write_bytes(content)
        assert "Train the head again" in place.fails("evaluate", "--run", "first")


def test_output_folder_of_somebody_else(empty):
    (empty.folder / "data").mkdir()
    (empty.folder / "data" / "thesis.txt").write_text("years of work")
    line = empty.fails("synthesize", "--out", "data", "--faces", "40", "--triplets", "50")
    assert "data" in line
    assert (empty.folder / "data" / "thesis.txt").read_text() == "years of work"
    (empty.folder / "pictures" / "joy").mkdir(parents=True)
    assert "no usable labelled picture" in empty.fails("import-folder", "pictures", "--out", "x")


def test_settings_out_of_range_are_wrong_usage(place):
    assert "lr is -1, but it must be between 1e-12 and 1000." in place.misused(
        "train-head", "--lr", "-1"
    )
    assert "dropout is 2, but" in place.misused("grid-search", "--dropout", "0,2")
    assert "head is 'siamese'" in place.misused("grid-search", "--head", "siamese")
    assert "Try a smaller --lr" in place.fails(
        *("train-head", "--lr", "1000", "--optimizer", "sgd", "--weight-decay", "1000"),
        *("--batch-size", "4"),
    )


@pytest.mark.parametrize("words", [("--device", "cuda:99"), ("--devices", "cpu,nope")])
def test_a_device_that_is_not_there_is_refused_before_anything_is_loaded(place, monkeypatch, words):
    monkeypatch.setattr("fec_cache.workflows.extract.load_backbone", None)
    monkeypatch.setattr("fec_cache.workflows.extract.read_splits", None)
    device = words[1].removeprefix("cpu,")
    assert f"device {device!r} cannot be used here" in place.misused(*EXTRACT, *words)
    if "--device" in words:
        line = place.misused("grid-search", *words, "--name", "nowhere")
        assert "device 'cuda:99'" in line
        assert not (place.folder / "runs" / "nowhere").exists()
        assert "device 'cuda:99'" in place.misused("train-head", *words)


def test_an_unknown_backbone_is_wrong_usage_and_refused_at_once(place, monkeypatch):
    monkeypatch.setattr("fec_cache.workflows.extract.read_splits", None)
    line = place.misused("extract", "--backbone", "resnet81")
    assert "Unknown backbone 'resnet81'. Did you mean resnet18" in line


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../outside", "without slashes"),
        ("back\\slash", "without slashes"),
        ("", "without slashes"),
        (".", "not begin with a dot"),
        (".hidden", "not begin with a dot"),
        ("-rf", "not begin with a dot or a dash"),
        ("two\nlines", "control characters"),
        ("blank ", "spaces at either end"),
        ("x" * 201, "at most 200 bytes"),
        ("ü" * 101, "at most 200 bytes"),
    ],
)
def test_names_that_no_folder_should_have(place, name, problem):
    before = contents(place.folder)
    assert problem in place.misused("train-head", f"--name={name}")
    assert problem in place.misused("grid-search", f"--name={name}")
    assert contents(place.folder) == before


def test_names_in_any_script_are_fine(place):
    place.ok("train-head", "--epochs", "1", "--name", "Läufe Nr. 1 (größer) 顔")
    assert "Läufe Nr. 1 (größer) 顔" in place.ok("evaluate").output


def test_a_test_split_of_ties_only(place):
    path = place.folder / "data" / "test.csv"
    head = path.read_text().splitlines()[0].split(",TWO_CLASS")[0].split(",ONE_CLASS")[0]
    head = head.split(",THREE_CLASS")[0]
    path.write_text(f"{head},ONE_CLASS_TRIPLET,r1,1,r2,2\n")
    line = place.fails("evaluate", "--run", "first")
    assert "1 without a majority" in line
    assert "Triplets need a majority" in line


def test_other_pictures_under_the_same_names_are_another_search(place):
    """Same rows, same votes, same recipe, other bytes: no old outcome may be reused."""
    import shutil

    from PIL import Image

    words = ("grid-search", "--epochs", "1", "--head", "embedding", "--name", "g")
    place.ok(*words)
    shutil.rmtree(place.folder / "cache")
    for path in (place.folder / "data" / "images").rglob("*.jpg"):
        with Image.open(path) as image:
            image.rotate(180).save(path)
    place.ok(*EXTRACT)
    assert "other triplets" in place.fails(*words)
    assert "4 points, 0 of them done before" in place.ok(*words[:-1], "h").output


def test_pictures_behind_urls_are_to_be_fetched(empty):
    data = empty.folder / "net"
    data.mkdir()
    faces = [f"http://127.0.0.1:9/{name}.jpg,0,1,0,1" for name in "abc"]
    row = ",".join([*faces, "ONE_CLASS_TRIPLET", "r1", "1", "r2", "1", "r3", "2"])
    (data / "train.csv").write_text(row + "\n", encoding="utf-8")
    line = empty.fails(*EXTRACT, "--data", "net")
    assert line.endswith("Expected the images in net/images. Fetch them: fec download --data net")
