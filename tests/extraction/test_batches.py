import numpy as np
import pytest

from fec_cache.extraction import batches as module
from fec_cache.extraction.batches import Decoder, StageSeconds, batches_of, groups_of
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.table import Face
from fec_cache.testing import toy

CROP = CropConfig(input_size=4, margin=0.0)


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


def decoder(images_dir):
    return Decoder(images_dir, CROP, StageSeconds())


def load(images_dir, faces):
    return decoder(images_dir).load(faces, lambda size: None)


def test_faces_of_one_image_are_decoded_once_and_cut_by_their_boxes(images_dir, monkeypatch):
    picture = np.zeros((8, 16, 3), np.uint8)
    picture[:, 8:] = (255, 51, 0)
    images_dir.mkdir()
    toy.Image.fromarray(picture).save(images_dir / "two.png")
    boxes = [(0.0, 0.5, 0.0, 1.0), (0.5, 1.0, 0.0, 1.0)]
    opened = []
    monkeypatch.setattr(
        module, "Picture", lambda *args, real=module.Picture: opened.append(args) or real(*args)
    )
    faces = toy.identify(images_dir, [toy.FaceRef("two.png", *box) for box in boxes]).present
    found = load(images_dir, faces)
    assert len(opened) == 1
    assert (found[0] == 0).all()
    assert (found[1] == (255, 51, 0)).all()


def test_unusable_faces_come_with_their_reason(images_dir):
    refs = toy.write_pictures(images_dir, range(3))
    (images_dir / "0001.png").write_bytes(b"")
    faces = toy.identify(images_dir, refs).present
    (images_dir / "0002.png").unlink()
    assert load(images_dir, faces[1:2]) == ["0001.png is empty (0 bytes). Expected a picture."]
    assert load(images_dir, faces[2:]) == ["cannot be read: No such file or directory"]


def test_one_box_that_cannot_be_cut_leaves_the_others_alone(images_dir):
    images_dir.mkdir()
    toy.Image.new("RGB", (1, 60_000)).save(images_dir / "long.png")
    boxes = [(0.0, 1.0, 0.0, 1.0), (0.0, 1.0, 0.0, 0.0001)]
    faces = toy.identify(images_dir, [toy.FaceRef("long.png", *box) for box in boxes]).present
    by_box = {face.ref.box: cut for face, cut in zip(faces, load(images_dir, faces), strict=True)}
    assert by_box[boxes[0]].startswith("The box needs a square of 60000 x 60000 pixels")
    assert by_box[boxes[1]].shape == (4, 4, 3)


def test_a_picture_that_changed_since_it_was_counted_is_not_used(images_dir):
    faces = toy.identify(images_dir, toy.write_pictures(images_dir, range(2))).present
    toy.write_solid(images_dir, "0001.png", (9, 9, 9))
    assert (load(images_dir, faces[:1])[0] == toy.colour_of(0)).all()
    assert load(images_dir, faces[1:]) == [
        "0001.png has changed since the faces were counted. "
        "Run the same `fec extract` again, with --rehash."
    ]


def test_time_and_memory_are_reported(images_dir):
    faces = toy.identify(images_dir, toy.write_pictures(images_dir, range(1))).present
    reader, asked = decoder(images_dir), []
    reader.load(faces, asked.append)
    assert asked == [(images_dir / "0000.png").stat().st_size + 8 * 8 * 8]
    assert reader.seconds.read > 0
    assert reader.seconds.decode > 0
    assert reader.seconds.network == reader.seconds.write == 0


def faces_of(*images):
    return [Face(str(n), toy.FaceRef(image, *toy.WHOLE)) for n, image in enumerate(images)]


def test_a_face_has_its_place_by_the_plan_whatever_fails():
    found = list(batches_of([faces_of(*"abcde"), faces_of(*"fg")], 3, 2))
    assert [len(batch.faces) for batch in found] == [3, 2, 2]
    assert [batch.piece for batch in found] == [0, 0, 1]
    assert [batch.pictures.shape for batch in found] == [(3, 2, 2, 3)] * 3
    groups = list(groups_of(found[:1]))
    for number, group in enumerate(groups):
        group.put(["broken"] if number == 1 else [np.full((2, 2, 3), number + 1, np.uint8)])
    assert found[0].num_pending == 0
    assert found[0].rows == (0, 2)
    assert found[0].reasons == {1: "broken"}
    assert found[0].pictures[:, 0, 0, 0].tolist() == [1, 0, 3]


def test_faces_of_one_image_stand_in_one_group_up_to_a_limit():
    found = list(groups_of(batches_of([faces_of("a", "b", "b", "c", *["d"] * 70)], 2, 1)))
    assert [len(group.faces) for group in found] == [1, 2, 1, 32, 32, 6]
    assert [group.faces[0].ref.image for group in found] == list("abcddd")
    batch_numbers = {id(batch) for batch, _ in found[1].slots}
    assert len(batch_numbers) == 2  # the two faces of b lie in two batches
