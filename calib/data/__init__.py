"""Where batches come from: studies, splits, files and the simulator."""
