"""Audit of an offline experiment: does its result mean what it seems to mean?

``audit(lists, log)`` reads the lists, scores or target ranks of any recommenders and the log that
they come from, and returns an ``Audit``: one ``Finding`` for each check, and a report in HTML and
JSON. As a command: ``python -m m6rec_lite.audit LISTS LOG``. ``read_lists`` describes the files.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
