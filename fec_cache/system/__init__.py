"""Everything unrelated to faces: files, time limits, cores, memory, wording, folders."""
