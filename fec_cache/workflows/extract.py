"""Stage one as one call: annotations -> faces -> features in the cache."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fec_cache.backbones.base import Backbone
from fec_cache.backbones.load import load_backbone
from fec_cache.backbones.registry import find_architecture
from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.datasets.annotations import Annotations, write_rejected
from fec_cache.extraction.batches import STAGES
from fec_cache.extraction.config import FLIPS, ExtractConfig
from fec_cache.extraction.decoding import choose_decode
from fec_cache.extraction.devices import BackboneSource, check_devices, extract_on_devices
from fec_cache.extraction.extract import ExtractSummary
from fec_cache.extraction.extract import extract as extract_faces
from fec_cache.extraction.recipes import recipes_of
from fec_cache.extraction.run import ExtractProgress
from fec_cache.faces.crop import DECODERS, CropConfig
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import FaceTable
from fec_cache.inference.network import choose_device
from fec_cache.inference.precision import choose_precision
from fec_cache.system.checks import check_type
from fec_cache.system.reporter import LOGGING, Reporter
from fec_cache.system.wording import counted, duration
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.loading.faces import read_splits, table_of_faces
from fec_cache.workflows.loading.triplets import warn_of_random_weights


@dataclass(frozen=True)
class ExtractOutcome:
    """The result of an extraction."""

    summary: ExtractSummary
    backbone: str
    weights: str
    precision: str
    num_rows: int
    num_rejected: int

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        summary = self.summary
        seconds = summary.seconds
        fields = {k: v for k, v in _counters(summary).items() if k not in ("seconds", "folders")}
        return {
            "backbone": self.backbone,
            "weights": self.weights,
            "precision": self.precision,
            "caches": [str(folder) for folder in summary.folders],
            "rows": self.num_rows,
            "rejected_rows": self.num_rejected,
            **fields,
            "stage_seconds": {name: getattr(seconds, name) for name in STAGES},
        }

    def in_words(self) -> str:
        """For people."""
        summary = self.summary
        lines = [
            f"{counted(summary.num_faces, 'face')}: {summary.num_computed} computed now, "
            f"{summary.num_cached} cached before, {summary.num_failed} with an unusable picture, "
            f"{summary.num_missing} without an image",
        ]
        if summary.num_same:
            lines.append(f"Of these, duplicates of other faces: {summary.num_same}")
        if self.num_rejected:
            lines.append(
                f"{self.num_rejected} of {counted(self.num_rows, 'row')} rejected: see rejected.csv"
            )
        if summary.num_computed:
            rate = summary.num_computed / summary.duration_s
            lines.append(f"{duration(summary.duration_s)}, {rate:.0f} faces/s; {_slowest(summary)}")
        if summary.smallest_cosine is not None:
            lines.append(
                f"Self-check: smallest cosine with plain fp32 {summary.smallest_cosine:.6f} "
                f"({self.precision}, {summary.engine})"
            )
        lines += [f"Features: {folder}" for folder in summary.folders]
        return "\n".join(lines)


def _slowest(summary: ExtractSummary) -> str:
    """Seconds of work per stage, largest first."""
    spent = {name: getattr(summary.seconds, name) for name in STAGES}
    ordered = sorted(spent.items(), key=lambda entry: -entry[1])
    return "work: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in ordered)


def extract(
    workspace: Workspace,
    config: ExtractConfig | None = None,
    reporter: Reporter = LOGGING,
) -> ExtractOutcome:
    """Extract the features of every face of the data folder that the caches lack.

    Args:
        workspace: the folders of data and caches.
        config: backbone, layers and all other options of `fec extract`.
        reporter: for progress and warnings.

    Raises:
        MissingData: there is no train.csv, or no image.
        UnknownBackbone, WeightsNotFound, WeightsMismatch: the backbone cannot be loaded.
        StorageFailed: the disk is full; shards that were sealed before stay.

    Example:
        >>> from fec_cache import ExtractConfig, Workspace
        >>> outcome = extract(Workspace(), ExtractConfig(backbone="toy", precision="fp32"))
        >>> outcome.summary.num_failed
        0
    """
    check_type("workspace", workspace, Workspace, "a Workspace, such as Workspace()")
    config = config or ExtractConfig()
    check_type("config", config, ExtractConfig, "an ExtractConfig")
    return _Extraction(workspace, config, reporter).run()


@dataclass(frozen=True)
class _Extraction:
    """One call of `extract`: what all of its steps read."""

    workspace: Workspace
    config: ExtractConfig
    reporter: Reporter

    def run(self) -> ExtractOutcome:
        """Read the annotations, load the network, and compute what the caches lack."""
        config, reporter = self.config, self.reporter
        # Cheap checks first: reading annotations and hashing images can take minutes.
        check_devices(config.device_names)
        find_architecture(config.backbone)
        annotations = read_splits(self.workspace, reporter)
        backbone = load_backbone(config.backbone, config.weights, config.layers)
        reporter.message(f"Backbone: {backbone.name}, weights {backbone.weights.source}")
        device = choose_device(config.device_names[0])
        precision = choose_precision(config.precision, backbone, device)
        reporter.message(f"Precision: {precision.precision} ({precision.reason})")
        cache_dir = self.workspace.cache_dir
        digests = ImageDigests(cache_dir, config.rehash, config.image_timeout_s)
        faces = table_of_faces(self.workspace, annotations, reporter, digests)
        recipes = self._recipes(backbone, faces, precision.precision)
        caches = _caches(self.workspace, recipes, annotations)
        warn_of_random_weights(recipes, reporter)
        summary = self._compute(faces, backbone, caches)
        self._warn(summary)
        return ExtractOutcome(
            summary,
            backbone.name,
            backbone.weights.source,
            recipes[0].precision,
            sum(part.num_rows for part in annotations),
            sum(len(part.rejected) for part in annotations),
        )

    def _recipes(self, backbone: Backbone, faces: FaceTable, precision: str) -> list[FeatureRecipe]:
        """One recipe per layer; how images are decoded is chosen here, and reported."""
        config, workspace = self.config, self.workspace

        def recipes(decode: str) -> list[FeatureRecipe]:
            """All recipes with one way of decoding."""
            flips = FLIPS[config.flip]
            margin, dtype = config.crop_margin, config.store_dtype
            return recipes_of(backbone, margin, dtype, precision, flips, decode)

        choice = choose_decode(
            config.decode,
            choose_device(config.device_names[0]),
            faces.present,
            workspace.images_dir,
            CropConfig(backbone.input_size, config.crop_margin),
            [word for word in DECODERS if _is_begun(workspace.cache_dir, recipes(word))],
        )
        if choice.decode != CropConfig.decode:
            self.reporter.message(f"Decoding: {choice.decode} ({choice.reason})")
        return recipes(choice.decode)

    def _compute(
        self, faces: FaceTable, backbone: Backbone, caches: Sequence[FeatureCache]
    ) -> ExtractSummary:
        """Compute what the caches lack, on one device or on several."""
        images, devices = self.workspace.images_dir, self.config.device_names
        with self.reporter.progress("Extracting", "faces") as step:

            def on_progress(progress: ExtractProgress) -> None:
                """Move the bar and name the slowest stage."""
                step(progress.faces_done, progress.faces_total, _detail(progress))

            if len(devices) < 2:
                single = replace(self.config, device=devices[0])
                return extract_faces(faces, images, backbone, caches, single, on_progress)
            source = BackboneSource.of(backbone, self.config.weights)
            return extract_on_devices(
                faces, images, source, caches, self.config, devices, on_progress
            )

    def _warn(self, summary: ExtractSummary) -> None:
        num_unusable = summary.num_failed + summary.num_missing
        if num_unusable:
            lists = " and ".join(str(folder / "failures.csv") for folder in summary.folders)
            self.reporter.warning(
                f"{counted(num_unusable, 'face')} could not be used; see {lists} for the reasons"
            )
        if summary.num_faint:
            self.reporter.warning(
                f"{counted(summary.num_faint, 'face')} with features so small that "
                f"{self.config.store_dtype} loses more than 1 % of them. Extract again with "
                "--store-dtype float32."
            )


def _is_begun(cache_dir: Path, recipes: Sequence[FeatureRecipe]) -> bool:
    return any((cache_dir / recipe.folder_name).is_dir() for recipe in recipes)


def _caches(
    workspace: Workspace, recipes: Sequence[FeatureRecipe], annotations: Sequence[Annotations]
) -> list[FeatureCache]:
    """A cache for each recipe; the rejected rows of the CSV files are listed in each."""
    rejected = [row for part in annotations for row in part.rejected]
    caches = [FeatureCache.create(workspace.cache_dir, recipe) for recipe in recipes]
    for cache in caches:
        write_rejected(cache.folder / "rejected.csv", rejected)
    return caches


def _detail(progress: ExtractProgress) -> str:
    spent = {name: getattr(progress.seconds, name) for name in STAGES}
    total = sum(spent.values()) or 1.0
    name = max(spent, key=lambda stage: spent[stage])
    return f"mostly {name} ({100 * spent[name] / total:.0f} % of the work)"


def _counters(summary: ExtractSummary) -> dict[str, Any]:
    """The counters of a summary by name."""
    # Not `asdict`: it copies deeply, and the clock of the stages holds a lock.
    return {name: getattr(summary, name) for name in summary.__dataclass_fields__}
