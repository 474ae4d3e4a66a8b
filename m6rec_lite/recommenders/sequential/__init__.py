"""Networks that read a history as a sequence and predict its next item."""
