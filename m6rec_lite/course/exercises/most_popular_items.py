"""Exercise ``most_popular_items``: popularity by hand."""

from __future__ import annotations

import pandas as pd

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_LOG = pd.DataFrame(
    {
        "user_id": [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5],
        "item_id": [7, 7, 7, 3, 3, 5, 3, 5, 5, 9, 3, 9],
    }
)  # people an item: 3 -> 4, 5 -> 3, 9 -> 2, 7 -> 1 (three rows)
_TIED = pd.DataFrame({"user_id": [1, 2, 1, 2, 3], "item_id": [20, 20, 10, 10, 30]})
#: Item i of 1 to 60 has i % 3 + 1 users.
_MANY = pd.DataFrame(
    [(user, item) for item in range(1, 61) for user in range(item % 3 + 1)],
    columns=["user_id", "item_id"],
)


def _by_people(log: pd.DataFrame, ascending: bool = False) -> list[int]:
    people = log.groupby("item_id")["user_id"].nunique()
    return people.sort_values(ascending=ascending, kind="stable").index.tolist()


def _without(items: list[int], seen: list[int], k: int) -> list[int]:
    return [item for item in items if item not in set(seen)][:k]


def _rows(log: pd.DataFrame, seen: list[int], k: int) -> list[int]:
    counts = log.groupby("item_id").size().sort_values(ascending=False, kind="stable")
    return _without(counts.index.tolist(), seen, k)


def _people(log: pd.DataFrame, item: int) -> int:
    return int(log.loc[log["item_id"] == item, "user_id"].nunique())


def _people_of(log: pd.DataFrame, items: list[int]) -> list[int]:
    return [_people(log, item) for item in items]


EXERCISE = Exercise(
    id="most_popular_items",
    title="Popularity by hand",
    cases=(
        Case(args=(_LOG, [], 2), expected=[3, 5]),
        Case(args=(_LOG, [], 4), expected=[3, 5, 9, 7], note="item 7 has three rows of one user"),
        Case(args=(_LOG, [3], 2), expected=[5, 9], note="the shopper has seen item 3"),
        Case(args=(_TIED, [], 3), expected=[10, 20, 30], note="items 10 and 20 tie"),
        Case(args=(_TIED, [30], 10), expected=[10, 20], note="k beyond what is left"),
        Case(
            args=(_MANY, [2], 59),
            expected=[*range(5, 61, 3), *range(1, 61, 3), *range(3, 61, 3)],
            note="20 items of three users each, 20 of two and 20 of one",
        ),
    ),
    known_wrong=(
        KnownWrong(
            _rows,
            "That counts rows. One shopper who buys the same tea every month would make it "
            "popular alone; count different users: nunique().",
        ),
        KnownWrong(
            lambda log, seen, k: _without(_by_people(log, ascending=True), seen, k),
            "The order is upside down: sort_values sorts upwards unless ascending=False is set.",
        ),
        KnownWrong(
            lambda log, seen, k: _by_people(log)[:k],
            "Items in `seen` are still in the list. The shopper has them already.",
        ),
        KnownWrong(
            lambda log, seen, k: _without(_by_people(log)[:k], seen, k),
            "The list is cut to k before the seen items leave it, so it comes out too short. "
            "Take out what was seen, then cut.",
        ),
        KnownWrong(
            lambda log, seen, k: _without(
                sorted(_by_people(log), key=lambda i: (-_people(log, i), -i)), seen, k
            ),
            "Where two items tie, the smaller id should come first. A stable sort "
            '(kind="stable") keeps the order of the index, which groupby has sorted.',
        ),
        KnownWrong(
            lambda log, seen, k: _people_of(log, _without(_by_people(log), seen, k)),
            "Those are the counts. Return the item ids, which are the index of the counts.",
        ),
    ),
    hints=(
        'log.groupby("item_id")["user_id"] holds the users of each item, repeats included.',
        "nunique() counts each user once; sort_values(ascending=False, kind='stable') ranks.",
        "Drop the items of `seen` from the ranked list, and only then take the first k.",
    ),
    notice="Everyone gets nearly the same list: only what they have seen differs. A count knows "
    "nothing of the person in front of it; most of this course is about that person.",
)
