import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.maintenance import prune as module
from fec_cache.cache.maintenance.prune import prune_cache, remove_cache, remove_half_removed
from fec_cache.cache.maintenance.verify import verify_cache
from fec_cache.testing import toy


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def faces(images_dir):
    refs = toy.write_pictures(images_dir, range(12))
    for name in ("0005.png", "0009.png"):
        (images_dir / name).write_bytes(f"no picture {name}".encode())
    return toy.identify(images_dir, refs)


@pytest.fixture
def cache(tmp_path, images_dir, faces):
    return FeatureCache.open(toy.run_toy(tmp_path / "cache", images_dir, faces).folders[0])


def ids(faces, numbers):
    return {face.face_id for face in faces.present if int(face.ref.image[:4]) in numbers}


@pytest.mark.parametrize("kept", [range(12), range(1), {0, 3, 4, 5, 11}, range(4, 8), ()])
def test_exactly_the_unused_faces_go(cache, faces, images_dir, kept):
    stored = set(kept) - {5, 9}
    dry = prune_cache(cache, ids(faces, kept), is_dry=True)
    assert cache.manifest().num_faces == 10
    report = prune_cache(cache, ids(faces, kept))
    assert dry == report
    assert report.num_faces == 10 - len(stored)
    assert (report.size_bytes > 0) == bool(report.num_faces)
    fresh = FeatureCache.open(cache.folder)
    assert fresh.stored_and_failed()[0] == ids(faces, stored)
    assert fresh.stored_and_failed()[1] == ids(faces, set(kept) & {5, 9})
    if stored:
        assert sorted(toy.numbers_of(cache.folder.parent, faces)) == sorted(stored)
    assert (verify_cache(cache.folder).problems, verify_cache(cache.folder).remarks) == ((), ())
    summary = toy.run_toy(cache.folder.parent, images_dir, faces)
    assert (summary.num_cached, summary.num_failed) == (len(stored), 2)
    assert sorted(toy.numbers_of(cache.folder.parent, faces)) == sorted(set(range(12)) - {5, 9})


def test_without_a_list_only_leftovers_go(cache):
    (cache.folder / "shards" / "00009.h5").write_bytes(b"12345")
    (cache.folder / "notes.txt").write_bytes(b"mine")
    report = prune_cache(cache, is_dry=True)
    assert (report.files, report.num_faces, report.size_bytes) == (("shards/00009.h5",), 0, 5)
    assert (cache.folder / "shards" / "00009.h5").exists()
    assert prune_cache(cache) == report
    assert not (cache.folder / "shards" / "00009.h5").exists()
    assert (cache.folder / "notes.txt").exists()
    assert cache.manifest().num_faces == 10


def test_an_interrupted_pruning_loses_nothing(cache, faces, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_manifest", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prune_cache(cache, ids(faces, {0, 4, 8}))
    monkeypatch.undo()
    assert len(toy.numbers_of(cache.folder.parent, faces)) == 10
    report = prune_cache(cache)
    assert len(report.files) == 3
    assert verify_cache(cache.folder).problems == ()


def test_a_recovered_face_that_is_pruned_is_no_failure_afterwards(tmp_path, images_dir, faces):
    cache_dir = tmp_path / "cache"
    toy.run_toy(cache_dir, images_dir, faces)
    toy.write_pictures(images_dir, [5, 9])
    recovered = toy.identify(images_dir, [face.ref for face in faces.present])
    cache = FeatureCache.open(toy.run_toy(cache_dir, images_dir, recovered).folders[0])
    assert cache.manifest().num_faces == 12
    prune_cache(cache, ids(recovered, {5}))
    assert toy.numbers_of(cache_dir, recovered) == [5]
    assert cache.manifest().failed == ()


def test_a_whole_cache_disappears_in_one_step(cache, monkeypatch):
    size = sum(path.stat().st_size for path in cache.folder.rglob("*") if path.is_file())
    monkeypatch.setattr(module.shutil, "rmtree", lambda *_, **__: None)
    assert remove_cache(cache.folder) == size
    assert not cache.folder.exists()
    monkeypatch.undo()
    assert remove_half_removed(cache.folder.parent) == 1
    assert list(cache.folder.parent.iterdir()) == []
