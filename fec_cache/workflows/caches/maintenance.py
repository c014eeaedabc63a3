"""Repairing, exporting, pruning and removing caches, as calls that `fec cache ...` makes."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.catalogue import select_cache
from fec_cache.cache.maintenance.prune import prune_cache, remove_cache, remove_half_removed
from fec_cache.cache.maintenance.repair import RepairReport, repair_cache, repair_index
from fec_cache.errors import BadOption, FecError, MissingData
from fec_cache.export.cache_tables import SUFFIXES, export_cache
from fec_cache.faces.table import Face, FaceTable
from fec_cache.system.reporter import Reporter
from fec_cache.system.wording import counted, data_size
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.caches.inspection import CacheReport
from fec_cache.workflows.loading.faces import read_splits, table_of_faces

_SUFFIXES = {**{suffix: name for name, suffix in SUFFIXES.items()}, "": "hdf5", ".hdf5": "hdf5"}


def repair_caches(cache_dir: Path, folders: Sequence[Path], reporter: Reporter) -> CacheReport:
    """Repair caches and the index of image digests; one that cannot be repaired stops no other.

    Raises:
        FecError: some caches could not be repaired; the others were.
    """
    lines: list[str] = []
    fields: list[dict[str, object]] = []
    errors: list[str] = []
    for folder in folders:
        try:
            report = repair_cache(folder)
        except FecError as error:
            errors.append(str(error))
            continue
        lines += _repaired(report)
        fields.append({**asdict(report), "folder": str(folder)})
    is_index_repaired = repair_index(cache_dir)
    if is_index_repaired:
        lines.append("images.index: damaged lines dropped; their images will be read again")
    # The error ends the command, so what was repaired is reported before it.
    if errors:
        for line in lines:
            reporter.message(line)
        raise FecError(" ".join(errors))
    return CacheReport(lines, {"caches": fields, "index_mended": is_index_repaired})


def _repaired(report: RepairReport) -> list[str]:
    done = [f"{counted(len(report.dropped), 'item')} dropped"] if report.dropped else []
    done += [f"rebuilt: {', '.join(report.rebuilt)}"] if report.rebuilt else []
    done += [f"removed: {', '.join(report.removed)}"] if report.removed else []
    verdict = "; ".join(done) or "nothing to repair"
    lines = [f"{report.folder.name}: {counted(report.num_faces, 'face')} kept; {verdict}"]
    return lines + [f"  {problem}" for problem in report.dropped]


def export_one(
    workspace: Workspace,
    features: str | None,
    out: Path,
    kind: str | None,
    is_forced: bool,
    reporter: Reporter,
) -> CacheReport:
    """Write a cache as one file.

    Raises:
        BadOption: several caches are named, or the file's suffix names no format.
    """
    if features and "," in features:
        raise BadOption(
            f"features is {features!r}, but a file can contain only one cache. "
            "Export each cache to its own file."
        )
    cache = select_cache(workspace.cache_dir, features)
    kind = kind or _SUFFIXES.get(out.suffix.lower())
    if kind is None:
        raise BadOption(
            f"{out} has an unknown suffix; expected {', '.join(filter(None, _SUFFIXES))},"
            " or a format in --format."
        )
    try:
        faces: Sequence[Face] = _faces(workspace, reporter).present
    except MissingData as error:
        reporter.warning(f"Image paths and boxes are left empty: {error}")
        faces = ()
    report = export_cache(cache, out, kind, faces, is_forced)
    text = (
        f"{report.path}: {counted(report.num_faces, 'face')} as {report.format}, "
        f"{data_size(report.size_bytes)}; {report.num_named} with image path and box"
    )
    return CacheReport([text], {**asdict(report), "path": str(report.path)})


def prune_caches(
    workspace: Workspace,
    folders: Sequence[Path],
    is_unused_too: bool,
    is_dry: bool,
    reporter: Reporter,
) -> CacheReport:
    """Remove leftovers of stopped runs and, on request, faces that the data do not name."""
    used = _used(workspace, reporter) if is_unused_too else None
    reports = [prune_cache(FeatureCache.open(folder), used, is_dry) for folder in folders]
    num_halves = 0 if is_dry else remove_half_removed(workspace.cache_dir)
    verb = "would be removed" if is_dry else "removed"
    lines = [
        f"{pruned.folder.name}: {counted(len(pruned.files), 'leftover file')} and "
        f"{counted(pruned.num_faces, 'unused face')} {verb}, {data_size(pruned.size_bytes)}"
        for pruned in reports
    ]
    fields = [{**asdict(pruned), "folder": str(pruned.folder)} for pruned in reports]
    more = {"dry_run": is_dry, "half_removed": num_halves}
    return CacheReport(lines, {"caches": fields, **more})


def remove_caches(folders: Sequence[Path], is_dry: bool) -> CacheReport:
    """Delete whole caches."""
    lines, fields = [], []
    for folder in folders:
        files = (path for path in folder.rglob("*") if path.is_file())
        size_bytes = sum(path.stat().st_size for path in files) if is_dry else remove_cache(folder)
        verb = "would be deleted" if is_dry else "deleted"
        lines.append(f"{folder.name}: {verb}, {data_size(size_bytes)}")
        fields.append({"folder": str(folder), "size_bytes": size_bytes})
    return CacheReport(lines, {"caches": fields, "dry_run": is_dry})


def _faces(workspace: Workspace, reporter: Reporter) -> FaceTable:
    return table_of_faces(workspace, read_splits(workspace, reporter), reporter)


def _used(workspace: Workspace, reporter: Reporter) -> frozenset[str]:
    """Ids of the faces that the data folder names.

    Raises:
        MissingData: some faces have no image, so their features cannot be identified.
    """
    faces = _faces(workspace, reporter)
    if faces.missing:
        first = faces.missing[0]
        raise MissingData(
            f"{counted(len(faces.missing), 'face')} of {workspace.data_dir} without an image (the "
            f"first, {first.ref.image_path}: {first.reason}), so their features cannot be "
            "identified. Nothing was pruned. Add the images, or omit --unused."
        )
    return frozenset(face.face_id for face in faces.present)
