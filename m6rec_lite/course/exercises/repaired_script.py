"""Exercise ``repaired_script``: a script with five faults."""

from __future__ import annotations

import copy
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from m6rec_lite.course.exercises.comparison import difference
from m6rec_lite.course.exercises.engine import Exercise, KnownWrong, Wrong

ACTIONS = ("view", "click", "purchase")


class Event(NamedTuple):
    """One row of the log."""

    user: int
    item: int
    action: str
    time: int
    title: str


Log = Sequence[Event]


def pieces(title: str) -> list[str]:
    """Return words in lower case, and each Chinese character by itself."""
    return re.findall(r"[a-z]+|[\u4e00-\u9fff]", title.lower())


def faulty_script(log: Log) -> dict[str, Any]:
    """The script as it was found: all five faults."""
    rows = list(log)
    vocabulary = sorted({word for row in rows for word in row.title.split()})
    rng, target = random.Random(0), {}
    for user in sorted({row.user for row in rows}):
        target[user] = rng.choice([row for row in rows if row.user == user])
    train = [row for row in rows if row is not target[row.user]]
    labels = {(row.user, row.item): ACTIONS.index(row.action) for row in train}
    lists = {}
    for user in {row.user for row in train}:
        own = Counter(row.item for row in train if row.user == user)
        lists[user] = sorted(own, key=lambda item: (-own[item], item))[:2]
    targets = {user: row.item for user, row in target.items()}
    return {"targets": targets, "vocabulary": vocabulary, "labels": labels, "lists": lists}


def _cut(log: Log, by: Callable[[Event], Any]) -> tuple[list[Event], dict[int, int]]:
    """Return the training rows and each user's target, the last row in some order."""
    rows = sorted(log, key=by)
    last = {row.user: row for row in rows}
    return [r for r in rows if r is not last[r.user]], {u: r.item for u, r in last.items()}


def _train(log: Log) -> list[Event]:
    return _cut(log, lambda row: row.time)[0]


def _words(rows: Log, split: Callable[[str], list[str]] = pieces) -> list[str]:
    return sorted({piece for row in rows for piece in split(row.title)})


def _labels(log: Log, *, items_of: Callable[[Log], Log] = _train, answers: bool = False) -> dict:
    train = _train(log)
    taken = {(row.user, row.item) for row in (log if answers else train)}
    items = {row.item for row in items_of(log)}
    return {(u, i): int((u, i) in taken) for u in {row.user for row in train} for i in items}


def _lists(log: Log, *, counted: Callable[[Log], Log] = _train, own: bool = False) -> dict:
    train = _train(log)
    counts = Counter(row.item for row in counted(log))
    order = sorted(counts, key=lambda item: (-counts[item], item))
    taken = set() if own else {(row.user, row.item) for row in train}
    users = {row.user for row in train}
    return {user: [i for i in order if (user, i) not in taken][:2] for user in users}


def _own_past(log: Log) -> dict:
    lists = {}
    for user in {row.user for row in _train(log)}:
        own = Counter(row.item for row in _train(log) if row.user == user)
        lists[user] = sorted(own, key=lambda item: (-own[item], item))[:2]
    return lists


def _script(log: Log) -> dict[str, Any]:
    """The right answer."""
    targets = _cut(log, lambda row: row.time)[1]
    return {"targets": targets, "vocabulary": _words(_train(log)), "labels": _labels(log),
            "lists": _lists(log)}  # fmt: skip


def _split_titles(title: str) -> list[str]:
    return title.split()


#: Mistakes by the part of the result that shows them: what the part is then, and the message.
MISTAKES: dict[str, tuple[tuple[Callable[[Log], Any], str], ...]] = {
    "targets": (
        (
            lambda log: faulty_script(log)["targets"],
            "Fault 1, the split is random: histories hold what came after the target. Hold out "
            "each user's last row in time.",
        ),
        (
            lambda log: _cut(log, lambda row: 0)[1],
            "The last row of the file is not the last in time: sort by time.",
        ),
        (
            lambda log: _cut(log, lambda row: -row.time)[1],
            "That is each user's first row in time. The target is the last.",
        ),
        (
            lambda log: _cut(log, lambda row: (row.time, row.item))[1],
            "Ties are in the order of item ids. Equal times keep the order of the file: sort by "
            "time alone.",
        ),
    ),
    "vocabulary": (
        (
            lambda log: _words(log, _split_titles),
            "Fault 2, the tokenizer: it reads the titles of the answers, and splits at spaces, by "
            "which a Chinese title is one token. Use pieces, on training rows.",
        ),
        (
            lambda log: _words(log),
            "The tokenizer is fitted before the split: titles that occur only as answers are in "
            "it. Use the training rows.",
        ),
        (
            lambda log: _words(_train(log), _split_titles),
            "The tokenizer splits at spaces: a Chinese title is one token, and `Tea` is not `tea`. "
            "Use pieces.",
        ),
    ),
    "labels": (
        (
            lambda log: {(r.user, r.item): ACTIONS.index(r.action) for r in _train(log)},
            "Fault 3, three actions are labels of a binary loss: with y = 2 the term (1 - y) turns "
            "its sign, and the loss has no lower bound. An item was taken (1) or not (0). And "
            "fault 4 is still there: no pair has been *not* taken.",
        ),
        (
            lambda log: {(r.user, r.item): 1 for r in _train(log)},
            "Fault 4, no negatives: every label is 1, so a model that always says 1 has no loss. "
            "Add the pairs of a user and a training item that the user did not take, with 0.",
        ),
        (
            lambda log: (
                _labels(log) | {(r.user, r.item): ACTIONS.index(r.action) for r in _train(log)}
            ),
            "The negatives are there, but labels still have three values, and views count as not "
            "taken. Any action is a 1.",
        ),
        (
            lambda log: (
                _labels(log) | {(r.user, r.item): int(r.action == "purchase") for r in _train(log)}
            ),
            "Views and clicks are labelled 0, as if the user had refused the item. Any action is "
            "a 1.",
        ),
        (
            lambda log: _labels(log, items_of=lambda rows: rows),
            "Items that occur only as answers are among the negatives: the catalogue comes from "
            "the training rows.",
        ),
        (
            lambda log: _labels(log, answers=True),
            "The pair of a user and the target is labelled 1: the model learns the answers.",
        ),
    ),
    "lists": (
        (
            _own_past,
            "Fault 5, the lists come from the user's own past. Recommend the most popular training "
            "items that the user has not taken.",
        ),
        (
            lambda log: _lists(log, own=True),
            "The most popular items are recommended to those who have them. Leave out the user's "
            "own.",
        ),
        (
            lambda log: _lists(log, counted=lambda rows: rows),
            "Popularity counts the answers too. Count the training rows.",
        ),
    ),
}

TITLES = {
    10: "Green Tea", 11: "绿茶壶", 12: "Tea pot", 13: "Old Map", 14: "地图 map", 15: "Red Kite"
}  # fmt: skip


def _log(text: str) -> list[Event]:
    """``"user:item:action@time …"``, in the order of the file."""
    rows = []
    for word in text.split():
        (user, item, action), time = word.split("@")[0].split(":"), int(word.split("@")[1])
        rows.append(Event(int(user), int(item), action, time, TITLES[int(item)]))
    return rows


LOGS = (
    "1:12:purchase@7 1:10:view@3 1:11:click@1 2:11:view@2 2:10:click@5 2:13:purchase@9 "
    "3:10:click@4 3:12:view@6 3:11:click@8 4:12:view@1 4:11:purchase@2 4:15:view@5",
    "1:12:click@2 1:11:view@5 1:10:view@5 2:10:purchase@1 2:14:click@3 2:12:view@4 3:13:view@1 "
    "3:14:view@2 3:10:click@6",
    "1:10:click@1 1:10:view@2 1:12:view@3 2:12:click@1 2:14:view@2 3:11:view@1 4:14:click@1 "
    "4:10:click@2 4:12:click@9",
)


def _check(answer: Any) -> None:
    """Raise ``Wrong`` with the fault that is left; parts in the order in which they depend."""
    if not callable(answer):
        raise Wrong("Pass the function itself, without calling it.")
    parts = tuple(MISTAKES)
    for text in LOGS:
        log = _log(text)
        output, expected = answer(copy.copy(log)), _script(log)
        if not isinstance(output, dict) or set(output) != set(parts):
            raise Wrong(f"Return a dict with the keys {', '.join(parts)}.", output=output)
        for part in parts:
            if difference(output[part], expected[part], 0.0):
                known = (m for f, m in MISTAKES[part] if not difference(output[part], f(log), 0.0))
                inputs = f"repaired_script(log)[{part!r}], log as user:item:action@time: {text}"
                raise Wrong(
                    next(known, ""), inputs=inputs, output=output[part], expected=expected[part]
                )


def _with_mistake(part: str, wrong: Callable[[Log], Any]) -> Callable[[Log], dict[str, Any]]:
    return lambda log: _script(log) | {part: wrong(log)}


EXERCISE = Exercise(
    id="repaired_script",
    title="A script with five faults",
    data={"event": Event, "pieces": pieces, "log": lambda: _log(LOGS[0])},
    check=_check,
    known_wrong=tuple(
        KnownWrong(_with_mistake(part, wrong), message)
        for part, mistakes in MISTAKES.items()
        for wrong, message in mistakes
    ),
    hints=(
        "Begin with the split: rows = sorted(log, key=lambda row: row.time), and each user's last "
        "row is the target. All else reads the training rows only.",
        "labels: {(user, item): 1 if taken else 0} for every user and every item of the training "
        "rows.",
        "lists: training items by falling count, then by id, without those of the user.",
    ),
    notice="None of the five raises an error, and four of them raise the metric. The order of the "
    "steps is the repair: split first, then fit everything on what is left.",
)
