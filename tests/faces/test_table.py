import hashlib
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from fec_cache.datasets.annotations import FaceRef, Triplet
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import (
    Face,
    FaceTable,
    MissingFace,
    face_id_of,
    identify_faces,
    unique_refs,
)

WHOLE = (0.0, 1.0, 0.0, 1.0)
SHA = hashlib.sha256(b"x").hexdigest()


def triplet(*faces):
    return Triplet(tuple(faces), "ONE_CLASS_TRIPLET", ("r",), (1,))


def table_of(tmp_path, refs, on_progress=None):
    (tmp_path / "cache").mkdir(exist_ok=True)
    return identify_faces(refs, tmp_path / "images", ImageDigests(tmp_path / "cache"), on_progress)


def write(tmp_path, **contents):
    (tmp_path / "images").mkdir(exist_ok=True)
    for name, content in contents.items():
        (tmp_path / "images" / f"{name}.jpg").write_bytes(content)


def test_face_id_is_the_digest_of_image_and_box():
    text = f"{SHA}|0x0.0p+0,0x1.0000000000000p+0,0x1.0000000000000p-2,0x1.8000000000000p-1"
    expected = hashlib.sha256(text.encode()).hexdigest()[:32]
    assert face_id_of(SHA, FaceRef("a.jpg", 0.0, 1.0, 0.25, 0.75)) == expected
    assert face_id_of(SHA, FaceRef("other.jpg", -0.0, 1, 0.25, 0.75)) == expected


@given(st.tuples(*[st.floats(0, 1)] * 4), st.tuples(*[st.floats(0, 1)] * 4), st.sampled_from("ab"))
def test_face_ids_are_equal_where_image_and_box_are(box, other, letter):
    same = face_id_of(SHA, FaceRef("a.jpg", *box)) == face_id_of(SHA, FaceRef("b.jpg", *other))
    assert same == (box == other)
    sha = hashlib.sha256(letter.encode()).hexdigest()
    assert face_id_of(sha, FaceRef("a.jpg", *box)) != face_id_of(SHA, FaceRef("a.jpg", *box))


refs = st.builds(FaceRef, st.sampled_from(["a", "b", "c"]), *[st.sampled_from([0.0, 0.5, 1.0])] * 4)


@settings(deadline=None)
@given(st.lists(st.tuples(refs, refs, refs), max_size=8), st.randoms())
def test_unique_refs_do_not_depend_on_the_order_of_triplets(rows, random):
    triplets = [triplet(*faces) for faces in rows]
    actual = unique_refs(iter(triplets))
    random.shuffle(triplets)
    turned = [triplet(*reversed(t.faces)) for t in triplets]
    assert actual == unique_refs(turned) == tuple(sorted({ref for row in rows for ref in row}))


def test_equal_faces_that_are_two_objects_count_once():
    first, again = FaceRef("a", *WHOLE), FaceRef("a", *WHOLE)
    assert unique_refs([triplet(first, again, FaceRef("b", *WHOLE))]) == (
        first, FaceRef("b", *WHOLE),
    )  # fmt: skip


def test_the_same_bytes_under_two_names_are_one_face(tmp_path):
    write(tmp_path, a=b"same", b=b"same", c=b"other")
    refs = [FaceRef(f"{name}.jpg", *WHOLE) for name in "abc"]
    table = table_of(tmp_path, refs)
    ids = table.ids()
    assert ids[refs[0]] == ids[refs[1]] != ids[refs[2]]
    assert [face.ref for face in table.present] == refs
    assert [face.ref for face in table.unique()] == [refs[0], refs[2]]


def test_another_box_is_another_face(tmp_path):
    write(tmp_path, a=b"same")
    refs = [FaceRef("a.jpg", *WHOLE), FaceRef("a.jpg", 0.0, 1.0, 0.0, 0.999)]
    assert len(table_of(tmp_path, refs).unique()) == 2


def test_changed_bytes_under_one_name_are_another_face(tmp_path):
    refs = [FaceRef("a.jpg", *WHOLE)]
    write(tmp_path, a=b"before")
    before = table_of(tmp_path, refs).present[0].face_id
    write(tmp_path, a=b"after!!")
    assert table_of(tmp_path, refs).present[0].face_id != before


def test_missing_images_are_reported_with_a_reason(tmp_path):
    write(tmp_path, a=b"x")
    (tmp_path / "images" / "folder.jpg").mkdir()
    names = ["a.jpg", "b.jpg", "folder.jpg", "n" * 300, "nul\0.jpg", "http://a.org/x.jpg"]
    refs = [FaceRef(name, *WHOLE) for name in names]
    table = table_of(tmp_path, refs)
    assert table.present == (Face(face_id_of(SHA, refs[0]), refs[0]),)
    assert table.missing == (
        MissingFace(refs[1], "no such file"),
        MissingFace(refs[2], "cannot be read: Is a directory"),
        MissingFace(refs[3], "cannot be read: File name too long"),
        MissingFace(refs[4], "cannot be read: embedded null byte"),
        MissingFace(refs[5], "no such file"),
    )


def test_an_image_with_several_faces_is_read_once(tmp_path):
    write(tmp_path, a=b"x")
    refs = [FaceRef("a.jpg", 0.0, side / 10, 0.0, 1.0) for side in range(1, 10)]
    ticks = []
    table = table_of(tmp_path, refs, lambda *tick: ticks.append(tick))
    assert ticks == [(1, 1)]
    assert [face.ref for face in table.present] == refs


def test_an_empty_table(tmp_path):
    assert table_of(tmp_path, []) == FaceTable((), ())


def test_a_url_is_found_by_its_hash(tmp_path):
    ref = FaceRef("http://a.org/x.png", *WHOLE)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / ref.image_path).parent.mkdir()
    (tmp_path / "images" / ref.image_path).write_bytes(b"x")
    os.utime(tmp_path / "images" / ref.image_path, (0, 0))
    assert table_of(tmp_path, [ref]).ids() == {ref: face_id_of(SHA, ref)}
