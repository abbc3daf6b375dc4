"""Records of runs and of corrections on disk."""
