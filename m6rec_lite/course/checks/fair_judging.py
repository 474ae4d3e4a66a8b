"""Exercises 01.3, 01.4 and 01.6: sampled negatives, a leaky split, a paired bootstrap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from m6rec_lite.course.exercises import Case, Exercise, KnownWrong, Wrong

# 01.3 Error hunt: sampled negatives


def _one_user(rank: int, n_items: int, n_seen: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of one user whose target has ``rank`` among the unseen; seen items score highest."""
    scores = -np.arange(n_items, dtype=float)[None]
    seen = (np.arange(n_items) < n_seen)[None]
    return scores, seen, np.array([n_seen + rank - 1])


def _stack(*users: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(parts) for parts in zip(*users, strict=True))


def _full_hits(
    scores: np.ndarray, seen: np.ndarray, targets: np.ndarray, k: int = 10, edge: int = 0
) -> float:
    mine = scores[np.arange(len(targets)), targets][:, None]
    return float(np.mean(((scores > mine) & ~seen).sum(axis=1) < k + edge))


def _sampled_hits(
    scores: np.ndarray, seen: np.ndarray, targets: np.ndarray, k: int = 10, sample: int = 100
) -> float:
    rng = np.random.default_rng(0)
    hits = []
    for row, taken, target in zip(scores, seen, targets, strict=True):
        pool = np.flatnonzero(~taken & (np.arange(len(row)) != target))
        rivals = rng.choice(pool, size=min(sample, len(pool)), replace=False)
        hits.append((row[rivals] > row[target]).sum() < k)
    return float(np.mean(hits))


SAMPLED_NEGATIVES = Exercise(
    id="01.3",
    title="An evaluation that flatters",
    answer="hit_rate",
    cases=(
        Case(args=(*_one_user(3, 1000, 0), 10), wanted=1.0, note="the target ranks 3 of 1,000"),
        Case(args=(*_one_user(20, 1000, 0), 10), wanted=0.0, note="the target ranks 20 of 1,000"),
        Case(
            args=(*_one_user(10, 1000, 15), 10),
            wanted=1.0,
            note="15 seen items score higher, and 9 unseen ones",
        ),
        Case(args=(*_one_user(11, 1000, 0), 10), wanted=0.0, note="the target ranks 11 of 1,000"),
        Case(
            args=(*_stack(*(_one_user(r, 1000, 5) for r in (1, 2, 6, 30))), 5),
            wanted=0.5,
            note="four users whose targets rank 1, 2, 6 and 30; k is 5",
        ),
        Case(args=(*_one_user(20, 9000, 0), 10), wanted=0.0, note="the target ranks 20 of 9,000"),
    ),
    known_wrong=(
        KnownWrong(
            _sampled_hits,
            "This still ranks the target among 100 sampled items: rank 20 of 1,000 becomes rank 3 "
            "of 101. Compare the target with every unseen item.",
        ),
        KnownWrong(
            lambda scores, seen, targets, k=10: _sampled_hits(scores, seen, targets, k, 1000),
            "This still ranks the target among a sample, only a larger one: of 9,000 items most "
            "are left out. Compare the target with every unseen item.",
        ),
        KnownWrong(
            lambda scores, seen, targets, k=10: _full_hits(scores, np.zeros_like(seen), targets, k),
            "Items that the user has seen stand in the target's way. They are not recommended, so "
            "take them out of the ranking (score -inf).",
        ),
        KnownWrong(
            lambda scores, seen, targets, k=10: _full_hits(scores, seen, targets, k, edge=1),
            "Off by one: with 10 items above it the target ranks 11, outside of the first 10.",
        ),
        KnownWrong(
            lambda scores, seen, targets, k=10: _full_hits(scores, seen, targets, k) * len(targets),
            "That counts the hits; the hit rate is the share of users: divide by their number.",
        ),
    ),
    correct_alternatives=(
        _full_hits,
        lambda scores, seen, targets, k=10: np.mean(
            [
                target in [i for i in np.argsort(-row) if not taken[i]][:k]
                for row, taken, target in zip(scores, seen, targets, strict=True)
            ]
        ),
    ),
    hints=(
        "How many items does the target compete with in the flattering function? How many are "
        "there?",
        "The rank of the target is 1 plus the number of unseen items that score higher.",
        "np.where(seen, -np.inf, scores) takes the seen items out; then compare with the target's "
        "score and count along axis 1.",
    ),
    notice="The random model falls to k divided by the number of unseen items, as it must. The "
    "shortcut overstated it by a factor of about (unseen items) / 101, and a good model by less: "
    "that is how orders turn.",
)


# 01.4 Error hunt: a split that leaks


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


def _cut_keeping_target(rows: pd.DataFrame) -> dict:
    fair = _cut(rows)
    return fair | {"history": {u: [*h, fair["target"][u]] for u, h in fair["history"].items()}}


def _cut_newest_first(rows: pd.DataFrame) -> dict:
    fair = _cut(rows)
    return fair | {"history": {u: h[::-1] for u, h in fair["history"].items()}}


def _cut_without_the_short(rows: pd.DataFrame) -> dict:
    fair = _cut(rows)
    return fair | {"history": {u: h for u, h in fair["history"].items() if h}}


def _as_lists(cut: object) -> object:
    """The cut with plain lists and numbers, whatever kind of sequence the learner chose."""
    if not isinstance(cut, dict) or set(cut) != {"history", "target", "popularity"}:
        raise Wrong(
            "Return a dictionary with exactly the keys history, target and popularity.", got=cut
        )
    history = {int(u): [int(i) for i in items] for u, items in dict(cut["history"]).items()}
    single = {
        key: {int(a): int(b) for a, b in dict(cut[key]).items()} for key in ("target", "popularity")
    }
    return {"history": history, **single}


def _log(text: str) -> pd.DataFrame:
    """``"user:item@time …"`` as a table, in file order."""
    rows = [tuple(int(x) for x in word.replace("@", ":").split(":")) for word in text.split()]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


_LOGS = (
    # user 1 out of order in the file; items 20, 30 occur only as targets; user 3 has one event
    _log("1:20@9 1:10@3 1:11@5 2:10@1 2:12@2 2:30@7 3:10@4 4:11@2 4:12@6 4:10@8 4:40@9"),
    # ties: in file order user 1 ends with 7, by item id with 9; a random cut keeps later events
    _log("1:5@1 1:9@4 1:7@4 2:9@2 2:5@2 2:6@2 2:4@2"),
    _log("1:5@1 1:5@2 1:7@3"),  # an item taken twice stands twice, and counts twice
)
_CUT_MISTAKES: tuple[tuple[Callable[[pd.DataFrame], dict], str], ...] = (
    (
        lambda rows: _cut(rows, count="all"),
        "popularity counts the targets too: the answers are in the training data. Count only what "
        "stands in the histories.",
    ),
    (
        _cut_at_random,
        "The target is drawn at random, so histories hold events that came after it. The target is "
        "each user's last event in time.",
    ),
    (
        _cut_keeping_target,
        "The history contains the target itself: a model need only look it up.",
    ),
    (
        lambda rows: _cut(rows, by=("timestamp", "item_id")),
        "Ties are in the order of item ids. Equal timestamps stay in file order: sort by user and "
        'time alone, with kind="stable".',
    ),
    (
        lambda rows: _cut(rows, by=()),
        "The last row of the file is not the last event in time: sort by time within each user.",
    ),
    (
        _cut_without_repeats,
        "An item that a user took twice stands in the history once. Keep every event, and count "
        "every event.",
    ),
    (_cut_newest_first, "The histories run backwards: oldest event first."),
    (
        _cut_without_the_short,
        "A user with a single event is missing from the histories: an empty list belongs there.",
    ),
)


def _check_cut(answer: Callable[[pd.DataFrame], dict]) -> None:
    for log in _LOGS:
        got, wanted = _as_lists(answer(log.copy())), _as_lists(_cut(log))
        if got == wanted:
            continue
        same_as = (
            because
            for mistake, because in _CUT_MISTAKES
            if all(
                _as_lists(mistake(each.copy())) == _as_lists(answer(each.copy())) for each in _LOGS
            )
        )
        part = next(key for key in wanted if got[key] != wanted[key])
        words = " ".join(f"{u}:{i}@{t}" for u, i, t in log.itertuples(index=False))
        raise Wrong(
            next(same_as, ""),
            given=f"rows user:item@time in file order: {words}",
            got=f"{part}: {got[part]}",
            wanted=f"{part}: {wanted[part]}",
        )


def _cut_by_loop(rows: pd.DataFrame) -> dict:
    history: dict[int, list[int]] = {}
    target: dict[int, int] = {}
    popularity: dict[int, int] = {}
    for row in rows.sort_values("timestamp", kind="stable").itertuples():
        history.setdefault(row.user_id, [])
        if row.user_id in target:
            before = target[row.user_id]
            history[row.user_id].append(before)
            popularity[before] = popularity.get(before, 0) + 1
        target[row.user_id] = row.item_id
    return {"history": history, "target": target, "popularity": popularity}


LEAKY_SPLIT = Exercise(
    id="01.4",
    title="A split that leaks",
    answer="fair_cut",
    check=_check_cut,
    known_wrong=tuple(KnownWrong(mistake, because) for mistake, because in _CUT_MISTAKES),
    correct_alternatives=(_cut_by_loop,),
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


# 01.6 A paired bootstrap


def _two_models(n: int = 400, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Per-user values of two models that agree on which users are easy."""
    rng = np.random.default_rng(seed)
    easy = rng.random(n)
    return easy + rng.normal(0.05, 0.1, n), easy + rng.normal(0.0, 0.1, n)


def _interval(
    draw: Callable[[np.random.Generator, np.ndarray, np.ndarray], float],
    tail: float = 0.025,
) -> Callable[..., tuple[float, float]]:
    """A bootstrap whose single draw is ``draw``."""

    def interval(
        a: np.ndarray, b: np.ndarray, n_resamples: int = 2000, seed: int = 0
    ) -> tuple[float, float]:
        rng, a, b = np.random.default_rng(seed), np.asarray(a), np.asarray(b)
        means = [draw(rng, a, b) for _ in range(n_resamples)]
        return float(np.quantile(means, tail)), float(np.quantile(means, 1 - tail))

    return interval


def _paired(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> float:
    rows = rng.integers(0, len(a), len(a))
    return a[rows].mean() - b[rows].mean()


def _apart(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> float:
    return rng.choice(a, len(a)).mean() - rng.choice(b, len(b)).mean()


def _no_return(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> float:
    return (a - b)[rng.permutation(len(a))].mean()


def _of_users(
    a: np.ndarray, b: np.ndarray, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    low, high = np.quantile(np.asarray(a) - np.asarray(b), [0.025, 0.975])
    return float(low), float(high)


_PAIRED_MESSAGES = {
    "apart": "The interval is as wide as if the two models had been judged on different users. "
    "Draw the users once and use the same draw for both models: that is what paired means.",
    "sign": "The sign is turned: a minus b was asked for, and a is better here.",
    "no return": "The interval has no width: the draw is without replacement, so it is the same "
    "users each time. Draw with replacement.",
    "users": "These are quantiles of the users' differences, not of their mean. The mean of a draw "
    "of users varies far less than a single user.",
    "90": "The width is that of a 90 % interval: a 95 % interval leaves 2.5 % on either side, not "
    "5 %.",
    "one": "This is an interval of model a alone, not of the difference a - b.",
}


def _check_interval(answer: Callable[..., tuple[float, float]]) -> None:
    a, b = _two_models()
    given = f"a, b of {len(a)} users, means {a.mean():.3f} and {b.mean():.3f}, 2000 resamples"
    got = answer(a.copy(), b.copy(), n_resamples=2000, seed=0)
    try:
        low, high = (float(end) for end in got)
    except (TypeError, ValueError):
        raise Wrong("Return a pair (low, high).", given=given, got=got) from None
    mean, error = float((a - b).mean()), float((a - b).std() / np.sqrt(len(a)))
    apart = float(np.hypot(a.std(), b.std()) / np.sqrt(len(a)))
    wanted = f"about ({mean - 1.96 * error:.4f}, {mean + 1.96 * error:.4f})"
    if low > high:
        raise Wrong(
            "The ends are exchanged: return (low, high).",
            given=given,
            got=f"({low:.4f}, {high:.4f})",
            wanted=wanted,
        )
    middle, width = (low + high) / 2, high - low

    def near(value: float, target: float) -> bool:
        return abs(value - target) < 0.1 * abs(target)

    if abs(middle - mean) < error and near(width, 3.92 * error):
        again = answer(a.copy(), b.copy(), n_resamples=2000, seed=0)
        if not np.allclose(got, again):
            raise Wrong("The same seed gave another interval: draw from default_rng(seed).")
        if np.array_equal(got, answer(a.copy(), b.copy(), n_resamples=2000, seed=1)):
            raise Wrong(
                "Another seed gave the same interval: nothing is drawn. A formula with 1.96 "
                "standard errors is no bootstrap; draw users with replacement."
            )
        return
    because = ""
    if abs(middle + mean) < error:
        because = _PAIRED_MESSAGES["sign"]
    elif width < 1e-9:
        because = _PAIRED_MESSAGES["no return"]
    elif abs(middle - a.mean()) < error:
        because = _PAIRED_MESSAGES["one"]
    elif near(width, 3.92 * apart):
        because = _PAIRED_MESSAGES["apart"]
    elif near(width, 3.29 * error):
        because = _PAIRED_MESSAGES["90"]
    elif near(width, 3.92 * error * np.sqrt(len(a))):
        because = _PAIRED_MESSAGES["users"]
    raise Wrong(because, given=given, got=f"({low:.4f}, {high:.4f})", wanted=wanted)


def _paired_by_index(
    a: np.ndarray, b: np.ndarray, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(a), size=(n_resamples, len(a)))
    means = np.asarray(a)[rows].mean(axis=1) - np.asarray(b)[rows].mean(axis=1)
    return tuple(np.percentile(means, (2.5, 97.5)))


PAIRED_BOOTSTRAP = Exercise(
    id="01.6",
    title="A paired bootstrap",
    answer="paired_interval",
    check=_check_interval,
    known_wrong=(
        KnownWrong(_interval(_apart), _PAIRED_MESSAGES["apart"]),
        KnownWrong(_interval(lambda rng, a, b: -_paired(rng, a, b)), _PAIRED_MESSAGES["sign"]),
        KnownWrong(_interval(_no_return), _PAIRED_MESSAGES["no return"]),
        KnownWrong(_of_users, _PAIRED_MESSAGES["users"]),
        KnownWrong(_interval(_paired, tail=0.05), _PAIRED_MESSAGES["90"]),
        KnownWrong(
            _interval(lambda rng, a, b: rng.choice(a, len(a)).mean()), _PAIRED_MESSAGES["one"]
        ),
    ),
    correct_alternatives=(_interval(_paired), _paired_by_index),
    hints=(
        "Take the differences user by user first. What is left of the easy and hard users?",
        "rng.integers(0, n, size=(n_resamples, n)) draws all the users of all the draws at once.",
        "Mean along axis 1, then np.quantile(means, [0.025, 0.975]).",
    ),
    notice="The users that are easy for both models cancel in the difference. Two models whose own "
    "intervals overlap widely may differ beyond doubt.",
)
