"""Pages that are written from the records."""
