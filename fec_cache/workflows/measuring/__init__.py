"""What evaluation, comparison and report share: baselines, overlap with training, seeds."""
