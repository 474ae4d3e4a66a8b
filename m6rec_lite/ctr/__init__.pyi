from .base import ClickModel, PopularityCTR
from .din import DIN
from .impressions import split_by_time
from .likes import LikeExamples, few_shot_curve, like_examples
from .linear import LogisticCTR, MachineCTR

__all__ = [
    "DIN",
    "ClickModel",
    "LikeExamples",
    "LogisticCTR",
    "MachineCTR",
    "PopularityCTR",
    "few_shot_curve",
    "like_examples",
    "split_by_time",
]
