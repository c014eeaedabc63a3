"""`fec synthesize` and `fec import-folder`: what reaches their workflows."""

from pathlib import Path

from fec_cache.datasets.labelled.config import FolderConfig
from fec_cache.datasets.synthetic.config import SyntheticConfig


def test_synthesize_passes_the_folder_and_the_configuration(arguments_of):
    out, config, _ = arguments_of("datasets.synthesize", "synthesize")
    assert (out, config) == (Path("data"), SyntheticConfig())
    words = ("--out", "x", "--faces", "30", "--triplets", "7", "--seed", "3")
    out, config, _ = arguments_of("datasets.synthesize", "synthesize", *words)
    assert (out, config) == (Path("x"), SyntheticConfig(faces=30, triplets=7, seed=3))


def test_import_folder_passes_the_source_the_folder_and_the_configuration(arguments_of):
    words = ("import-folder", "pictures", "--out", "x")
    source, out, config, _ = arguments_of("datasets.import_pictures", *words)
    assert (source, out, config) == (Path("pictures"), Path("x"), FolderConfig())
    more = ("--triplets", "9", "--test-share", "0.5", "--seed", "2")
    config = arguments_of("datasets.import_pictures", *words, *more)[2]
    assert config == FolderConfig(triplets=9, test_share=0.5, seed=2)


def test_an_import_needs_a_folder_to_write(empty):
    assert "Missing option '--out'" in empty.misused("import-folder", "pictures")
