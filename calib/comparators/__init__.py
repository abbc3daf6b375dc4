"""What comparators compute inside: clusters, neighbours, surrogate variables."""
