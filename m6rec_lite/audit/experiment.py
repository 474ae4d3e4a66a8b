"""Recommended lists joined with the log: who was asked, what was recommended, what came next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.prepare import collapse, rows_of
from m6rec_lite.data.splits import leave_one_out
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.evaluation.ranking import TargetRanks, hr, ndcg


@dataclass(frozen=True, eq=False)
class Experiment:
    """The lists of some models, and the log that they are judged by.

    A *question* is a user with a held-out target; there are ``n``. A *run* is a model with a seed.

    Attributes:
        rows: ``run`` (index), ``question`` (index), ``item`` (index into the log's items, -1 if the
            log lacks it), ``above`` (items of the list ranked strictly above), ``tied`` (items of
            the same rank or score, itself included), and ``candidates`` if the file has them.
        form: ``scores``, ``lists`` or ``targets``.
        runs: model and seed (None if unknown) of each run.
        log: all rows, with repeated pairs of user and item merged onto the first.
        users: ``(n,)`` index of the user of each question.
        targets: ``(n,)`` index of the target.
        target_times: ``(n,)`` unix seconds; NaN if the log lacks the target.
        query_times: ``(n,)`` unix seconds, None if the file has none.
        repeated: ``(n,)`` bool, the user has more than one row with the target.
        n_items: number of items that can be recommended.
        n_askable: number of users with a target under leave-one-out; None if the file names the
            targets itself.
        train: the rows that the models were trained on, if they were given.
        k: length of the lists that are judged.
    """

    rows: pd.DataFrame
    form: str
    runs: tuple[tuple[str, float | None], ...]
    log: Interactions
    users: np.ndarray
    targets: np.ndarray
    target_times: np.ndarray
    query_times: np.ndarray | None
    repeated: np.ndarray
    n_items: int
    n_askable: int | None
    train: Interactions | None
    k: int

    @classmethod
    def join(
        cls,
        lists: pd.DataFrame,
        log: Dataset,
        *,
        train: Dataset | Interactions | None = None,
        k: int = 10,
    ) -> Experiment:
        """Join lists with a log.

        Without a column ``target`` the targets are those of ``leave_one_out(log)``.

        Args:
            lists: from ``read_lists``.
            log: all interactions, those of the targets included.
            train: the rows that the models were trained on.
            k: length of the lists that are judged; cut to the longest list.

        Raises:
            DataError: if the log lacks a user or most items, or no user has a target.
        """
        form, raw = lists.attrs["form"], rows_of(log)
        merged = collapse(raw)
        users = _index(lists, "user", merged.user_ids)
        questions, n_items, n_askable = _questions(lists, log, merged, users)
        rows, runs = _rows(lists, users, questions, merged)
        counts, times = _occurrences(raw, questions, last=n_askable is None)
        query_times = None
        if "query_time" in lists:
            each = lists["query_time"].groupby(users).first()
            query_times = each.reindex(questions["user"]).to_numpy()
        train_rows = rows_of(train) if isinstance(train, Dataset) else train
        if train_rows is not None and not pd.Index(train_rows.user_ids).isin(merged.user_ids).any():
            raise DataError(
                f"the training rows share no user with the log: {train_rows.user_ids[:3].tolist()} "
                f"and {merged.user_ids[:3].tolist()}; both need the same ids"
            )
        lengths = rows.groupby(["run", "question"]).size()
        return cls(
            rows=rows,
            form=form,
            runs=runs,
            log=merged,
            users=questions["user"].to_numpy(),
            targets=questions["target"].to_numpy(),
            target_times=times,
            query_times=query_times,
            repeated=counts > 1,
            n_items=n_items,
            n_askable=n_askable,
            train=train_rows,
            k=k if form == "targets" else min(k, int(lengths.max())),
        )

    def __len__(self) -> int:
        return len(self.users)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names of the models, without seeds."""
        return tuple(dict.fromkeys(model for model, _ in self.runs))

    @cached_property
    def answered(self) -> np.ndarray:
        """``(n_runs, n)`` bool: the run has a list for the question."""
        found = np.zeros((len(self.runs), len(self)), bool)
        found[self.rows["run"], self.rows["question"]] = True
        return found

    @cached_property
    def target_rows(self) -> pd.DataFrame:
        """The rows whose item is the target, one for each run and question that has it."""
        hit = self.rows["item"].to_numpy() == self.targets[self.rows["question"]]
        return self.rows[hit].drop_duplicates(["run", "question"])

    @cached_property
    def ndcg(self) -> np.ndarray:
        """``(n_models, n)`` NDCG@k of each question, mean over seeds; NaN without a list."""
        return self._values(ndcg)

    @cached_property
    def hr(self) -> np.ndarray:
        """``(n_models, n)`` HR@k of each question, mean over seeds; NaN without a list."""
        return self._values(hr)

    @property
    def best(self) -> int:
        """Index of the model with the highest mean NDCG@k."""
        return int(np.nanmean(self.ndcg, axis=1).argmax())

    @cached_property
    def past(self) -> Interactions:
        """Rows of the log but for the targets and what their users did later."""
        cut = np.full(self.log.n_users, np.inf)
        known = ~np.isnan(self.target_times)
        cut[self.users[known]] = self.target_times[known]
        early = self.log.timestamps <= cut[self.log.users]
        return self.log.select(early & ~self.is_target)

    @cached_property
    def is_target(self) -> np.ndarray:
        """Bool for each row of the log: it is the target of its user."""
        target = np.full(self.log.n_users, -1)
        target[self.users] = self.targets
        return self.log.items == target[self.log.users]

    @cached_property
    def popularity(self) -> np.ndarray:
        """``(n,)`` NDCG@k of the items with the most users in the past, seen items left out."""
        counts = np.bincount(self.past.items, minlength=self.log.n_items)
        goal, ordered = counts[self.targets], np.sort(counts[counts > 0])
        above = len(ordered) - np.searchsorted(ordered, goal, side="right")
        tied = len(ordered) - above - np.searchsorted(ordered, goal, side="left")
        wanted = np.full(self.log.n_users, -1)  # the target's count, by user
        wanted[self.users] = goal
        users, seen = self.past.users, counts[self.past.items]
        for total, is_seen in ((above, seen > wanted[users]), (tied, seen == wanted[users])):
            total -= np.bincount(users[is_seen], minlength=self.log.n_users)[self.users]
        above = np.where(goal > 0, above, self.log.n_items)  # unseen items are not recommended
        tied = np.maximum(tied, 1)
        n = len(self)
        return ndcg(TargetRanks(np.arange(n), above, tied, n, self.log.n_items), self.k)

    def _values(self, metric: Callable[[TargetRanks, int], np.ndarray]) -> np.ndarray:
        """Return a metric of every model and question."""
        n, n_items = len(self), self.log.n_items
        values = np.full((len(self.runs), n), np.nan)
        for run, answered in enumerate(self.answered):
            part = self.target_rows[self.target_rows["run"] == run]
            above, tied = np.full(n, n_items), np.ones(n, np.int64)
            above[part["question"]] = np.floor(part["above"])
            tied[part["question"]] = part["tied"]
            ranks = TargetRanks(np.arange(n), above, tied, n, n_items)
            values[run, answered] = metric(ranks, self.k)[answered]
        names = np.array([model for model, _ in self.runs])
        return np.stack([values[names == model].mean(axis=0) for model in self.models])


def _questions(
    lists: pd.DataFrame, log: Dataset, merged: Interactions, users: np.ndarray
) -> tuple[pd.DataFrame, int, int | None]:
    """Return ``user target`` (indices), the number of items, and that of users with a target."""
    name = lists.attrs["name"]
    if "target" in lists:
        targets = _index(lists, "target", merged.item_ids)
        questions = pd.DataFrame({"user": users, "target": targets}).drop_duplicates()
        if (twice := questions["user"].duplicated()).any():
            user = merged.user_ids[questions["user"][twice].iloc[0]]
            raise DataError(f"{name}: user {user} has two targets; audit one question a user")
        return questions.sort_values("user", ignore_index=True), merged.n_items, None
    split = leave_one_out(log, ties="file")
    asked = np.searchsorted(merged.user_ids, split.test.histories.user_ids)
    targets = np.searchsorted(merged.item_ids, split.item_ids[split.test.targets])
    questions = pd.DataFrame({"user": asked, "target": targets})
    questions = questions[questions["user"].isin(users)]
    if questions.empty:
        raise DataError(
            f"{name}: none of its users has a target under leave_one_out; name the held-out items "
            "in a column target"
        )
    return questions.sort_values("user", ignore_index=True), len(split.item_ids), len(asked)


def _rows(
    lists: pd.DataFrame, users: np.ndarray, questions: pd.DataFrame, merged: Interactions
) -> tuple[pd.DataFrame, tuple[tuple[str, float | None], ...]]:
    """Return the rows of ``Experiment``, without those of users without a target, and the runs."""
    form = lists.attrs["form"]
    seeds = lists.get("seed", pd.Series(np.nan, lists.index))
    runs = pd.DataFrame({"model": lists["model"], "seed": seeds})
    run = runs.groupby(["model", "seed"], dropna=False).ngroup()
    runs = runs.assign(run=run).drop_duplicates("run").sort_values("run")
    names = zip(runs["model"], runs["seed"].tolist(), strict=True)
    keys = [run, pd.Series(users)]
    if form == "scores":
        above = lists["score"].groupby(keys).rank(method="min", ascending=False) - 1
    else:
        above = lists["rank"] - 1
    question = pd.Series(questions.index, questions["user"]).reindex(users).to_numpy()
    frame = pd.DataFrame({"run": run, "question": question, "above": above})
    if form == "targets":
        frame["item"] = questions["target"].reindex(question).to_numpy()
        frame["tied"] = lists.get("tied", 1)
    else:
        frame["item"] = _index(lists, "item", merged.item_ids, most=0.5)
        frame["tied"] = above.groupby([*keys, above]).transform("size")
    if "candidates" in lists:
        frame["candidates"] = lists["candidates"]
    frame = frame[frame["question"].notna()].astype({"question": int, "item": int})
    return frame.reset_index(drop=True), tuple((m, None if s != s else s) for m, s in names)


def _index(lists: pd.DataFrame, column: str, known: np.ndarray, most: float = 0.0) -> np.ndarray:
    """Return the index of each id among the log's ids; -1 for at most a share of unknown ones."""
    values, source = lists[column], f"{lists.attrs['name']}, column {column}"
    ids = values
    if known.dtype.kind in "iu":
        ids = pd.to_numeric(values, errors="coerce")
        if ids.isna().any():
            raise DataError(
                f"{source}: {values[ids.isna()].iloc[0]!r} is no whole number, but the ids of the "
                f"log are, such as {known[0]}; the two files must use the same ids"
            )
    elif pd.api.types.is_numeric_dtype(values.dtype):
        ids = values.astype(str)
    index = pd.Index(known).get_indexer(ids)
    missing = index < 0
    if missing.mean() > most:
        first = values[missing].drop_duplicates().head(3).tolist()
        raise DataError(
            f"{source}: the log lacks {values[missing].nunique()} of its ids, such as {first}; "
            f"those of the log look like {known[0]!r}. Give the log that the lists were made from"
        )
    return index


def _occurrences(
    raw: Interactions, questions: pd.DataFrame, *, last: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each target is in the log, and the time of its last (or first) row."""
    rows = pd.DataFrame({"user": raw.users, "target": raw.items, "time": raw.timestamps})
    pairs = pd.MultiIndex.from_frame(questions[["user", "target"]])
    groups = rows[rows["user"].isin(questions["user"])].groupby(["user", "target"])["time"]
    table = groups.agg(["size", "max" if last else "min"]).reindex(pairs)
    return table["size"].fillna(0).to_numpy(), table.iloc[:, 1].to_numpy(dtype=float)
