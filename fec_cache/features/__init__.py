"""Third stage: frozen backbones and the cache of their features."""
