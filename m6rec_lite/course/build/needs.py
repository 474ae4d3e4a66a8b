"""What each lesson needs of a data set, beyond who took which item and when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from m6rec_lite.course.lesson_data import load
from m6rec_lite.data import Dataset
from m6rec_lite.data.bazaar.cached import WORLDS

#: What a data set may lack: its description, and a function that tests for it.
FEATURES: dict[str, tuple[str, Callable[[Dataset], bool]]] = {
    "time": ("timestamps", lambda data: data.has_time),
    "title": ("titles of items", lambda data: data.has_text),
    "category": (
        "categories of items",
        lambda data: "category" in data.items and bool(data.items["category"].notna().any()),
    ),
    "tags": ("tags of items", lambda data: bool(data.items["tags"].map(len).any())),
    "ratings": (
        "ratings (a value that differs between events)",
        lambda data: data.interactions["value"].nunique() > 1,
    ),
    "impressions": (
        "impressions (what was shown, and what of it was clicked)",
        lambda data: data.impressions is not None,
    ),
    "labels": (
        "impressions or ratings",
        lambda data: data.impressions is not None or data.interactions["value"].nunique() > 1,
    ),
}

#: Features that each lesson needs, by its number.
NEEDS: dict[str, tuple[str, ...]] = {
    "00": ("time", "tags"),
    "01": ("title",),
    "02": ("time", "title"),
    "03": ("time", "title", "tags"),
    "06": ("ratings",),
    "07": ("ratings",),
    "10": ("title",),
    "11": ("title",),
    "12": ("title",),
    "13": ("title", "category"),
    "14": ("title",),
    "15": ("title",),
    "16": ("title",),
    "17": ("title",),
    "18": ("title", "category"),
    "19": ("title",),
    "20": ("title", "impressions"),
    "21": ("title", "labels"),
    "22": ("title",),
    "23": ("title", "labels"),
    "24": ("title", "labels"),
    "27": ("title",),
    "28": ("title", "category"),
    "29": ("title",),
    "33": ("title",),
}


def lacking(dataset: str, numbers: list[str]) -> dict[str, list[str]]:
    """Return what a data set lacks, for each lesson that cannot run on it.

    Args:
        dataset: a name, or the path of a file or folder; the bazaars lack nothing.
        numbers: numbers of the lessons.

    Raises:
        DataError: if the data cannot be read.
    """
    if dataset in ("bazaar", *WORLDS) or (Path(dataset) / "world.json").is_file():
        return {}
    data = load(dataset)
    missing = {name: text for name, (text, is_present) in FEATURES.items() if not is_present(data)}
    lacks = {n: [missing[need] for need in NEEDS.get(n, ()) if need in missing] for n in numbers}
    return {number: texts for number, texts in lacks.items() if texts}
