"""What a prediction is worth: classification metrics and distances between batches."""
