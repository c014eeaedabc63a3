import csv
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fec_cache.datasets.labelled.read import LabelledFace, read_labelled
from fec_cache.errors import BadAnnotations, FecError, MissingData

WHOLE = (0.0, 1.0, 0.0, 1.0)


@pytest.fixture
def folder(tmp_path):
    for name in ("happy/a.jpg", "happy/deep/b.PNG", "sad/c.jpeg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def table(folder, rows, name="faces.csv", header=("image", "identity", "expression")):
    path = folder / name
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def reasons(labelled):
    return [(row.file, row.line, row.reason) for row in labelled.rejected]


def test_folders_name_the_expression(folder):
    labelled = read_labelled(folder)
    assert labelled.rejected == ()
    assert labelled.faces == (
        LabelledFace(folder / "happy/a.jpg", "happy/a.jpg", "happy", "", WHOLE),
        LabelledFace(folder / "happy/deep/b.PNG", "happy/deep/b.PNG", "happy", "", WHOLE),
        LabelledFace(folder / "sad/c.jpeg", "sad/c.jpeg", "sad", "", WHOLE),
    )


def test_files_that_are_no_labelled_pictures_are_reported(folder):
    (folder / "loose.jpg").touch()
    (folder / "happy" / "notes.txt").touch()
    (folder / "happy" / ".DS_Store").touch()
    (folder / "happy" / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    labelled = read_labelled(folder)
    assert len(labelled.faces) == 3
    assert reasons(labelled) == [
        ("happy/.DS_Store", 0, "extension is not a picture's"),
        ("happy/gone.jpg", 0, "not a file, or a broken link"),
        ("happy/notes.txt", 0, "extension is not a picture's"),
        ("loose.jpg", 0, "not inside a folder named after an expression"),
    ]


@pytest.mark.parametrize("name", ["new\nline.jpg", "tab\t.jpg", " blank.jpg/x.jpg", "\udcff.jpg"])
def test_names_that_a_csv_cannot_hold_are_rejected(folder, name):
    path = folder / (f"happy/{name}" if "/" not in name else name)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    labelled = read_labelled(folder)
    assert len(labelled.faces) == 3
    (row,) = labelled.rejected
    assert row.file == path.relative_to(folder).as_posix()
    assert "cannot be stored safely in a CSV file" in row.reason


@pytest.mark.parametrize("name", ['q"uote.jpg', "com,ma.jpg", "bla nk.jpg", "日本.JPG", "'.jpg"])
def test_odd_names_are_kept(folder, name):
    (folder / "sad" / name).touch()
    labelled = read_labelled(folder)
    assert f"sad/{name}" in {face.image for face in labelled.faces}
    assert labelled.rejected == ()


def test_a_link_to_a_folder_is_followed_and_a_loop_is_reported(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "x.jpg").touch()
    (elsewhere / "back").symlink_to(folder / "sad")
    (folder / "angry").symlink_to(elsewhere)
    (folder / "sad" / "loop").symlink_to(folder)
    labelled = read_labelled(folder)
    assert [face.image for face in labelled.faces] == [
        "angry/back/c.jpeg", "angry/x.jpg", "happy/a.jpg", "happy/deep/b.PNG", "sad/c.jpeg",
    ]  # fmt: skip
    assert reasons(labelled) == [
        ("angry/back/loop", 0, "link to a parent folder"),
        ("sad/loop", 0, "link to a parent folder"),
    ]


def test_a_folder_that_cannot_be_listed_raises(folder, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "sad":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(MissingData, match=r"sad cannot be read: Permission denied"):
        read_labelled(folder)


def test_a_table_names_identity_expression_and_box(folder):
    (folder / "images").mkdir()
    (folder / "images" / "d.jpg").touch()
    header = ("image", "expression", "identity", "left", "right", "top", "bottom")
    rows = [("sad/c.jpeg", "joy", "ann", "0.1", "0.5", "0", "1"), ("d.jpg", "joy", "", *[""] * 4)]
    labelled = read_labelled(table(folder, rows, header=header))
    assert labelled.rejected == ()
    assert labelled.faces == (
        LabelledFace(folder / "sad/c.jpeg", "sad/c.jpeg", "joy", "ann", (0.1, 0.5, 0.0, 1.0)),
        LabelledFace(folder / "images/d.jpg", "d.jpg", "joy", "", WHOLE),
    )
    assert read_labelled(folder) == labelled  # the folder holds one table, which is used


def test_a_header_with_bom_blanks_and_crlf_is_read(folder):
    (folder / "t.csv").write_bytes(b"\xef\xbb\xbfimage , expression\r\n\r\nsad/c.jpeg,joy\r\n")
    assert [face.expression for face in read_labelled(folder).faces] == ["joy"]


def shown(name):
    """How a long name from a table is shown: its first 60 characters."""
    return f"{name[:60]!r}..." if len(name) > 60 else repr(name)


def test_bad_rows_of_a_table_are_reported_with_their_lines(folder):
    rows = [
        ("happy/a.jpg", "", "joy"),
        ("happy/a.jpg", "bob", "joy"),
        ("", "", "joy"),
        ("sad/c.jpeg", "", ""),
        ("none.jpg", "", "joy"),
        ("../faces.csv", "", "joy"),
        (str(folder / "sad/c.jpeg"), "", "joy"),
        ("sad/c.jpeg", "ann"),
        ("sad/c.jpeg", "ann", "joy", "more"),
        ("sad/c.jpeg", "\udcff", "joy"),
        ("x" * 300 + ".jpg", "", "joy"),
    ]
    labelled = read_labelled(table(folder, rows))
    outside = shown(str(folder / "sad/c.jpeg"))
    assert [face.image for face in labelled.faces] == ["happy/a.jpg"]
    assert [(line, reason) for _, line, reason in reasons(labelled)] == [
        (3, "happy/a.jpg is listed twice with the same box"),
        (4, "no image"),
        (5, "sad/c.jpeg has no expression"),
        (6, "no picture 'none.jpg' next to the table or in images/"),
        (7, "image '../faces.csv' is neither a URL nor a path inside images/"),
        (8, f"image {outside} is neither a URL nor a path inside images/"),
        (9, "2 columns, expected 3 as in the first line"),
        (10, "4 columns, expected 3 as in the first line"),
        (11, "not UTF-8"),
        (12, f"no picture '{'x' * 60}'... next to the table or in images/"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (
            ("0.5", "0.5", "0", "1"),
            "empty box: left 0.5, right 0.5, top 0.0, bottom 1.0; expected left < right and top "
            "< bottom",
        ),
        (
            ("0", "1.5", "0", "1"),
            "right is 1.5, but box sides are fractions of the picture, between 0 and 1",
        ),
        (
            ("nan", "1", "0", "1"),
            "left is nan, but box sides are fractions of the picture, between 0 and 1",
        ),
        (("0", "1", "", ""), "left, right, top and bottom are not all numbers"),
        (("a", "1", "0", "1"), "left, right, top and bottom are not all numbers"),
    ],
)
def test_bad_boxes_are_reported(folder, box, reason):
    header = ("image", "expression", "left", "right", "top", "bottom")
    rows = [("sad/c.jpeg", "joy", *box), ("happy/a.jpg", "joy", "0", "1", "0", "1")]
    labelled = read_labelled(table(folder, rows, header=header))
    assert reasons(labelled) == [("faces.csv", 2, reason)]


def test_a_stray_quote_spoils_its_own_row_only(folder):
    (folder / "t.csv").write_text('image,expression\n"happy/a.jpg,joy\nsad/c.jpeg,sad\n')
    labelled = read_labelled(folder)
    assert [face.image for face in labelled.faces] == ["sad/c.jpeg"]
    assert reasons(labelled) == [("t.csv", 2, "not CSV: unexpected end of data")]


def test_a_late_byte_that_is_not_utf8_spoils_its_own_row_only(folder):
    (folder / "t.csv").write_bytes(b"image,expression\nsad/c.jpeg,joy\n\xff.jpg,joy\n")
    labelled = read_labelled(folder)
    assert (len(labelled.faces), reasons(labelled)) == (1, [("t.csv", 3, "not UTF-8")])


def test_unusable_sources_are_named_errors(tmp_path):
    with pytest.raises(MissingData, match="There is no "):
        read_labelled(tmp_path / "none")
    with pytest.raises(BadAnnotations, match=r"no usable labelled picture\. Expected one folder"):
        read_labelled(tmp_path)
    (tmp_path / "x.jpg").touch()
    with pytest.raises(BadAnnotations, match=r"The first problem: not inside a folder"):
        read_labelled(tmp_path)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(
        BadAnnotations, match=r"has the columns 'a, b', but image and expression are required"
    ):
        read_labelled(tmp_path / "t.csv")
    with pytest.raises(BadAnnotations, match=r"has the columns \(none\)"):
        read_labelled(tmp_path / "x.jpg")


def test_two_tables_raise(folder):
    rows = [("sad/c.jpeg", "", "joy")]
    table(folder, rows, "a.csv")
    table(folder, rows, "b.csv")
    (folder / "folder.csv").mkdir()
    with pytest.raises(BadAnnotations, match=r"several tables of pictures: a\.csv, b\.csv\. Pass"):
        read_labelled(folder)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200))
def test_any_bytes_behind_a_header_are_used_or_reported(tmp_path, content):
    (tmp_path / "a.jpg").touch()
    path = tmp_path / "t.csv"
    body = content.replace(b"\r", b"") + b"\na.jpg,joy\n"
    path.write_bytes(b"image,expression\n" + body)
    num_rows = sum(bool(line.strip()) for line in
                   body.decode(errors="surrogateescape").split("\n"))  # fmt: skip
    labelled = read_labelled(path)
    assert len(labelled.faces) + len(labelled.rejected) == num_rows


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=100))
def test_any_file_gives_faces_or_a_named_error(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(FecError):
        read_labelled(path)
