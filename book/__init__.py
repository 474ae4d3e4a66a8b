"""Sources of the static site: ``make book`` writes it to ``build/book``."""
