"""`fec demo`: where it writes, and where it does not."""


def tree(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_the_demo_leaves_a_set_of_ones_own_alone(place):
    before = tree(place.folder)
    for out in ("data", "."):
        line = place.fails("demo", "--out", out)
        assert "is not empty and contains no demo.json" in line
        assert "Choose a new or empty folder with --out" in line
    assert tree(place.folder) == before


def test_the_demo_is_done_again_in_its_own_folder(empty):
    out = empty.folder / "out"
    out.mkdir()
    (out / "notes.txt").touch()
    assert "contains no demo.json" in empty.fails("demo", "--out", "out", "--backbone", "nope")
    (out / "demo.json").touch()
    # Past the check of the folder, and stopped by the backbone before anything is drawn.
    assert "nope" in empty.misused("demo", "--out", "out", "--backbone", "nope")
    assert sorted(path.name for path in out.iterdir()) == ["demo.json", "notes.txt"]


def test_a_file_is_no_folder_for_the_demo(empty):
    (empty.folder / "out").touch()
    assert "out is a file" in empty.fails("demo", "--out", "out")
