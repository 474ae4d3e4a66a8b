"""Click-through models: the probability that a shown item is clicked."""
