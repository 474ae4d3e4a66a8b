"""Sequential recommenders: networks that predict the next item of a history."""
