"""Fifth stage: trained pair classifiers on cached features."""
