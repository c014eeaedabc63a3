"""What a search writes to its folder: results.csv, plots, an Optuna study, the best head."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fec_cache.errors import FecError, NothingToTrain
from fec_cache.heads.registry import build_head
from fec_cache.runs.checkpoint import load_head
from fec_cache.runs.files import RESULTS_NAME
from fec_cache.search.choice import choose
from fec_cache.search.ledger import Outcome
from fec_cache.search.progress import ProgressCallback, SearchProgress
from fec_cache.search.results import Ranked, rank, results_csv
from fec_cache.search.run import Search
from fec_cache.search.space import Point, key_of, point_of
from fec_cache.system.atomic import write_atomically
from fec_cache.system.wording import counted
from fec_cache.training.history import TrainResult
from fec_cache.workflows.searching.request import SearchMaterial
from fec_cache.workflows.train import trained_head


@dataclass
class Keeper:
    """Writes the results of a search; a search that ends early leaves the same files.

    `storage` is the URL of an Optuna study, or None.
    """

    folder: Path
    material: SearchMaterial
    search: Search
    storage: str | None = None

    def also_stored(self, show: ProgressCallback) -> ProgressCallback:
        """A callback that also adds finished settings to the Optuna study."""
        if self.storage is None:
            return show
        from fec_cache.search.study import StudyWriter

        writer = StudyWriter(self.storage, self.folder.name)
        num_seeds = len(self.search.space.seeds)

        def store_and_show(progress: SearchProgress) -> None:
            """Store first: what is shown is stored."""
            if progress.new or not progress.in_hand:
                ranked = rank(self._mine(progress.outcomes))
                writer.add([entry for entry in ranked if entry.num_seeds >= num_seeds])
            show(progress)

        return store_and_show

    def interrupted(self) -> str:
        """Write the results so far, and say how to resume."""
        outcomes = self._outcomes()
        write_atomically(self.folder / RESULTS_NAME, results_csv(outcomes))
        ranked = rank(outcomes)
        # Only a head still in memory: an interrupt is no time to train the best one again.
        if ranked:
            first = ranked[0].first
            kept = self.search.kept_heads.get(first.key)
            if kept is not None:
                self._save(point_of(first.settings), kept)
        return (
            f"{counted(len(outcomes), 'point')} done and saved in {self.folder / RESULTS_NAME}. "
            "Run the same command again to continue with the rest."
        )

    def conclude(
        self, rule: str, has_plots: bool
    ) -> tuple[Ranked, tuple[Ranked, ...], tuple[Outcome, ...]]:
        """Write everything and save the winner's head.

        Returns:
            The winner, all settings by rank, and the failed points.

        Raises:
            NothingToTrain: no point was trained.
        """
        outcomes = self._outcomes()
        write_atomically(self.folder / RESULTS_NAME, results_csv(outcomes))
        ranked = rank(outcomes)
        failed = tuple(outcome for outcome in outcomes if outcome.is_failed)
        if not ranked:
            raise NothingToTrain(self._why_nothing(failed))
        if self.storage is not None:
            from fec_cache.search.study import StudyWriter

            StudyWriter(self.storage, self.folder.name).add(ranked)
        if has_plots:
            from fec_cache.reports.search_plots import draw_search

            draw_search(self.folder, ranked)
        winner = choose(ranked, rule, self._num_weights)
        point = point_of(winner.first.settings)
        # A finished search that is run again must not train its winner again.
        if not self._is_saved(point):
            self._save(point, self.search.train(point))
        return winner, ranked, failed

    def _outcomes(self) -> list[Outcome]:
        return self._mine(tuple(self.search.ledger.outcomes().values()))

    def _mine(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Outcomes of this search's scope; a key is the digest of scope and settings."""
        scope = self.search.scope
        return [outcome for outcome in outcomes if key_of(scope, outcome.settings) == outcome.key]

    def _save(self, point: Point, result: TrainResult) -> None:
        data = self.material
        trained_head(data.labelled, data.split, point, data.pairs, result).write_to(self.folder)

    def _is_saved(self, point: Point) -> bool:
        """Whether the folder already holds this point's head, undamaged."""
        try:
            _, config = load_head(self.folder)
        except FecError:
            return False
        is_same = (config.head, config.train) == (point.head, point.train)
        return is_same and config.data.get("digest") == self.material.labelled.digest

    def _num_weights(self, entry: Ranked) -> float:
        head = build_head(
            point_of(entry.settings).head, self.material.labelled.matrix.features.shape[1]
        )
        return float(sum(value.numel() for value in head.state_dict().values()))

    def _why_nothing(self, failed: Sequence[Outcome]) -> str:
        if not failed:
            return "The time limit was reached before any point was done. Raise --timeout."
        return (
            f"Every point failed ({len(failed)} in all); the first: {failed[0].error}. They are "
            f"listed in {self.folder / RESULTS_NAME}; try again with --retry-failed."
        )
