"""The precisions that a network can run in, for options and recipes, without loading torch."""

PRECISIONS = ("fp32", "bf16", "fp16")
