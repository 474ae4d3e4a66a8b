"""Recommenders as language models: the package behind the course.

Each subpackage exports its public names, and the most used of them are here as well. A name is
imported on first use: ``import m6rec_lite`` imports neither torch nor pandas.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
