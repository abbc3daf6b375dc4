"""The tables of README and docs, from the archive of results."""
