"""`model_card.md`: what a head is, how well it works, and what it is not for."""

import json
from pathlib import Path

from fec_cache.evaluation.outcome import EvaluateOutcome
from fec_cache.reports.evaluation_tables import identity_lines, pair_markdown, triplet_markdown

_SURVIVORS = "survivors.json"

_USES = """## Intended use

- Ranking or sorting pictures of faces by how similar their expressions look.
- Research on similarity judgements, with the figures above next to every claim.

## Not intended for

- Inferring what a person feels, thinks or intends: {deed}.
- Recognising people, or making decisions about them: work, school, border, police, insurance,
  credit, health.
- Monitoring people without their knowledge."""


def model_card(outcome: EvaluateOutcome, data_dir: Path) -> str:
    """The card of a measured run, in Markdown."""
    return (
        "\n\n".join(
            [
                f"# {outcome.folder.name}",
                f"A {outcome.config.head.head} head on frozen features of "
                f"{outcome.config.features}: "
                "given two pictures of faces, it says whether their expressions look similar.",
                _data(outcome, data_dir),
                _recipe(outcome),
                _figures(outcome),
                _limits(outcome),
                _USES.format(deed=outcome.origin.deed),
            ]
        )
        + "\n"
    )


def survivors_line(data_dir: Path) -> str:
    """The name of the set of pictures behind the figures, if `fec download` recorded one."""
    try:
        fields = json.loads((data_dir / _SURVIVORS).read_text(encoding="utf-8"))
        name = fields["survivors"]
    except (OSError, ValueError, KeyError, TypeError):
        return "No survivors.json: only the digest of the triplets identifies the set of pictures."
    return f"Survivor set: {name} ({_SURVIVORS})."


def _data(outcome: EvaluateOutcome, data_dir: Path) -> str:
    data, pairs = outcome.config.data, outcome.config.pairs
    lines = [
        "## Data",
        "",
        f"- Test: {outcome.labelled.counts.in_words()}; digest {outcome.labelled.digest}.",
        f"- {survivors_line(data_dir)}",
        f"- Training: {data.get('num_train_triplets', '?')} triplets, and "
        f"{data.get('num_validation_triplets', '?')} for validation, split by "
        f"{data.get('split', '?')} (seed {pairs.split_seed}), "
        f"{data.get('num_dropped_between', '?')} dropped between the two; digest "
        f"{data.get('digest', '?')}.",
    ]
    if pairs.min_agreement:
        lines.append(
            f"- Training used triplets of at least {pairs.min_agreement:.0%} agreement between "
            f"{outcome.origin.many}. All test triplets are used; those of that agreement have "
            "their own row."
        )
    lines += [f"- {outcome.origin.note}"] if outcome.origin.note else []
    # A leak that was allowed must be on the card: figures travel without the command line.
    lines += [f"- {line}" for line in outcome.overlap.in_words()]
    if not outcome.overlap.in_words():
        lines.append(
            "- No test face was seen in training, and no test person as far as people are known."
        )
    return "\n".join(lines)


def _recipe(outcome: EvaluateOutcome) -> str:
    config = outcome.config
    lines = ["## Recipe", ""]
    for recipe in config.recipes:
        lines.append(
            f"- Features: {recipe.label}, {recipe.width} numbers per face, weights "
            f"{recipe.weights_label}, cache {recipe.folder_name}."
        )
    head = ", ".join(f"{name} {value}" for name, value in vars(config.head).items())
    train = ", ".join(f"{name} {value}" for name, value in vars(config.train).items())
    return "\n".join([*lines, f"- Head: {head}.", f"- Training: {train}."])


def _figures(outcome: EvaluateOutcome) -> str:
    evaluation, baseline = outcome.evaluation, outcome.baseline
    other = baseline.evaluation if baseline else None
    parts = [
        "## Figures",
        f"Triplet accuracy on the test split; 95 % intervals resample "
        f"{evaluation.num_redrawn} {evaluation.redrawn}.",
        triplet_markdown(evaluation, other, outcome.origin),
        pair_markdown(evaluation, other),
    ]
    if baseline:
        parts.append(
            f"Compared with the {baseline.name}{baseline.where}: {baseline.comparison.in_words()}."
        )
    if evaluation.identity:
        parts.append("\n".join(f"- {line}" for line in identity_lines(evaluation.identity)))
    return "\n\n".join(parts)


def _limits(outcome: EvaluateOutcome) -> str:
    origin = outcome.origin
    judgement = f"{origin.many}' judgement" if origin.are_people else origin.many
    lines = [
        "## Limits",
        "",
        f"- Figures hold for pictures like those of the test split, and for its {judgement}.",
        "- Accuracy by age, sex, skin colour or culture has not been measured.",
    ]
    if any(recipe.has_random_weights for recipe in outcome.config.recipes):
        lines.append("- The backbone was never trained, so figures on its features say little.")
    lines += [f"- {warning}" for warning in outcome.evaluation.warnings]
    return "\n".join(lines)
