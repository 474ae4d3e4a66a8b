"""M6-Rec: behaviour as plain text, one prefix language model, every task."""

from m6rec_lite.m6rec.config import SIZES, M6RecConfig
from m6rec_lite.m6rec.model import M6RecModel

__all__ = ["SIZES", "M6RecConfig", "M6RecModel"]
