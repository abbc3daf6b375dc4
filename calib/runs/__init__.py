"""Runs, from a configuration to a record, one or many."""
