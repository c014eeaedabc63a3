"""Last stage: what people and programs touch."""
