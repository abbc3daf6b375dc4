"""Studies and their batches: reading files, simulating, transforming and splitting them."""
