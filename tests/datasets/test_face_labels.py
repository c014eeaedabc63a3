"""Labels of faces from both kinds of table, and from none."""

from fec_cache.datasets.annotations import FaceRef
from fec_cache.datasets.face_labels import FaceLabel, read_face_labels


def test_labels_of_an_import_and_of_a_synthetic_set(tmp_path):
    (tmp_path / "labels.csv").write_text(
        "image,identity,expression,left,right,top,bottom\na.jpg,Ann,joy,0.0,1.0,0.0,1.0\n"
        "b.jpg,,fear,0.1,0.9,0.2,0.8\n"
    )
    assert read_face_labels(tmp_path) == {
        FaceRef("a.jpg", 0.0, 1.0, 0.0, 1.0): FaceLabel("Ann", "joy"),
        FaceRef("b.jpg", 0.1, 0.9, 0.2, 0.8): FaceLabel("", "fear"),
    }
    (tmp_path / "labels.csv").unlink()
    (tmp_path / "truth.csv").write_text(
        "image,left,right,top,bottom,split,identity,word\nt/0.jpg,0,1,0,1,train,p1,smile\n"
    )
    assert read_face_labels(tmp_path) == {FaceRef("t/0.jpg", 0, 1, 0, 1): FaceLabel("p1", "smile")}


def test_no_table_or_a_spoilt_one_is_no_labels(tmp_path):
    assert read_face_labels(tmp_path) == {}
    (tmp_path / "labels.csv").write_text("image,expression\na.jpg,joy\n")
    assert read_face_labels(tmp_path) == {}
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00\x00")
    assert read_face_labels(tmp_path) == {}
