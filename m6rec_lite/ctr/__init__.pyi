from .auction import Bought, buy_within_budget, second_price
from .base import ClickModel, MeanRateCTR
from .din import DIN
from .event_log import histories_before
from .impressions import split_by_time
from .likes import LikeExamples, few_shot_curve, labelled_rows, like_examples
from .linear import FactorizationMachineCTR, LogisticCTR

__all__ = [
    "DIN",
    "Bought",
    "ClickModel",
    "FactorizationMachineCTR",
    "LikeExamples",
    "LogisticCTR",
    "MeanRateCTR",
    "buy_within_budget",
    "few_shot_curve",
    "histories_before",
    "labelled_rows",
    "like_examples",
    "second_price",
    "split_by_time",
]
