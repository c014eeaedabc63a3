import threading
import time

import numpy as np
import pytest
import toy

from fec_cache.config import CropConfig
from fec_cache.features import batches as batches_module
from fec_cache.features.batches import Decoder, StageSeconds, batches, default_workers

CROP = CropConfig(input_size=4, margin=0.0)


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


def decoder(images_dir, num_workers=2):
    return Decoder(images_dir, CROP, num_workers, StageSeconds())


def decoding_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


@pytest.mark.parametrize("num_workers", [1, 3])
def test_pictures_come_in_order_whatever_ends_first(images_dir, monkeypatch, num_workers):
    faces = toy.identify(images_dir, toy.write_pictures(images_dir, range(30))).present
    load = Decoder._load

    def slow_at_times(self, group):
        time.sleep(0.01 if int(group[0].ref.image[:4]) % 3 == 0 else 0)
        return load(self, group)

    monkeypatch.setattr(Decoder, "_load", slow_at_times)
    found = list(decoder(images_dir, num_workers).pictures(faces))
    assert [face for face, _ in found] == list(faces)
    for face, picture in found:
        assert picture.shape == (4, 4, 3)
        assert (picture == toy.colour_of(int(face.ref.image[:4]))).all()
    assert decoding_threads() == []


def test_faces_of_one_image_are_decoded_once_and_cut_by_their_boxes(images_dir, monkeypatch):
    picture = np.zeros((8, 16, 3), np.uint8)
    picture[:, 8:] = (255, 51, 0)
    images_dir.mkdir()
    toy.Image.fromarray(picture).save(images_dir / "two.png")
    refs = [
        toy.FaceRef("two.png", 0.0, 0.5, 0.0, 1.0),
        toy.FaceRef("two.png", 0.5, 1.0, 0.0, 1.0),
    ]
    decoded = []
    decode = batches_module.decode_image
    monkeypatch.setattr(
        batches_module, "decode_image", lambda *args: decoded.append(args) or decode(*args)
    )
    faces = toy.identify(images_dir, refs).present
    found = [picture for _, picture in decoder(images_dir).pictures(faces)]
    assert len(decoded) == 1
    assert (found[0] == 0).all()
    assert (found[1] == (255, 51, 0)).all()


def test_unusable_faces_come_with_their_reason(images_dir):
    refs = toy.write_pictures(images_dir, range(4))
    (images_dir / "0001.png").write_bytes(b"")
    faces = toy.identify(images_dir, refs).present
    (images_dir / "0002.png").unlink()
    reasons = [
        picture if isinstance(picture, str) else None
        for _, picture in decoder(images_dir).pictures(faces)
    ]
    assert reasons == [
        None,
        "0001.png is empty (0 bytes). Expected a picture.",
        "cannot be read: No such file or directory",
        None,
    ]


def test_a_picture_that_changed_since_it_was_counted_is_not_used(images_dir):
    faces = toy.identify(images_dir, toy.write_pictures(images_dir, range(2))).present
    toy.write_solid(images_dir, "0001.png", (9, 9, 9))
    (_, fine), (_, reason) = decoder(images_dir).pictures(faces)
    assert (fine == toy.colour_of(0)).all()
    assert reason == (
        "0001.png has changed since the faces were counted. "
        "Run the same `fec extract` again, with --rehash."
    )


def test_reading_ahead_is_bounded_by_faces(images_dir, monkeypatch):
    boxes = [(0.0, 1.0, 0.0, (number + 1) / 40) for number in range(40)]
    refs = [
        toy.FaceRef(toy.write_solid(images_dir, f"{number}.png", (1, 2, 3)).image, *box)
        for number in range(6)
        for box in boxes
    ]
    faces = toy.identify(images_dir, refs).present
    taken = 0

    def told():
        nonlocal taken
        for face in faces:
            taken += 1
            yield face

    pictures = decoder(images_dir, 1).pictures(told())
    next(pictures)
    assert taken <= 32 + 40
    pictures.close()
    assert decoding_threads() == []


def test_a_broken_off_iteration_ends_its_threads(images_dir):
    faces = toy.identify(images_dir, toy.write_pictures(images_dir, range(100))).present
    pictures = decoder(images_dir).pictures(faces)
    next(pictures)
    assert decoding_threads()
    pictures.close()
    assert decoding_threads() == []


def test_an_error_in_a_thread_is_not_swallowed(images_dir, monkeypatch):
    faces = toy.identify(images_dir, toy.write_pictures(images_dir, range(3))).present
    monkeypatch.setattr(batches_module, "crop_face", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(decoder(images_dir).pictures(faces))
    assert decoding_threads() == []


def test_time_is_told_by_stage(images_dir):
    faces = toy.identify(images_dir, toy.write_pictures(images_dir, range(3))).present
    reader = decoder(images_dir)
    list(reader.pictures(faces))
    assert reader.seconds.read > 0
    assert reader.seconds.decode > 0
    assert reader.seconds.network == reader.seconds.write == 0


def test_batches_have_one_shape_and_zeros_behind_the_last_face():
    faces = [toy.FaceRef(str(number), *toy.WHOLE) for number in range(5)]  # anything will do
    pictures = [(face, np.full((2, 2, 3), n + 1, np.uint8)) for n, face in enumerate(faces)]
    pictures[1] = (faces[1], "broken")
    failed = []
    found = list(batches(iter(pictures), 3, lambda face, reason: failed.append((face, reason))))
    assert failed == [(faces[1], "broken")]
    assert [batch.faces for batch in found] == [(faces[0], faces[2], faces[3]), (faces[4],)]
    assert [batch.pictures.shape for batch in found] == [(3, 2, 2, 3)] * 2
    assert found[0].pictures[:, 0, 0, 0].tolist() == [1, 3, 4]
    assert found[1].pictures[:, 0, 0, 0].tolist() == [5, 0, 0]


def test_no_usable_face_is_no_batch():
    assert list(batches(iter([("face", "broken")]), 3, lambda *_: None)) == []
    assert list(batches(iter([]), 3, lambda *_: None)) == []


def test_default_workers_are_few():
    assert 1 <= default_workers() <= 8
