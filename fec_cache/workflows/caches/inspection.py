"""Listing, describing and verifying caches, as calls that `fec cache ...` makes."""

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
    """One cache in a list; a damaged one has only its name, its size and the error."""

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
class CacheReport:
    """A result for people (`parts`) and for --json (`fields`); `is_well` is False for damage."""

    parts: Parts
    fields: Mapping[str, Any]
    is_well: bool = True


def list_summaries(cache_dir: Path) -> CacheReport:
    """Every cache of a folder, readable or not.

    Raises:
        CacheNotFound: the folder holds no cache.
    """
    summaries = [summarize(folder) for folder in some_cache_folders(cache_dir)]
    columns = ["cache", "features", "weights", "precision", "faces", "failed", "size", "state"]
    rows = [
        [cache.name, cache.label, cache.weights, cache.precision]
        + ([str(cache.num_faces), str(cache.num_failed)] if not cache.error else ["", ""])
        + [data_size(cache.size_bytes), cache.state]
        for cache in summaries
    ]
    lines: list[str | Table] = [Table(f"{len(summaries)} in {cache_dir}", columns, rows)]
    lines += [cache.error for cache in summaries if cache.error]
    return CacheReport(lines, {"caches": [asdict(cache) for cache in summaries]})


def summarize(folder: Path) -> CacheSummary:
    """One cache by its small files; shards are not read."""
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
    # A shard of failed faces only has no file.
    shards = (cache.folder / entry.file for entry in manifest.shards if entry.rows)
    if not all(path.is_file() for path in shards):
        return "shards missing"
    if not manifest.num_faces:
        return "empty"
    return "views behind" if is_behind(manifest) else "ready"


def describe(cache: FeatureCache) -> CacheReport:
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
            "features.h5 and failures.csv lack the newest shards: a run was stopped early. The "
            "next `fec extract` or `fec cache repair` updates them."
        )
    return CacheReport(lines, fields)


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
        rows.append([entry.file or "(no usable face)", *counts, entry.sha256[:12]])
    return Table("Shards", ["file", "faces", "failed", "size", "sha256"], rows)


def _run_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    columns = ["date", "device", "batch_size", "torch", "weights"]
    rows = [[str(run.get(name, "")) for name in columns] for run in runs]
    return Table("Runs that computed something", columns, rows)


def verified_report(reports: Sequence[VerifyReport], index: Sequence[Finding]) -> CacheReport:
    """A table of what was verified, then the damage and the remarks."""
    rows = [
        [cache.folder.name, str(cache.num_shards), str(cache.num_faces), _verdict(cache)]
        for cache in reports
    ]
    lines: list[str | Table] = [
        Table("Every byte checked", ["cache", "shards", "faces", "verdict"], rows)
    ]
    damaged = [(cache.folder.name, finding) for cache in reports for finding in cache.problems]
    damaged += [("", finding) for finding in index]
    remarks = [(cache.folder.name, finding) for cache in reports for finding in cache.remarks]
    for title, findings in (("Damaged", damaged), ("Remarks", remarks)):
        lines += [f"{title}:"] if findings else []
        lines += [f"  {'/'.join(filter(None, (name, f.file)))}: {f.what}" for name, f in findings]
    if damaged:
        lines.append("Run `fec cache repair`, then the same `fec extract` as before.")
    fields = {
        "is_sound": not damaged,
        "caches": [{**asdict(cache), "folder": str(cache.folder)} for cache in reports],
        "index": [asdict(finding) for finding in index],
    }
    return CacheReport(lines, fields, not damaged)


def _verdict(report: VerifyReport) -> str:
    if report.problems:
        return f"{len(report.problems)} damaged"
    return "sound" if not report.remarks else "intact; see remarks"
