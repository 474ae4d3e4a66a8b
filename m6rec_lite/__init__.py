"""m6rec_lite: the package behind the course on recommenders as language models."""

__version__ = "0.1.0"
