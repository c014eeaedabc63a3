"""What has nothing to do with faces: files, time limits, wording, the folders of a workspace."""
