"""Second stage: unique faces and their pixels."""
