import csv
import json
import shutil
from dataclasses import asdict
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fec_cache.datasets.annotations import read_annotations
from fec_cache.datasets.labelled.config import FolderConfig
from fec_cache.datasets.labelled.import_folder import FolderSummary, import_folder
from fec_cache.errors import BadAnnotations, BadOption, MissingData, OutputExists, StorageFailed

SIDES = ("left", "right", "top", "bottom")


def write_source(folder, words=("happy", "sad", "angry"), people=10, box=("", "", "", "")):
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for word, person in product(words, range(people)):
        (folder / f"{word}{person}.jpg").write_bytes(f"{word} {person}".encode())
        rows.append((f"{word}{person}.jpg", f"p{person}", word, *box))
    write_table(folder / "faces.csv", rows)
    return folder


def write_table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "identity", "expression", *SIDES), *rows])


def labels_of(out):
    with (out / "labels.csv").open(newline="", encoding="utf-8") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def triplets_of(out):
    return [
        t for split in ("train", "test") for t in read_annotations(out / f"{split}.csv").triplets
    ]


def files_of(out):
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
    }


def test_the_summary_counts_what_was_written(tmp_path):
    source = write_source(tmp_path / "in", box=("0.1", "0.9", "0.25", "0.75"))
    with (source / "faces.csv").open("a") as file:
        file.write("none.jpg,,sad,,,,\n")
    out = tmp_path / "out"
    ticks = []
    summary = import_folder(source, out, FolderConfig(), lambda *tick: ticks.append(tick))
    assert summary == FolderSummary(
        out=out, num_seen=31, num_faces=30, num_rejected=1, num_identities=10,
        expressions={"angry": 10, "happy": 10, "sad": 10},
        num_train_triplets=72, num_test_triplets=12, num_unused=0,
    )  # fmt: skip
    assert ticks == [(number, 30) for number in range(1, 31)]
    assert len(read_annotations(out / "train.csv").triplets) == 72
    assert len(read_annotations(out / "test.csv").triplets) == 12
    assert all(face.box == (0.1, 0.9, 0.25, 0.75) for t in triplets_of(out) for face in t.faces)
    assert json.loads((out / "imported.json").read_text()) == {
        "answers": "labels", "source": "in", **asdict(FolderConfig()),
    }  # fmt: skip
    assert (out / "rejected.csv").read_text() == (
        "file,line,reason\nfaces.csv,32,no picture 'none.jpg' next to the table or in images/\n"
    )


def test_answers_name_the_face_of_another_expression_from_labels(tmp_path):
    out = tmp_path / "out"
    import_folder(write_source(tmp_path / "in"), out, FolderConfig())
    labels = labels_of(out)
    for triplet in triplets_of(out):
        assert (triplet.type, triplet.raters) == ("TWO_CLASS_TRIPLET", ("label",))
        (answer,) = triplet.answers
        odd = triplet.faces[answer - 1].image
        first, second = (labels[f.image] for f in triplet.faces if f.image != odd)
        assert first["expression"] == second["expression"] != labels[odd]["expression"]
        assert first["identity"] != second["identity"]


def test_no_person_is_in_both_splits(tmp_path):
    out = tmp_path / "out"
    import_folder(write_source(tmp_path / "in"), out, FolderConfig(seed=4))
    labels = labels_of(out)
    people = [
        {labels[face.image]["identity"] for triplet in read_annotations(out / name).triplets
         for face in triplet.faces}
        for name in ("train.csv", "test.csv")
    ]  # fmt: skip
    assert not people[0] & people[1]
    assert len(people[1]) == 2


def test_training_people_form_blocks_that_share_no_triplet(tmp_path):
    out = tmp_path / "out"
    config = FolderConfig(blocks=3, test_share=0.25)
    import_folder(write_source(tmp_path / "in", "abcdef", people=16), out, config)
    labels = labels_of(out)
    block_of = {}
    for triplet in read_annotations(out / "train.csv").triplets:
        people = {labels[face.image]["identity"] for face in triplet.faces}
        block = set().union(people, *(block_of.get(person, set()) for person in people))
        for person in block:
            block_of[person] = block
    assert sorted(len(block) for block in {frozenset(b) for b in block_of.values()}) == [4, 4, 4]


def test_ten_people_still_give_training_triplets(tmp_path):
    # One of eight blocks would be one person, who gives no two people of one expression.
    summary = import_folder(write_source(tmp_path / "in"), tmp_path / "out", FolderConfig(blocks=8))
    assert summary.num_train_triplets == 72


def test_faces_in_no_triplet_are_counted(tmp_path):
    source = write_source(tmp_path / "in")
    summary = import_folder(source, tmp_path / "out", FolderConfig(triplets=5))
    used = {face for triplet in triplets_of(tmp_path / "out") for face in triplet.faces}
    assert summary.num_train_triplets + summary.num_test_triplets == 5
    assert summary.num_unused == 30 - len(used) > 15
    assert set(labels_of(tmp_path / "out")) > {face.image for face in used}


def test_the_same_source_and_seed_give_the_same_bytes(tmp_path):
    source = write_source(tmp_path / "in")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        import_folder(source, tmp_path / name, FolderConfig(seed=seed))
    first, second, other = (files_of(tmp_path / name) for name in "abc")
    assert first == second
    assert first["train.csv"] != other["train.csv"]
    assert {n: b for n, b in first.items() if n.startswith("images/")} == {
        f"images/{p.name}": p.read_bytes() for p in source.glob("*.jpg")
    }


def test_copies_and_pictures_without_bytes_are_reported(tmp_path):
    source = write_source(tmp_path / "in")
    (source / "copy.jpg").write_bytes((source / "happy3.jpg").read_bytes())
    (source / "empty.jpg").touch()
    with (source / "faces.csv").open("a") as file:
        # The same bytes with another box are another face.
        file.write("copy.jpg,,sad,,,,\nempty.jpg,,sad,,,,\ncopy.jpg,,sad,0,0.5,0,1\n")
    summary = import_folder(source, tmp_path / "out", FolderConfig())
    assert (summary.num_seen, summary.num_faces, summary.num_rejected) == (33, 31, 2)
    assert (tmp_path / "out" / "rejected.csv").read_text().splitlines()[1:] == [
        'copy.jpg,0,"copy of the face in happy3.jpg, labelled happy"',
        "empty.jpg,0,cannot be read: empty (0 bytes)",
    ]


def test_a_picture_that_cannot_be_read_is_reported(tmp_path, monkeypatch):
    source = write_source(tmp_path / "in")
    read_bytes = Path.read_bytes

    def refuse(path):
        if path.name == "sad5.jpg":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    summary = import_folder(source, tmp_path / "out", FolderConfig())
    assert (summary.num_faces, summary.num_rejected) == (29, 1)
    assert (tmp_path / "out" / "rejected.csv").read_text().splitlines()[1] == (
        "sad5.jpg,0,cannot be read: Permission denied"
    )


def test_several_faces_of_one_picture_are_copied_once(tmp_path):
    source = write_source(tmp_path / "in")
    rows = [(f"happy{n}.jpg", f"{side}{n}", word, *box) for n in range(10) for side, word, box in
            (("l", "joy", (0, 0.5, 0, 1)), ("r", "fear", (0.5, 1, 0, 1)))]  # fmt: skip
    write_table(source / "faces.csv", rows)
    ticks = []
    summary = import_folder(
        source, tmp_path / "out", FolderConfig(), lambda *tick: ticks.append(tick)
    )
    assert (summary.num_faces, len(ticks)) == (20, 10)
    assert {face.box for t in triplets_of(tmp_path / "out") for face in t.faces} == {
        (0.0, 0.5, 0.0, 1.0), (0.5, 1.0, 0.0, 1.0),
    }  # fmt: skip


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    stems=st.lists(
        st.text(st.sampled_from("aA ,\"'é日%#;`$&()\\~.-") | st.characters(codec="utf-8"),
                min_size=1, max_size=12), min_size=6, max_size=6, unique=True)
)  # fmt: skip
@example(stems=['q"uote', "com,ma", ' "', "it's é日", "new\nline", "tab\t"])
def test_a_name_survives_the_round_trip_or_is_rejected(tmp_path, stems):
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    written = set()
    for word in ("happy", "sad"):
        names = [*(f"plain{i}" for i in range(8)), *stems]
        for name in (f"{word}/{stem}.jpg" for stem in names if not set(stem) & set("/\0")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(name.encode())
            written.add(name)
    summary = import_folder(source, out, FolderConfig(triplets=400, test_share=0.3))
    assert summary.num_seen == len(written)
    copied = {p.relative_to(out / "images").as_posix(): p for p in (out / "images").rglob("*.jpg")}
    assert set(labels_of(out)) == set(copied) <= written
    assert len(written) - len(copied) == summary.num_rejected
    assert all(path.read_bytes() == name.encode() for name, path in copied.items())
    for split in ("train", "test"):
        annotations = read_annotations(out / f"{split}.csv")
        assert annotations.rejected == ()
        assert {face.image_path for t in annotations.triplets for face in t.faces} <= set(copied)


def test_a_second_import_leaves_no_orphans_and_keeps_other_files(tmp_path):
    out = tmp_path / "out"
    first = write_source(tmp_path / "first" / "x")
    shutil.move(first, tmp_path / "deep")
    import_folder(tmp_path / "deep", out, FolderConfig())
    (out / "images" / "mine.jpg").write_bytes(b"mine")
    second = write_source(tmp_path / "second", words=("fear", "joy"))
    import_folder(second, out, FolderConfig())
    assert {p.name for p in (out / "images").iterdir()} == {
        "mine.jpg", *(f"{word}{n}.jpg" for word in ("fear", "joy") for n in range(10)),
    }  # fmt: skip
    assert not (out / "rejected.csv").exists()
    assert {face.image[:3] for t in triplets_of(out) for face in t.faces} == {"fea", "joy"}


def test_empty_folders_of_an_earlier_import_are_removed(tmp_path):
    out = tmp_path / "out"
    for words in (("old1", "old2"), ("new1", "new2")):
        source = tmp_path / words[0]
        for word, n in product(words, range(12)):
            (source / word / "deep").mkdir(parents=True, exist_ok=True)
            (source / word / "deep" / f"{n}.jpg").write_text(f"{word} {n}")
        import_folder(source, out, FolderConfig())
    assert sorted(p.name for p in (out / "images").iterdir()) == ["new1", "new2"]


def test_an_earlier_list_deletes_nothing_outside_of_the_images(tmp_path):
    out = tmp_path / "out"
    source = write_source(tmp_path / "in")
    import_folder(source, out, FolderConfig())
    (tmp_path / "precious").touch()
    (out / "notes.txt").touch()
    with (out / "labels.csv").open("a") as file:
        file.write(f'../notes.txt,\n../../precious,\n{tmp_path}/precious,\n"torn\n')
        file.write("http://../../../../precious,\nhttp://../../notes.txt,\n")
    (out / "images" / "http:").mkdir()
    import_folder(source, out, FolderConfig())
    assert (tmp_path / "precious").exists()
    assert (out / "notes.txt").exists()


def test_a_kill_between_the_pictures_leaves_nothing_that_looks_complete(tmp_path):
    out = tmp_path / "out"
    import_folder(write_source(tmp_path / "a"), out, FolderConfig())

    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_folder(write_source(tmp_path / "b", words=("x", "y")), out, FolderConfig(), stop)
    assert not (out / "train.csv").exists()
    assert not (out / "test.csv").exists()
    import_folder(tmp_path / "a", out, FolderConfig())
    import_folder(tmp_path / "a", tmp_path / "fresh", FolderConfig())
    assert files_of(out) == files_of(tmp_path / "fresh")


def test_a_folder_of_other_files_is_not_touched(tmp_path):
    source = write_source(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExists, match=r"is not empty and contains no imported\.json"):
        import_folder(source, tmp_path / "out", FolderConfig())
    with pytest.raises(OutputExists, match=r"thesis\.txt is a file, but --out must be a folder"):
        import_folder(source, tmp_path / "out" / "thesis.txt", FolderConfig())
    assert files_of(tmp_path / "out") == {"thesis.txt": b"years of work"}


@pytest.mark.parametrize("of", ["out", "out/labels.csv", "."])
def test_an_import_is_never_written_over_its_own_source(tmp_path, of):
    out = tmp_path / "out"
    import_folder(write_source(tmp_path / "in"), out, FolderConfig())
    shutil.rmtree(tmp_path / "in")
    before = files_of(out)
    with pytest.raises(OutputExists, match=r"includes pictures inside .* outside the"):
        import_folder(tmp_path / of, out, FolderConfig())
    assert files_of(out) == before


def test_an_import_can_be_imported_again_elsewhere(tmp_path):
    source = write_source(tmp_path / "in")
    import_folder(source, tmp_path / "a", FolderConfig())
    import_folder(tmp_path / "a", tmp_path / "b", FolderConfig())
    assert (tmp_path / "a" / "train.csv").read_bytes() == (
        tmp_path / "b" / "train.csv"
    ).read_bytes()


def test_labels_without_triplets_are_a_named_error_and_write_nothing(tmp_path):
    source = write_source(tmp_path / "in", words=("happy",))
    with pytest.raises(
        BadAnnotations, match="gives no train triplet from 10 usable pictures: the people"
    ):
        import_folder(source, tmp_path / "out", FolderConfig())
    source = write_source(tmp_path / "two", people=2)
    with pytest.raises(BadAnnotations, match="gives no train triplet"):
        import_folder(source, tmp_path / "out", FolderConfig())
    assert not (tmp_path / "out").exists()


def test_a_source_that_goes_away_is_missing_data(tmp_path):
    source = write_source(tmp_path / "in")

    def delete(done, total):
        for path in source.glob("*.jpg"):
            path.unlink()

    with pytest.raises(MissingData, match=r"in/happy1\.jpg cannot be read: No such file"):
        import_folder(source, tmp_path / "out", FolderConfig(), delete)


def test_a_place_that_cannot_be_written_is_a_storage_failure(tmp_path):
    (tmp_path / "file").touch()
    source = write_source(tmp_path / "in")
    with pytest.raises(StorageFailed, match=r"file.out could not be written: Not a directory"):
        import_folder(source, tmp_path / "file" / "out", FolderConfig())


@pytest.mark.parametrize(
    "field",
    [{"triplets": -1}, {"test_share": 0.0}, {"test_share": 1.0}, {"blocks": 0}, {"seed": -1}],
)
def test_settings_are_checked(field):
    with pytest.raises(BadOption):
        FolderConfig(**field)
