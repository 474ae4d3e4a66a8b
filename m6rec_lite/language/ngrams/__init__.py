"""N-gram language models: counts, smoothing, pruning, storage."""
