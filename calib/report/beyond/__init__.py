"""The report's section beyond the paper."""
