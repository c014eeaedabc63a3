import json

import h5py
import pytest

from fec_cache.cache.provenance import read_provenance, record_run
from fec_cache.errors import CacheDamaged

CPU = "cpu x86_64"


def runs(folder):
    return json.loads((folder / "provenance.json").read_text())["runs"]


def test_each_run_is_added(tmp_path):
    record_run(tmp_path, "a file", CPU, 8)
    record_run(tmp_path, "another", CPU, 16)
    first, second = runs(tmp_path)
    assert (first["weights"], first["batch_size"]) == ("a file", 8)
    assert (second["weights"], second["batch_size"]) == ("another", 16)
    assert first["device"] == CPU
    assert first["h5py"] == h5py.__version__
    assert first["date"].endswith("+00:00")


@pytest.mark.parametrize("content", [b"garbage", b"{}", b"\xff", b""])
def test_an_unreadable_one_is_replaced(tmp_path, content):
    (tmp_path / "provenance.json").write_bytes(content)
    record_run(tmp_path, "a file", CPU, 8)
    assert len(runs(tmp_path)) == 1


def test_every_flipped_bit_is_found(tmp_path):
    assert read_provenance(tmp_path) == ()
    record_run(tmp_path, "a file", CPU, 8)
    path = tmp_path / "provenance.json"
    content = path.read_bytes()
    assert read_provenance(tmp_path) == tuple(runs(tmp_path))
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(CacheDamaged, match="Run: fec cache repair"):
            read_provenance(tmp_path)
