"""What each setting of a head and of its training means: the help of train-head and grid-search."""

FIELD_HELP = {
    "head": "concat: both faces side by side; symmetric: difference and product; embedding: a "
    "space of few numbers; scatter: that in closed form.",
    "hidden": "Widths of hidden layers, as 512-128; none for none.",
    "dropout": "Share of hidden numbers left out in training.",
    "embedding_dim": "Embedding: numbers a face.",
    "prepare": "none, l2, standardize, pca:K, whiten:K.",
    "init": "Where the embedding head starts: at random, or as the scatter head.",
    "both_orders": "Concat: learn and answer the mean of both orders.",
    "shrinkage": "Scatter: share of the identity, 0 to 1.",
    "components": "Scatter: how many directions.",
    "lr": "Step size.",
    "epochs": "Rounds over all training triplets, at most.",
    "batch_size": "Pairs a step; with triplet and odd-one-out, triplets.",
    "loss": "bce and contrastive on pairs; triplet: hinge; odd-one-out: softmax on votes.",
    "optimizer": "adamw is adam with the weight decay apart from the gradient.",
    "weight_decay": "How much weights shrink at each step.",
    "patience": "Stop after so many epochs without a better one; 0 never stops early.",
    "seed": "Seed of the first weights, the order and the dropout.",
}
