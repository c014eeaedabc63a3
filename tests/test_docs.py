"""The pages keep up with the files: links and paths that they name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = "fec_cache|tests|docs|benchmarks|campaigns|tools|examples"
# A whole path, or the end of one: `inference/winograd.py` is below fec_cache/.
NAMED = re.compile(rf"(?<![\w/.:-])((?:{FOLDERS})/[\w/.-]*\w(?:/(?!\w))?|[\w/-]+/\w+\.py)\b(?!/\w)")


def exists(name):
    return (ROOT / name).exists() or (ROOT / "fec_cache" / name).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    files = [target for target in targets if not target.startswith(("http:", "https:"))]
    assert [name for name in files if not (page.parent / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_paths_exist(page):
    names = NAMED.findall(page.read_text(encoding="utf-8"))
    assert [name for name in names if not exists(name)] == []


def test_paths_are_found_in_text():
    text = "`fec_cache/heads/x`, docs/api.md. See `campaigns/faults.py --jobs 3`; features/old.py."
    paths = ["fec_cache/heads/x", "docs/api.md", "campaigns/faults.py", "features/old.py"]
    assert NAMED.findall(text) == paths
    assert [name for name in paths if not exists(name)] == ["fec_cache/heads/x", "features/old.py"]
