import pytest

from fec_cache.testing import toy


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def faces(images_dir):
    refs = toy.write_pictures(images_dir, range(12))
    (images_dir / "0005.png").write_bytes(b"no picture")
    return toy.identify(images_dir, [*refs, toy.FaceRef("missing.png", *toy.WHOLE)])


@pytest.fixture
def folder(tmp_path, images_dir, faces):
    return toy.run_toy(tmp_path / "cache", images_dir, faces).folders[0]
