"""Checks of the exercises of chapter 00: counting people, sittings, oracle share, click rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 00.0 Warm-up: whom to trust, rows or people?

WARM_UP = Exercise(
    id="00.0",
    title="Warm-up: the most popular item of six rows",
    answer="most_popular",
    wanted="lamp",
    known_wrong=(
        KnownWrong(
            "tea",
            "Tea has the most rows, but all three are Ana's. Popularity asks how many people "
            "took an item; count each person once.",
        ),
        KnownWrong(
            "boots",
            "Boots have one taker, the fewest of all: look at the other end of the count.",
        ),
        KnownWrong("ana", "Ana is a shopper. The question asks for an item."),
    ),
    correct_alternatives=("lamp", "".join(["la", "mp"])),
    hints=(
        "Make a small table on paper: one line an item, and beside it the names of its takers.",
        "Ana counts once for tea. How many names stand beside the lamp?",
    ),
    notice="Two people outvote three rows of one person. Real logs are full of repeats, and a "
    "count of rows listens to whoever is loudest.",
)

# 00.1 Popularity by hand

_LOG = pd.DataFrame(
    {
        "user_id": [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5],
        "item_id": [7, 7, 7, 3, 3, 5, 3, 5, 5, 9, 3, 9],
    }
)  # people an item: 3 -> 4, 5 -> 3, 9 -> 2, 7 -> 1 (three rows)
_TIED = pd.DataFrame({"user_id": [1, 2, 1, 2, 3], "item_id": [20, 20, 10, 10, 30]})


def _by_people(log: pd.DataFrame, ascending: bool = False) -> list[int]:
    people = log.groupby("item_id")["user_id"].nunique()
    return people.sort_values(ascending=ascending, kind="stable").index.tolist()


def _without(items: list[int], seen: list[int], k: int) -> list[int]:
    return [item for item in items if item not in set(seen)][:k]


def _rows(log: pd.DataFrame, seen: list[int], k: int) -> list[int]:
    counts = log.groupby("item_id").size().sort_values(ascending=False, kind="stable")
    return _without(counts.index.tolist(), seen, k)


def _with_sets(log: pd.DataFrame, seen: list[int], k: int) -> list[int]:
    takers: dict[int, set[int]] = {}
    for user, item in zip(log["user_id"], log["item_id"], strict=True):
        takers.setdefault(int(item), set()).add(int(user))
    order = sorted(takers, key=lambda item: (-len(takers[item]), item))
    return [item for item in order if item not in seen][:k]


POPULARITY_BY_HAND = Exercise(
    id="00.1",
    title="Popularity by hand",
    answer="most_popular_items",
    cases=(
        Case(args=(_LOG, [], 2), wanted=[3, 5]),
        Case(args=(_LOG, [], 4), wanted=[3, 5, 9, 7], note="item 7 has three rows of one user"),
        Case(args=(_LOG, [3], 2), wanted=[5, 9], note="the shopper has seen item 3"),
        Case(args=(_TIED, [], 3), wanted=[10, 20, 30], note="items 10 and 20 tie"),
        Case(args=(_TIED, [30], 10), wanted=[10, 20], note="k beyond what is left"),
    ),
    known_wrong=(
        KnownWrong(
            _rows,
            "That counts rows. One shopper who buys the same tea every month would make it "
            "popular alone; count different users: nunique().",
        ),
        KnownWrong(
            lambda log, seen, k: _without(_by_people(log, ascending=True), seen, k),
            "The order is upside down: sort_values sorts upwards unless told ascending=False.",
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
    ),
    correct_alternatives=(
        _with_sets,
        lambda log, seen, k: (
            log[~log["item_id"].isin(seen)]
            .drop_duplicates(["user_id", "item_id"])
            .groupby("item_id")
            .size()
            .sort_values(ascending=False, kind="stable")
            .index[:k]
            .tolist()
        ),
    ),
    hints=(
        'log.groupby("item_id")["user_id"] holds the users of each item, repeats included.',
        "nunique() counts each user once; sort_values(ascending=False, kind='stable') ranks.",
        "Drop the items of `seen` from the ranked list, and only then take the first k.",
    ),
    notice="Everybody gets nearly the same list: only what they have seen differs. A count knows "
    "nothing of the person in front of it; most of this course is about that person.",
)


def _people(log: pd.DataFrame, item: int) -> int:
    return int(log.loc[log["item_id"] == item, "user_id"].nunique())


# 00.2 Sittings in a history

_MINUTE = 60


def _sittings(times: list[int], pause: int = 1800) -> int:
    return 0 if len(times) == 0 else 1 + int((np.diff(np.sort(times)) > pause).sum())


def _sittings_loop(times: list[int], pause: int = 1800) -> int:
    count, before = 0, None
    for now in sorted(times):
        count += before is None or now - before > pause
        before = now
    return count


SITTINGS = Exercise(
    id="00.2",
    title="Sittings in a history",
    answer="sittings",
    cases=(
        Case(args=([0, 5 * _MINUTE, 7 * _MINUTE],), wanted=1, note="three events, close together"),
        Case(args=([0, 5 * _MINUTE, 90 * _MINUTE, 95 * _MINUTE],), wanted=2),
        Case(args=([1790, 1810],), wanted=1, note="before and after half past"),
        Case(args=([0, 1800, 3600],), wanted=1, note="gaps of exactly half an hour"),
        Case(args=([0, 40 * _MINUTE],), wanted=2, note="forty minutes apart"),
        Case(args=([86_400, 0, 60],), wanted=2, note="not in order"),
        Case(args=([0, 5000, 100],), wanted=2, note="not in order"),
        Case(args=([86_400],), wanted=1, note="a single event"),
        Case(args=([],), wanted=0, note="a new shopper"),
        Case(args=([0, 10, 20],), kwargs={"pause": 5}, wanted=3),
    ),
    known_wrong=(
        KnownWrong(
            lambda times, pause=1800: int((np.diff(np.sort(times)) > pause).sum()),
            "That counts the pauses. One long pause separates two sittings: add one (unless the "
            "history is empty).",
        ),
        KnownWrong(
            lambda times, pause=1800: (
                0 if len(times) == 0 else 1 + int((np.diff(np.sort(times)) >= pause).sum())
            ),
            "A gap of exactly `pause` seconds does not begin a new sitting: `>`, not `>=`.",
        ),
        KnownWrong(
            lambda times, pause=1800: (
                0 if len(times) == 0 else 1 + int((np.diff(times) > pause).sum())
            ),
            "The events need not come in order. Sort the timestamps before taking differences.",
        ),
        KnownWrong(
            lambda times, pause=1800: (
                0 if len(times) == 0 else 1 + int((np.abs(np.diff(times)) > pause).sum())
            ),
            "The absolute value hides that the events are not in order: from 5000 back to 100 is "
            "no pause. Sort the timestamps first.",
        ),
        KnownWrong(
            lambda times, pause=1800: len({time // (pause + 1) for time in times}),
            "Those are stretches of the clock that hold an event. Two events a minute apart may "
            "lie in two of them: look at the gaps between events.",
        ),
        KnownWrong(
            lambda times, pause=1800: len({time // pause for time in times}),
            "Those are the half hours of the clock that hold an event. Two events a minute apart "
            "may lie in two of them: look at the gaps between events.",
        ),
        KnownWrong(
            lambda times, pause=1800: 1 + int((np.diff(np.sort(times)) > pause).sum()),
            "A history without events has no sitting: answer 0 for an empty list.",
        ),
        KnownWrong(
            lambda times, pause=1800: (
                0 if len(times) == 0 else 1 + int((np.diff(np.sort(times)) > pause * 60).sum())
            ),
            "Timestamps are unix seconds, and so is `pause`: nothing has to be multiplied by 60.",
        ),
    ),
    correct_alternatives=(_sittings_loop,),
    hints=(
        "np.diff of the sorted timestamps gives the gaps between neighbours, in seconds.",
        "How many gaps are longer than `pause`? Each of them begins a new sitting.",
        "One more than that, unless there are no events at all.",
    ),
    notice="Half an hour is a convention, not a truth: try other pauses on a real history. What "
    "happens within a sitting hangs together far more than what happens across two.",
)

# 00.3 The share of the oracle

_MODEL = np.array([0.0, 0.5, 0.0, 0.1])
_ORACLE = np.array([1.0, 0.5, 0.4, 0.1])
_WITH_ZERO = np.array([0.63, 0.0, 0.0, 1.0])


def _quiet(function: Callable[..., float]) -> Callable[..., float]:
    """The function without numpy's warning on a division by zero."""

    def answer(model: np.ndarray, oracle: np.ndarray) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(function(np.asarray(model, float), np.asarray(oracle, float)))

    return answer


ORACLE_SHARE = Exercise(
    id="00.3",
    title="The oracle gap as a share",
    answer="oracle_share",
    cases=(
        Case(args=(_MODEL, _ORACLE), wanted=0.3),
        Case(args=(_ORACLE, _ORACLE), wanted=1.0, note="the oracle itself"),
        Case(args=(np.zeros(4), _ORACLE), wanted=0.0, note="a model that never hits"),
        Case(
            args=(np.array([0.0, 0.5, 0.0, 0.5]), _WITH_ZERO),
            wanted=1.0 / 1.63,
            note="a shopper whom the oracle missed and the model did not",
        ),
        Case(
            args=(np.array([1.0, 1.0]), np.array([0.5, 1.0])),
            wanted=4 / 3,
            note="luck: the model is above the oracle",
        ),
    ),
    known_wrong=(
        KnownWrong(
            _quiet(lambda model, oracle: oracle.mean() - model.mean()),
            "That is the difference. 0.1 below an oracle of 0.9 and 0.1 below one of 0.2 are not "
            "the same achievement: divide.",
        ),
        KnownWrong(
            _quiet(lambda model, oracle: oracle.mean() / model.mean()),
            "The ratio is upside down: the oracle belongs below the line, so that reaching it "
            "gives 1.",
        ),
        KnownWrong(
            _quiet(lambda model, oracle: np.mean(model / oracle)),
            "That is the mean of each shopper's own ratio. It divides by zero where the oracle "
            "missed, and counts an easy shopper like a hard one. Take both means first, then "
            "divide once.",
        ),
        KnownWrong(
            _quiet(lambda model, oracle: 1 - model.mean() / oracle.mean()),
            "That is the share still missing. The question asks for the share reached.",
        ),
        KnownWrong(
            _quiet(lambda model, oracle: min(1.0, model.mean() / oracle.mean())),
            "The share is cut at 1. On a small group a model can be above the oracle by luck, and "
            "the figure should show it.",
        ),
        KnownWrong(
            _quiet(lambda model, oracle: 100 * model.mean() / oracle.mean()),
            "Right up to a factor of 100: return a share, 0.3, and leave the percent to the "
            "printing.",
        ),
    ),
    correct_alternatives=(
        lambda model, oracle: float(np.sum(model) / np.sum(oracle)),
        lambda model, oracle: sum(model) / sum(oracle),
    ),
    hints=(
        "A model's figure is the mean over shoppers, and so is the oracle's.",
        "Reached divided by reachable.",
    ),
    notice="The share can exceed 1 for a single shopper, and by luck for a small group: the "
    "oracle knows the probabilities, not the dice. Over all shoppers it stays an upper bound.",
)

# 00.4 A click rate and how sure it is


def _shown(clicks: list[list[int]], purchases: list[list[int]]) -> pd.DataFrame:
    """A table of responses: one row a shown item, a list a slate."""
    rows = [
        (slate, place, bool(click), bool(bought))
        for slate, (row, taken) in enumerate(zip(clicks, purchases, strict=True))
        for place, (click, bought) in enumerate(zip(row, taken, strict=True))
    ]
    return pd.DataFrame(rows, columns=["slate_id", "position", "clicked", "purchased"])


_FOUR = _shown(
    [[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 1]],
    [[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]],
)
_THREE = _shown([[1, 0], [0, 0], [1, 1]], [[0, 0], [0, 0], [1, 0]])


def _by_slate(responses: pd.DataFrame, event: str = "clicked") -> np.ndarray:
    return responses.groupby("slate_id")[event].mean().to_numpy(float)


def _rate_and_error(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _as_if_independent(responses: pd.DataFrame) -> tuple[float, float]:
    rate, n = responses["clicked"].mean(), len(responses)
    return float(rate), float(np.sqrt(rate * (1 - rate) / n))


def _rows_as_sample(responses: pd.DataFrame) -> tuple[float, float]:
    return _rate_and_error(responses["clicked"].to_numpy(float))


def _by_pivot(responses: pd.DataFrame) -> tuple[float, float]:
    table = responses.pivot_table(index="slate_id", columns="position", values="clicked")
    rates = table.to_numpy(float).mean(axis=1)
    spread = np.sqrt(((rates - rates.mean()) ** 2).sum() / (len(rates) - 1))
    return float(rates.mean()), float(spread / np.sqrt(len(rates)))


CLICK_RATE = Exercise(
    id="00.4",
    title="A click rate and how sure it is",
    answer="click_rate",
    cases=(
        Case(args=(_FOUR,), wanted=_rate_and_error(np.array([0.5, 0, 1, 0.5]))),
        Case(
            args=(_FOUR.iloc[[8, 0, 4, 12, 9, 1, 13, 5, 2, 10, 6, 14, 3, 11, 7, 15]],),
            wanted=_rate_and_error(np.array([0.5, 0, 1, 0.5])),
            note="rows not in the order of the slates",
        ),
        Case(args=(_THREE,), wanted=_rate_and_error(np.array([0.5, 0, 1]))),
    ),
    known_wrong=(
        KnownWrong(
            lambda responses: (
                float(_by_slate(responses).mean()),
                float(_by_slate(responses).std(ddof=1)),
            ),
            "That is the standard deviation: how much slates differ. The standard error says how "
            "much the *mean* would differ on other slates: divide by the root of their number.",
        ),
        KnownWrong(
            _as_if_independent,
            "That takes every shown item as a draw of its own. The items of one slate share one "
            "shopper and one mood: the slate is the unit, so take one mean a slate first.",
        ),
        KnownWrong(
            lambda responses: _rate_and_error(
                responses["clicked"]
                .to_numpy(float)
                .reshape(responses["slate_id"].nunique(), -1)
                .mean(axis=1)
            ),
            "That takes the rows in the order in which they stand. The rows of a slate need not "
            "be neighbours: group them by slate_id.",
        ),
        KnownWrong(
            _rows_as_sample,
            "That divides by the root of the number of *rows*. The items of one slate share one "
            "shopper and one mood: take one mean a slate first, then count slates.",
        ),
        KnownWrong(
            lambda responses: _rate_and_error(_by_slate(responses, "purchased")),
            'That counts purchases. The column of clicks is called "clicked".',
        ),
        KnownWrong(
            lambda responses: (
                float(_by_slate(responses).mean()),
                float(_by_slate(responses).std() / np.sqrt(len(_by_slate(responses)))),
            ),
            "The spread is divided by n. Around a mean taken from the same n values it must be "
            "n - 1: numpy wants std(ddof=1); pandas does that by itself.",
        ),
    ),
    correct_alternatives=(_by_pivot,),
    hints=(
        'responses.groupby("slate_id")["clicked"].mean() gives one number a slate.',
        "The rate is the mean of these numbers. How far do they spread around it?",
        "The standard error is std(ddof=1) divided by the square root of how many slates.",
    ),
    notice="Rate ± 2 standard errors is a 95 % interval, near enough. To halve it you need four "
    "times the slates: precision is bought at a square.",
)

EXERCISES = (WARM_UP, POPULARITY_BY_HAND, SITTINGS, ORACLE_SHARE, CLICK_RATE)
