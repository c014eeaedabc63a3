"""From folders to tables: what training, search, evaluation and report start with."""
