"""The parts of a search: the request, the files in its folder, its outcome."""
