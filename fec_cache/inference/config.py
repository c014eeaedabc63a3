"""Which arithmetic a network can run in: the words of `--precision`, without loading torch."""

PRECISIONS = ("fp32", "bf16", "fp16")
