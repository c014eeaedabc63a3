import hashlib

import pytest

from fec_cache.datasets.download.config import FetchFailed
from fec_cache.datasets.download.content import Examined
from fec_cache.datasets.download.store import PictureStore, StoredPicture
from fec_cache.datasets.image_paths import crop_path, url_path
from fec_cache.errors import StorageFailed

URL = "http://a.example/1.png"
BOXES = [(0.0, 0.5, 0.0, 1.0), (0.5, 1.0, 0.0, 1.0)]


def examine(content, boxes):
    """Calls anything a picture of 4 x 3 pixels but bytes that begin with x."""
    if content.startswith(b"x"):
        return Examined("damaged", "it begins with x", 0, 0)
    return Examined("", "", 4, 3, tuple(b"crop" * (1 + number) for number in range(len(boxes))))


@pytest.fixture
def store(tmp_path):
    store = PictureStore(tmp_path, "original", examine)
    store.open()
    yield store
    store.close()


def test_a_picture_is_stored_under_its_hash(store, tmp_path):
    sha = hashlib.sha256(b"picture").hexdigest()
    assert not store.has_original(URL)
    assert store.keep(URL, b"picture", BOXES) == StoredPicture(sha, 7, 7, 4, 3)
    assert (tmp_path / "images" / url_path(URL)).read_bytes() == b"picture"
    assert store.has_original(URL)
    assert store.is_whole(URL, BOXES, 7)
    assert not store.is_whole(URL, BOXES, 8)
    store.remove(URL, BOXES)
    store.remove(URL, BOXES)
    assert not store.is_whole(URL, BOXES, 7)


def test_what_is_no_picture_is_not_stored(store, tmp_path):
    with pytest.raises(FetchFailed, match="begins with x"):
        store.keep(URL, b"xyz", [])
    assert list((tmp_path / "images").iterdir()) == []


def test_crops_are_stored_instead_of_the_original(store, tmp_path):
    store.keep(URL, b"picture", [])
    crops = PictureStore(tmp_path, "crop", examine)
    crops.open()
    picture = crops.adopt(URL, BOXES)
    assert picture == StoredPicture(hashlib.sha256(b"picture").hexdigest(), 7, 12, 4, 3)
    sizes = [
        (tmp_path / "cropped" / "images" / crop_path(URL, box)).stat().st_size for box in BOXES
    ]
    assert sizes == [4, 8]
    assert crops.is_whole(URL, BOXES, 12)


def test_only_pictures_are_adopted(store, tmp_path):
    assert store.adopt(URL, []) is None
    path = tmp_path / "images" / url_path(URL)
    path.parent.mkdir()
    path.write_bytes(b"xyz")
    assert store.adopt(URL, []) is None
    path.write_bytes(b"picture")
    assert store.adopt(URL, []).stored_bytes == 7


def test_incomplete_files_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial" / "0").write_bytes(b"half")
    store = PictureStore(tmp_path, "original", examine)
    store.open()
    assert list((tmp_path / ".partial").iterdir()) == []
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_folder_that_cannot_be_made_is_a_storage_failure(tmp_path):
    (tmp_path / "images").write_bytes(b"a file")
    with pytest.raises(StorageFailed, match="A picture could not be written: File exists"):
        PictureStore(tmp_path, "original", examine).open()
