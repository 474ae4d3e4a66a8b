"""Data sets: tables and their contracts, readers, the simulated bazaar, and splits.

``load_dataset`` reads a data set by name, file, folder or ``DataFrame``; ``leave_one_out`` and the
other splits divide it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
