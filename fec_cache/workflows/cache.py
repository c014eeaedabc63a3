"""The cache as an object one can look at: what `fec cache ...` does, and how it tells of it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.folders import some_cache_folders
from fec_cache.cache.maintenance.verify import Finding, VerifyReport, is_behind
from fec_cache.cache.manifest import Manifest
from fec_cache.cache.provenance import read_provenance
from fec_cache.errors import CacheDamaged, FecError
from fec_cache.system.reporter import Parts, Table
from fec_cache.system.wording import counted, data_size

_MOST_REASONS = 8


@dataclass(frozen=True)
class CacheSummary:
    """One cache in a list; of a damaged one only its name, its size and the error are known."""

    name: str
    label: str
    weights: str
    precision: str
    num_faces: int
    num_failed: int
    size_bytes: int
    state: str
    error: str = ""


@dataclass(frozen=True)
class Told:
    """A result, for people and for --json, and whether all is well."""

    parts: Parts
    fields: Mapping[str, Any]
    is_well: bool = True


def list_summaries(cache_dir: Path) -> Told:
    """Every cache of a folder, readable or not."""
    summaries = [summarize(folder) for folder in some_cache_folders(cache_dir)]
    columns = ["cache", "features", "weights", "precision", "faces", "failed", "size", "state"]
    rows = [
        [one.name, one.label, one.weights, one.precision]
        + ([str(one.num_faces), str(one.num_failed)] if not one.error else ["", ""])
        + [data_size(one.size_bytes), one.state]
        for one in summaries
    ]
    lines: list[str | Table] = [Table(f"{len(summaries)} in {cache_dir}", columns, rows)]
    lines += [one.error for one in summaries if one.error]
    return Told(lines, {"caches": [asdict(one) for one in summaries]})


def summarize(folder: Path) -> CacheSummary:
    """What a look at a cache's small files tells; shards are not read."""
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    try:
        cache = FeatureCache.open(folder)
        manifest = cache.manifest()
    except FecError as error:
        return CacheSummary(folder.name, "", "", "", 0, 0, size_bytes, "damaged", str(error))
    recipe = cache.recipe
    return CacheSummary(
        folder.name,
        f"{recipe.backbone}:{recipe.layer}{' mirrored' * recipe.flip}",
        recipe.weights_label,
        recipe.precision,
        manifest.num_faces,
        len(manifest.failed),
        size_bytes,
        _state(cache, manifest),
    )


def _state(cache: FeatureCache, manifest: Manifest) -> str:
    sizes = (cache.folder / entry.file for entry in manifest.shards if entry.rows)
    if not all(path.is_file() for path in sizes):
        return "shards missing"
    if not manifest.num_faces:
        return "empty"
    return "views behind" if is_behind(manifest) else "ready"


def describe(cache: FeatureCache) -> Told:
    """Recipe, shards, failures by reason and runs of one cache."""
    manifest = cache.manifest()
    summary = summarize(cache.folder)
    reasons = Counter(
        face.reason.removeprefix(f"{Path(face.image).name} ") for face in manifest.failed
    )
    try:
        runs, trouble = read_provenance(cache.folder), ""
    except CacheDamaged as error:
        runs, trouble = (), str(error)
    recipe = json.loads(cache.recipe.canonical_json())
    fields = {
        **asdict(summary),
        "folder": str(cache.folder),
        "fingerprint": cache.recipe.fingerprint,
        "recipe": recipe,
        "shards": [{"file": s.file, "rows": s.rows, "sha256": s.sha256} for s in manifest.shards],
        "failures": dict(reasons),
        "runs": runs,
    }
    lines: list[str | Table] = [
        _headline(cache.folder, manifest, summary),
        *_recipe_lines(recipe),
        _shard_table(cache, manifest),
    ]
    if reasons:
        rows = [[reason[:100], str(count)] for reason, count in reasons.most_common(_MOST_REASONS)]
        lines.append(Table("Failures", ["reason", "faces"], rows))
    if runs:
        lines.append(_run_table(runs))
    lines += [trouble] if trouble else []
    if is_behind(manifest):
        lines.append(
            "features.h5 and failures.csv lack the newest shards: a run was ended before its end. "
            "The next `fec extract` or `fec cache repair` brings them up to date."
        )
    return Told(lines, fields)


def _headline(folder: Path, manifest: Manifest, summary: CacheSummary) -> str:
    shards = [entry for entry in manifest.shards if entry.rows]
    return (
        f"{folder}: {counted(manifest.num_faces, 'face')} in {counted(len(shards), 'shard')}, "
        f"{data_size(summary.size_bytes)}, {counted(len(manifest.failed), 'face')} failed; "
        f"{summary.state}"
    )


def _recipe_lines(recipe: Mapping[str, Any]) -> list[str]:
    lines = ["Recipe"]
    for name, value in recipe.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        lines += [f"  {'.'.join(filter(None, (name, part))):<18} {text}" for part, text in parts]
    return lines


def _shard_table(cache: FeatureCache, manifest: Manifest) -> Table:
    rows = []
    for entry in manifest.shards:
        path = cache.folder / entry.file
        size = data_size(path.stat().st_size) if entry.rows and path.is_file() else "-"
        counts = [str(entry.rows), str(len(entry.failed)), size]
        rows.append([entry.file or "(no face usable)", *counts, entry.sha256[:12]])
    return Table("Shards", ["file", "faces", "failed", "size", "sha256"], rows)


def _run_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    columns = ["date", "device", "batch_size", "torch", "weights"]
    rows = [[str(run.get(name, "")) for name in columns] for run in runs]
    return Table("Runs that computed something", columns, rows)


def tell_verified(reports: Sequence[VerifyReport], index: Sequence[Finding]) -> Told:
    """What was checked, what is bad and what is merely worth a remark."""
    rows = [
        [one.folder.name, str(one.num_shards), str(one.num_faces), _verdict(one)] for one in reports
    ]
    lines: list[str | Table] = [
        Table("Every byte checked", ["cache", "shards", "faces", "verdict"], rows)
    ]
    bad = [(one.folder.name, finding) for one in reports for finding in one.problems]
    bad += [("", finding) for finding in index]
    for title, found in (
        ("Damaged", bad),
        ("Remarks", [(one.folder.name, f) for one in reports for f in one.remarks]),
    ):
        lines += [f"{title}:"] if found else []
        lines += [f"  {'/'.join(filter(None, (name, f.file)))}: {f.what}" for name, f in found]
    if bad:
        lines.append("Run `fec cache repair`, then the `fec extract` that made the features.")
    fields = {
        "is_sound": not bad,
        "caches": [{**asdict(one), "folder": str(one.folder)} for one in reports],
        "index": [asdict(finding) for finding in index],
    }
    return Told(lines, fields, not bad)


def _verdict(report: VerifyReport) -> str:
    if report.problems:
        return f"{len(report.problems)} damaged"
    return "sound" if not report.remarks else "sound; see remarks"
