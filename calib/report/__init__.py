"""Tables of run records beside the paper's own numbers."""
