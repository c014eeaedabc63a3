"""Outcomes -> an Optuna study in a database, for optuna-dashboard and Optuna's own tools."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fec_cache.errors import BadOption, StorageFailed
from fec_cache.heads.config import PREPARATIONS
from fec_cache.heads.kinds import head_names
from fec_cache.search.ledger import DONE, FAILED, PRUNED
from fec_cache.search.results import Ranked
from fec_cache.search.samplers.optuna_sampler import load_optuna
from fec_cache.training.config import LOSSES, OPTIMIZERS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_SETTING = "setting"
_STATES = {DONE: "COMPLETE", PRUNED: "PRUNED", FAILED: "FAIL"}
DEFAULT = "default"
_CHOICES = {
    "head": head_names(),
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "prepare": (DEFAULT, *(words.partition(":")[0] for words in PREPARATIONS)),
}
_MAX_NUMBER = 1_000_000_000


class StudyWriter:
    """Adds settings to a study, each once: one trial per setting, its value the mean over seeds.

    The study is an export only; nothing is read back from it (decision 7).
    """

    def __init__(self, url: str, name: str) -> None:
        """Open or create the study.

        Raises:
            BadOption: the URL is not a database that can be opened, or Optuna is not installed.
        """
        self._optuna = load_optuna()
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        try:
            # A database, not Optuna's journal file, which does not open after a torn last line.
            self._study = self._optuna.create_study(
                study_name=name, storage=url, direction="maximize", load_if_exists=True
            )
        except Exception as error:  # SQLAlchemy's errors; it is not a direct dependency
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadOption(
                f"{url!r} cannot be opened as the storage of a study ({reason}). "
                "Give a database file, e.g. --storage sqlite:///search.db"
            ) from error
        self._known = {trial.user_attrs.get(_SETTING) for trial in self._study.get_trials(False)}

    def add(self, ranked: Sequence[Ranked]) -> None:
        """Add the settings that the study does not have yet.

        Raises:
            StorageFailed: the database cannot be written.
        """
        for entry in ranked:
            # A pruned setting may be completed later, or get more seeds: that is another trial.
            name = f"{entry.outcomes[0].key}:{entry.status}:{entry.num_seeds}"
            if name in self._known:
                continue
            try:
                self._study.add_trial(_trial(self._optuna, entry, name))
            except (ValueError, self._optuna.exceptions.OptunaError) as error:
                raise StorageFailed(
                    f"A trial cannot be written to the study ({error}). The results of the search "
                    "itself are saved; choose another file with --storage."
                ) from error
            self._known.add(name)


def _trial(optuna: Any, entry: Ranked, name: str) -> "FrozenTrial":
    params = params_of(entry.settings)
    is_failed = entry.status == FAILED
    value = None if is_failed else entry.val_triplet_accuracy
    epochs = max(outcome.epochs for outcome in entry.outcomes)
    attrs = {
        _SETTING: name,
        "stderr": None if math.isnan(entry.stderr) else entry.stderr,
        "seeds": {
            str(o.settings.get("seed", 0)): o.error or o.val_triplet_accuracy
            for o in entry.outcomes
        },
    }
    trial: FrozenTrial = optuna.trial.create_trial(
        state=optuna.trial.TrialState[_STATES[entry.status]],
        value=value,
        params=params,
        distributions={k: _distribution(optuna, k, v) for k, v in params.items()},
        user_attrs=attrs,
        intermediate_values={} if value is None else {epochs: value},
    )
    return trial


def params_of(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings as Optuna's parameters: a list of layers becomes their number and their widths.

    Optuna refuses a study whose choices change, so lists cannot be choices.
    """
    params: dict[str, object] = {}
    for name, value in settings.items():
        if name == "seed":
            continue
        if isinstance(value, (list, tuple)):
            params[f"{name}_layers"] = len(value)
            params |= {f"{name}_{number}": width for number, width in enumerate(value, start=1)}
        elif name == "prepare" and isinstance(value, str):
            params[name], _, size = value.partition(":")
            params |= {f"{name}_to": int(size)} if size else {}
        else:
            params[name] = DEFAULT if value is None else value
    return params


def _distribution(optuna: Any, name: str, value: object) -> "BaseDistribution":
    """A distribution that is the same for every search: one study may hold several of them."""
    kinds = optuna.distributions
    distribution: BaseDistribution
    # bool first: it is a subclass of int.
    if isinstance(value, bool):
        distribution = kinds.CategoricalDistribution([False, True])
    elif isinstance(value, int):
        distribution = kinds.IntDistribution(0, _MAX_NUMBER)
    elif isinstance(value, float):
        distribution = kinds.FloatDistribution(0.0, float(_MAX_NUMBER))
    else:
        distribution = kinds.CategoricalDistribution(_CHOICES.get(name, (str(value),)))
    return distribution
