"""Version of the training code: only figures of the same version can be compared."""

# Change it whenever training or validation gives other results for the same settings and seeds;
# `tests/training/test_version.py` notices. The first value is the digest that searches of release
# 0.1 wrote down, so that those can be continued.
TRAINER_VERSION = "6aaf1ff50707b3e5"
