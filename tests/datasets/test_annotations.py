import csv
import hashlib
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fec_cache.datasets.annotations import (
    TRIPLET_TYPES,
    FaceRef,
    RejectedRow,
    Triplet,
    find_annotations,
    read_annotations,
    write_rejected,
)
from fec_cache.datasets.image_paths import is_url
from fec_cache.errors import BadAnnotations, MissingData, StorageFailed

FACES = (
    ("http://a.org/1.jpg", "0.1", "0.5", "0.2", "0.6"),
    ("http://a.org/2.jpg", "0.25", "0.75", "0", "1"),
    ("dir/3.png", "0.0", "1.0", "0.125", "0.5"),
)
VOTES = ("r1", "1", "r2", "1", "r3", "2", "r4", "1", "r5", "3", "r6", "1")
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

NO_FRACTION = "but box sides are fractions of the picture, between 0 and 1"


def cells_of(faces=FACES, kind="TWO_CLASS_TRIPLET", votes=VOTES):
    return [cell for face in faces for cell in face] + [kind, *votes]


def line_of(cells):
    return ",".join(quoted(c, i in (0, 5, 10)) for i, c in enumerate(cells)) + "\n"


def quoted(cell, always):
    return '"' + cell.replace('"', '""') + '"' if always or set(cell) & set(',"') else cell


GOOD = line_of(cells_of())


def read(folder, content):
    path = folder / "train.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_annotations(path)


def reason_of(folder, line):
    """Why a line is rejected; it stands between two good ones, which must survive."""
    content = line if isinstance(line, bytes) else line.encode()
    found = read(folder, GOOD.encode() + content.rstrip(b"\n") + b"\n" + GOOD.encode())
    assert (len(found.triplets), found.num_rows) == (2, 3)
    (rejected,) = found.rejected
    assert (rejected.file, rejected.line) == ("train.csv", 2)
    return rejected.reason


def with_cell(place, value):
    cells = cells_of()
    cells[place] = value
    return line_of(cells)


def test_a_row_gives_its_values(tmp_path):
    found = read(tmp_path, GOOD)
    assert found.triplets == (
        Triplet(
            (
                FaceRef("http://a.org/1.jpg", 0.1, 0.5, 0.2, 0.6),
                FaceRef("http://a.org/2.jpg", 0.25, 0.75, 0.0, 1.0),
                FaceRef("dir/3.png", 0.0, 1.0, 0.125, 0.5),
            ),
            "TWO_CLASS_TRIPLET",
            ("r1", "r2", "r3", "r4", "r5", "r6"),
            (1, 1, 2, 1, 3, 1),
        ),
    )
    assert (found.rejected, found.num_rows, found.path) == ((), 1, tmp_path / "train.csv")
    assert found.triplets[0].faces[0].box == (0.1, 0.5, 0.2, 0.6)


letters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))
names = st.text(letters | st.sampled_from(",\"' %#?ä"), min_size=1, max_size=20).filter(
    lambda name: name == name.strip() and not name.startswith("/") and ".." not in name.split("/")
)
images = names | names.map(lambda name: "http://host/" + name)
sides = st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda s: s[0] != s[1]).map(sorted)
faces = st.builds(lambda image, x, y: FaceRef(image, *x, *y), images, sides, sides)
votes = st.lists(st.tuples(st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True), st.sampled_from("123")),
                 min_size=6, max_size=12)  # fmt: skip
triplets = st.builds(
    lambda three, kind, pairs: Triplet(
        tuple(three), kind, tuple(r for r, _ in pairs), tuple(int(a) for _, a in pairs)
    ),
    st.lists(faces, min_size=3, max_size=3, unique=True), st.sampled_from(TRIPLET_TYPES), votes,
)  # fmt: skip


def to_line(triplet, quote_all=False):
    cells = [str(cell) for face in triplet.faces for cell in (face.image, *map(repr, face.box))]
    pairs = zip(triplet.raters, triplet.answers, strict=True)
    cells += [triplet.type, *(str(cell) for pair in pairs for cell in pair)]
    if not quote_all:
        return line_of(cells)
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return text.getvalue()


@quick
@given(rows=st.lists(triplets, min_size=1, max_size=5), quote_all=st.booleans())
def test_generated_rows_come_back_unchanged(tmp_path, rows, quote_all):
    found = read(tmp_path, "".join(to_line(row, quote_all) for row in rows))
    assert found.triplets == tuple(rows)
    assert found.rejected == ()


junk = st.text(max_size=8) | st.sampled_from(
    ["", "nan", "NaN", "inf", "-inf", "1e400", "-0.1", "1.0001", "0.5x", "1_0", "٠", "0", '"']
)


@quick
@given(place=st.integers(0, 27), value=junk)
def test_one_changed_cell_is_read_as_written_or_rejected_with_its_line(tmp_path, place, value):
    value = value.replace("\n", " ").replace("\r", " ")
    changed = with_cell(place, value)
    found = read(tmp_path, GOOD.encode() + changed.encode(errors="surrogatepass"))
    assert found.num_rows == 2
    if found.rejected:
        (rejected,) = found.rejected
        assert rejected.line == 2
        assert rejected.reason
        return
    before, after = found.triplets
    flat = [cell for face in after.faces for cell in (face.image, *face.box)] + [after.type]
    flat += [cell for pair in zip(after.raters, after.answers, strict=True) for cell in pair]
    old = [cell for face in before.faces for cell in (face.image, *face.box)] + [before.type]
    old += [cell for pair in zip(before.raters, before.answers, strict=True) for cell in pair]
    assert flat[:place] + flat[place + 1 :] == old[:place] + old[place + 1 :]
    if isinstance(old[place], float):
        assert 0 <= flat[place] <= 1
        assert flat[place] == float(value)
    elif place < 16 or isinstance(old[place], int):
        assert str(flat[place]) == value.strip()
    else:  # a rater's name may be anything
        assert flat[place].lstrip(" ") == value.lstrip(" ")


@quick
@given(content=st.binary(max_size=300) | st.lists(
    st.sampled_from([GOOD.encode(), b'"', b"\n", b"\r", b",", b"\0", b"\xff", b"\xef\xbb\xbf", b" "]
), max_size=12).map(b"".join))  # fmt: skip
def test_any_bytes_are_used_or_reported(tmp_path, content):
    num_lines = sum(bool(text.strip()) for text in
                    content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
                    .split("\n"))  # fmt: skip
    try:
        found = read(tmp_path, content)
    except BadAnnotations as error:
        assert f"(rows read: {num_lines})" in str(error)
        return
    assert found.num_rows == num_lines == len(found.triplets) + len(found.rejected)


@pytest.mark.parametrize("place", range(28))
def test_a_stray_quote_spoils_its_own_row_only(tmp_path, place):
    cells = GOOD.rstrip("\n").split(",")
    cells[place] = '"' + cells[place]
    reason = reason_of(tmp_path, ",".join(cells))
    assert reason.startswith(("not CSV", "1", "2", "3"))  # or too few columns


@pytest.mark.parametrize("place", [0, 5, 10])
def test_a_quote_without_its_partner_at_the_end_spoils_its_own_row_only(tmp_path, place):
    cells = GOOD.rstrip("\n").split(",")
    cells[place] = cells[place].rstrip('"')
    assert "not CSV" in reason_of(tmp_path, ",".join(cells))


def test_bom_crlf_and_blank_lines_are_no_harm(tmp_path):
    content = "\ufeff" + GOOD.replace("\n", "\r\n") + "\r\n   \n\n" + GOOD + "bad\n"
    found = read(tmp_path, content)
    assert found.triplets == read(tmp_path, GOOD).triplets * 2
    assert (found.num_rows, found.rejected[0].line) == (3, 6)


def test_blanks_around_cells_are_no_harm(tmp_path):
    text = GOOD.replace(",", " , ").replace('" ,', '",')
    triplet = read(tmp_path, text).triplets[0]
    expected = read(tmp_path, GOOD).triplets[0]
    assert (triplet.faces, triplet.type, triplet.answers) == (
        expected.faces, expected.type, expected.answers,
    )  # fmt: skip


def test_rows_wider_than_the_first_are_read(tmp_path):
    wide = line_of(cells_of(votes=[*VOTES, "r7", "3", "r8", "3"]))
    found = read(tmp_path, GOOD + wide + line_of(cells_of(votes=["r1", "2"])))
    assert [row.answers for row in found.triplets] == [
        (1, 1, 2, 1, 3, 1), (1, 1, 2, 1, 3, 1, 3, 3), (2,),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (GOOD.replace("r1", "r\0"), "contains a NUL byte"),
        (GOOD.encode().replace(b"r1", b"\xff"), "not UTF-8"),
        ("x" * 1_000_000, "not CSV: field larger than field limit (131072)"),
        (",".join("abcdefg" * 20_001), "140007 columns, expected 16 and two for each rater "
         "(18, 20, ... 28, ...)"),
        ("url,left,right,top,bottom", "5 columns, expected 16 and two for each rater "
         "(18, 20, ... 28, ...)"),
        (line_of(cells_of(votes=[])), "16 columns, expected 16 and two for each rater "
         "(18, 20, ... 28, ...)"),
        (line_of(cells_of(votes=["r1", "1", "r2"])), "19 columns, expected 16 and two for each "
         "rater (18, 20, ... 28, ...)"),
        (with_cell(1, "nan"), "left is nan, " + NO_FRACTION),
        (with_cell(1, "-inf"), "left is -inf, " + NO_FRACTION),
        (with_cell(2, "1e400"), "right is inf, " + NO_FRACTION),
        (with_cell(2, ""), "box side '' is not a number"),
        (with_cell(2, "0_1"), "box side '0_1' is not a number"),
        (with_cell(2, "٠"), "box side '٠' is not a number"),
        (with_cell(2, "9" * 100), "right is 1e+100, " + NO_FRACTION),
        (with_cell(2, "0.1"), "empty box: left 0.1, right 0.1, top 0.2, bottom 0.6; "
         "expected left < right and top < bottom"),
        (with_cell(4, "0.1"), "empty box: left 0.1, right 0.5, top 0.2, bottom 0.1; "
         "expected left < right and top < bottom"),
        (with_cell(15, "FOUR_CLASS_TRIPLET"), "unknown triplet type 'FOUR_CLASS_TRIPLET'"),
        (with_cell(17, "0"), "answer '0' is not 1, 2 or 3"),
        (with_cell(17, "4"), "answer '4' is not 1, 2 or 3"),
        (with_cell(27, "²"), "answer '²' is not 1, 2 or 3"),
        (with_cell(0, ""), "a face has no image"),
        (with_cell(0, "/etc/passwd"), "image '/etc/passwd' is neither a URL nor a path inside "
         "images/"),
        (with_cell(0, "a/../../b.jpg"), "image 'a/../../b.jpg' is neither a URL nor a path inside "
         "images/"),
        (line_of(cells_of(faces=(FACES[0], FACES[1], FACES[0]))),
         "the triplet has the same face twice"),
    ],
)  # fmt: skip
def test_bad_rows_say_why(tmp_path, line, reason):
    assert reason_of(tmp_path, line) == reason


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_a_face_spelt_in_two_ways_is_the_same_face(tmp_path, pair):
    three = list(FACES)
    three[pair[0]] = ("x.jpg", "0.5", "1", "0", "1.0")
    three[pair[1]] = ("x.jpg", "0.50", "1.0", "-0", "1")
    assert "same face twice" in reason_of(tmp_path, line_of(cells_of(faces=three)))


def test_a_name_with_a_tab_is_rejected(tmp_path):
    assert "control characters" in reason_of(tmp_path, with_cell(0, "a\tb.jpg"))


def test_repeated_faces_and_answers_are_one_object(tmp_path):
    respelt = GOOD.replace("0.25", "0.250")
    first, second = read(tmp_path, GOOD + respelt).triplets
    assert all(a is b for a, b in zip(first.faces, second.faces, strict=True))
    assert first.answers is second.answers


def test_no_usable_row_tells_the_first_reason(tmp_path):
    with pytest.raises(BadAnnotations) as caught:
        read(tmp_path, "\nurl,left\n" + with_cell(17, "9"))
    assert "has no usable row (rows read: 2). The first: line 2: 2 columns" in str(caught.value)
    with pytest.raises(BadAnnotations, match=r"no usable row \(rows read: 0\)\. Expected"):
        read(tmp_path, "")


def test_utf16_is_rejected_not_misread(tmp_path):
    with pytest.raises(BadAnnotations, match="not UTF-8"):
        read(tmp_path, GOOD.encode("utf-16"))


def test_what_cannot_be_read_is_missing_data(tmp_path):
    with pytest.raises(MissingData, match="cannot be read: Is a directory"):
        read_annotations(tmp_path)
    with pytest.raises(MissingData, match="No such file"):
        read_annotations(tmp_path / "none.csv")


def test_annotations_are_found_under_both_names(tmp_path):
    with pytest.raises(MissingData, match=r"There is no data folder .*none"):
        find_annotations(tmp_path / "none", "train")
    with pytest.raises(MissingData, match=r"neither test\.csv nor faceexp-comparison-data-test-pu"):
        find_annotations(tmp_path, "test")
    original = tmp_path / "faceexp-comparison-data-test-public.csv"
    original.touch()
    assert find_annotations(tmp_path, "test") == original
    (tmp_path / "test.csv").touch()
    assert find_annotations(tmp_path, "test") == tmp_path / "test.csv"


@pytest.mark.parametrize(
    ("image", "suffix"),
    [
        ("http://a.org/x.PNG?size=1.gif", ".png"),
        ("https://a.org/x.webp#y.gif", ".webp"),
        ("http://a.org/x", ".jpg"),
        ("http://a.org/x.php", ".jpg"),
        ("HTTP://a.org/x.bmp", ".bmp"),
        ("http://[broken/x.gif", ".gif"),
    ],
)
def test_the_file_of_a_url_is_named_by_its_hash(image, suffix):
    ref = FaceRef(image, 0, 1, 0, 1)
    digest = hashlib.sha256(image.encode()).hexdigest()[:32]
    assert ref.image_path == f"{digest[:2]}/{digest}{suffix}"


def test_two_urls_with_one_basename_have_two_files():
    paths = {FaceRef(f"http://{host}/1.jpg", 0, 1, 0, 1).image_path for host in ("a.org", "b.org")}
    assert len(paths) == 2


def test_a_path_is_its_own_file():
    assert FaceRef("a b/c,d.jpg", 0, 1, 0, 1).image_path == "a b/c,d.jpg"
    assert not is_url("httpx/1.jpg")


def test_rejected_rows_are_written_and_an_empty_list_clears_them(tmp_path):
    path = tmp_path / "new" / "rejected.csv"
    rows = [RejectedRow("a.csv", 3, 'bad, "very"'), RejectedRow("b\udcff.csv", 0, "x")]
    write_rejected(path, rows)
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["file", "line", "reason"], ["a.csv", "3", 'bad, "very"'], ["b\\udcff.csv", "0", "x"],
        ]  # fmt: skip
    write_rejected(path, [])
    assert not path.exists()
    write_rejected(path, [])


def test_rejected_rows_that_cannot_be_written_are_a_storage_failure(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match=r"rejected\.csv could not be written"):
        write_rejected(tmp_path / "file" / "rejected.csv", [RejectedRow("a", 1, "b")])
