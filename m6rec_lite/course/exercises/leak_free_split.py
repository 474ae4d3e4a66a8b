"""Exercise ``leak_free_split``: a split that leaks."""

from __future__ import annotations

import pandas as pd

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _cut(
    rows: pd.DataFrame, *, by: tuple[str, ...] = ("timestamp",), count: str = "history"
) -> dict:
    """The fair cut and its usual neighbours."""
    ordered = rows.sort_values(["user_id", *by], kind="stable")
    lists = {u: g["item_id"].tolist() for u, g in ordered.groupby("user_id")}
    history = {u: items[:-1] for u, items in lists.items()}
    counted = {"history": history, "all": lists}[count]
    names = pd.Series([i for items in counted.values() for i in items], dtype="int64")
    return {
        "history": history,
        "target": {u: items[-1] for u, items in lists.items()},
        "popularity": names.value_counts().to_dict(),
    }


def _cut_at_random(rows: pd.DataFrame) -> dict:
    rows = rows.sort_values(["user_id", "timestamp"], kind="stable")
    held_out = rows.groupby("user_id").sample(1, random_state=0)
    kept = rows.drop(held_out.index)
    return {
        "history": {
            u: kept.loc[kept["user_id"] == u, "item_id"].tolist() for u in rows["user_id"].unique()
        },
        "target": held_out.set_index("user_id")["item_id"].to_dict(),
        "popularity": kept["item_id"].value_counts().to_dict(),
    }


def _cut_without_repeats(rows: pd.DataFrame) -> dict:
    fair = _cut(rows)
    history = {u: list(dict.fromkeys(h)) for u, h in fair["history"].items()}
    names = pd.Series([i for items in history.values() for i in items], dtype="int64")
    return fair | {"history": history, "popularity": names.value_counts().to_dict()}


def _cut_counting_once(rows: pd.DataFrame) -> dict:
    fair = _cut(rows)
    names = pd.Series([i for h in fair["history"].values() for i in set(h)], dtype="int64")
    return fair | {"popularity": names.value_counts().to_dict()}


def _cut_keeping_target(rows: pd.DataFrame) -> dict:
    fair = _cut(rows)
    return fair | {"history": {u: [*h, fair["target"][u]] for u, h in fair["history"].items()}}


def _cut_newest_first(rows: pd.DataFrame) -> dict:
    fair = _cut(rows)
    return fair | {"history": {u: h[::-1] for u, h in fair["history"].items()}}


def _cut_without_the_short(rows: pd.DataFrame) -> dict:
    fair = _cut(rows)
    return fair | {"history": {u: h for u, h in fair["history"].items() if h}}


def _log(text: str) -> pd.DataFrame:
    """``"user:item@time …"`` as a table, in file order."""
    rows = [tuple(int(x) for x in word.replace("@", ":").split(":")) for word in text.split()]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


#: What a case is about, and its rows.
_LOGS = (
    (
        "user 1 is out of order in the file; items 20 and 30 occur only as targets; "
        "user 3 has one event",
        "1:20@9 1:10@3 1:11@5 2:10@1 2:12@2 2:30@7 3:10@4 4:11@2 4:12@6 4:10@8 4:40@9",
    ),
    ("ties: by item id user 1 ends with 9", "1:5@1 1:9@4 1:7@4 2:9@2 2:5@2 2:6@2 2:4@2"),
    ("an item taken twice", "1:5@1 1:5@2 1:7@3"),
)


def _cases() -> tuple[Case, ...]:
    return tuple(
        Case((_log(rows),), _cut(_log(rows)), note=f"{note}; user:item@time in file order: {rows}")
        for note, rows in _LOGS
    )


EXERCISE = Exercise(
    id="leak_free_split",
    title="A split that leaks",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda rows: _cut(rows, count="all"),
            "popularity counts the targets too: the answers are in the training data. Count only "
            "what stands in the histories.",
        ),
        KnownWrong(
            _cut_at_random,
            "The target is drawn at random, so histories hold events that came after it. The "
            "target is each user's last event in time.",
        ),
        KnownWrong(
            _cut_keeping_target,
            "The history contains the target itself: a model need only look it up.",
        ),
        KnownWrong(
            lambda rows: _cut(rows, by=("timestamp", "item_id")),
            "Ties are in the order of item ids. Equal timestamps stay in file order: sort by user "
            'and time alone, with kind="stable".',
        ),
        KnownWrong(
            lambda rows: _cut(rows, by=()),
            "The last row of the file is not the last event in time: sort by time within each "
            "user.",
        ),
        KnownWrong(
            _cut_without_repeats,
            "An item that a user took twice stands in the history once. Keep every event, and "
            "count every event.",
        ),
        KnownWrong(_cut_newest_first, "The histories run backwards: oldest event first."),
        KnownWrong(
            _cut_without_the_short,
            "A user with a single event is missing from the histories: an empty list belongs "
            "there.",
        ),
        KnownWrong(
            _cut_counting_once,
            "popularity counts an item once for each user. Count every event of the histories.",
        ),
    ),
    hints=(
        "Which lines of leaky_cut look at the rows before the target is taken out?",
        "Sort by user and time with kind='stable', gather each user's items into a list, and cut "
        "the list before its last entry.",
        "Count popularity from the cut lists, not from the rows.",
    ),
    notice="Popularity was counted before the answers were taken out: with few events an item, the "
    "answer itself lifts it into the top ten. Whatever is fitted (counts, weights, a tokenizer, a "
    "normalisation) is fitted after the cut.",
)
