"""The report's section on public studies: what holds beyond the paper's two."""
