"""What to search, and the triplets that its points are trained on."""

from dataclasses import dataclass, replace

from fec_cache.pairs.config import PairConfig
from fec_cache.pairs.labelled import Labelled
from fec_cache.pairs.split import Split
from fec_cache.search.choice import BEST, check_rule
from fec_cache.search.ledger import Ledger
from fec_cache.search.pruners.base import Pruner
from fec_cache.search.run import Search
from fec_cache.search.samplers.base import DEFAULT_SAMPLER, Sampler, make_sampler
from fec_cache.search.scope import Scope, split_digest
from fec_cache.search.space import Space
from fec_cache.search.trainer import SearchTrainer
from fec_cache.training.version import TRAINER_VERSION
from fec_cache.workflows.train import digest_of


@dataclass(frozen=True)
class SearchMaterial:
    """What the points of a search are trained and ranked on."""

    labelled: Labelled
    split: Split
    pairs: PairConfig

    @property
    def scope(self) -> Scope:
        """Digests of the features, the triplets, their split and the training code."""
        recipes = self.labelled.caches.recipes
        fingerprints = ",".join(recipe.fingerprint for recipe in recipes)
        digest = split_digest(self.split)
        return Scope(fingerprints, self.labelled.digest, digest, TRAINER_VERSION)


@dataclass(frozen=True)
class SearchRequest:
    """What to search and how: the options of `fec grid-search`."""

    space: Space
    sampler: str = DEFAULT_SAMPLER
    sampler_seed: int = 0
    trials: int | None = None
    timeout_s: float | None = None
    pruner: Pruner | None = None
    choose: str = BEST
    retry_failed: bool = False
    storage: str | None = None
    plots: bool = True

    def __post_init__(self) -> None:
        """Check the options before anything is loaded."""
        check_rule(self.choose, len(self.space.seeds))
        self.new_sampler()

    def new_sampler(self) -> Sampler:
        """A new sampler, at its first setting."""
        return make_sampler(self.space, self.sampler, self.trials, self.sampler_seed)

    def on(self, material: SearchMaterial) -> "SearchRequest":
        """The same request, with the widths of the features that it will be trained on."""
        return replace(self, space=replace(self.space, blocks=material.labelled.caches.blocks))

    def search(self, scope: str, trainer: SearchTrainer, ledger: Ledger) -> Search:
        """The search that runs this request."""
        return Search(
            space=self.space,
            new_sampler=self.new_sampler,
            scope=scope,
            trainer=trainer,
            ledger=ledger,
            pruner=self.pruner,
            timeout_s=self.timeout_s,
            retry_failed=self.retry_failed,
        )

    @property
    def name(self) -> str:
        """Digest of the space and of how settings are drawn from it."""
        drawn = [self.sampler, self.sampler_seed, self.trials, repr(self.pruner)]
        return digest_of([repr(self.space), *drawn])

    def run_name(self, scope: Scope) -> str:
        """Default name of the search's run, such as `grid-42f2d10b`."""
        return f"{self.sampler}-{digest_of([scope.digest, self.name])[:8]}"
