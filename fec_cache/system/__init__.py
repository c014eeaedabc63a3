"""What has nothing to do with faces: files, time limits, cores, memory, wording, folders."""
