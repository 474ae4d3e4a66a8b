"""Right answers to ``silent_share``, written in other ways."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandas as pd

from m6rec_lite.course.exercises.silent_share import _share


def _by_reading(days: Sequence[date]) -> float:
    texts = pd.Series([f"{day:%d.%m.%Y}" for day in days])
    month_first = pd.to_datetime(texts, format="%m.%d.%Y", errors="coerce")
    read = month_first.fillna(pd.to_datetime(texts, format="%d.%m.%Y"))
    return float((read != pd.to_datetime(pd.Series(days))).mean())


CORRECT = (_share, _by_reading)

EQUIVALENT: dict[str, str] = {}
