import os

import pytest

from fec_cache.system import memory
from fec_cache.system.memory import free_memory_bytes


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with 8,000 kB available, as its files in /proc and /sys say."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9999 kB\nMemFree:  11 kB\nMemAvailable:   8000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)
    return tmp_path


def test_what_the_system_calls_available_is_free(machine):
    assert free_memory_bytes() == 8000 * 1024


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [
        ("5000000", "1000000", 4_000_000),
        ("99000000000", "1000000", 8000 * 1024),
        ("5000", "9000", 0),
        ("max", "1000", 8000 * 1024),
    ],
)
def test_a_containers_limit_counts(machine, limit, used, free):
    (machine / "memory.max").write_text(f"{limit}\n")
    (machine / "memory.current").write_text(f"{used}\n")
    assert free_memory_bytes() == free


def test_without_proc_half_of_the_total_is_taken(machine, monkeypatch):
    (machine / "meminfo").unlink()
    monkeypatch.setattr(os, "sysconf_names", {"SC_PHYS_PAGES": 1})
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.get)
    assert free_memory_bytes() == 1000 * 4096 // 2
    monkeypatch.setattr(os, "sysconf_names", {})
    assert free_memory_bytes() == 4_000_000_000
