"""Readers of the files under ``results/`` for the page ``paper``: figures and comparisons.

Each reader takes the folder of results and returns ``Ours``, or None where nothing was measured
yet. A file that is there and cannot be read is an error: it is never treated as absent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from experiments.pages.paper_rule import Comparison, Figure, Ours, apart
from m6rec_lite.course.comparison import BOTH, RETRIEVER, TEXT, known, named
from m6rec_lite.course.files import read_json, read_rows
from m6rec_lite.course.leaderboard import ORACLE, Leaderboard
from m6rec_lite.course.published import NOTHING, best_published

#: Networks over item ids, as YouTubeDNN is one: the paper's rivals in retrieval.
NETWORKS = ("SASRec", "GRU4Rec", "BERT4Rec")
#: Entry of a report: the paired difference of a run from the bigram.
BESIDE_BIGRAM = "more than the bigram, paired"
#: Examples of a new domain that are few: a model without pretraining may catch up beyond.
FEW = 100


def nothing(results: Path) -> None:
    """Return None: a claim that is not tested yet."""


def clicks(results: Path) -> Ours | None:
    """Return scoring, from ``clicks/bazaar.csv`` (``click_models``)."""
    path = results / "clicks" / "bazaar.csv"
    rows = _rows(path, "model variant seed n_train n_test auc command")
    rows = rows[rows["label"] == "clicked"] if len(rows) else rows
    own = chosen(rows[rows["model"] == "M6RecCTR"]) if len(rows) else rows
    if not len(own):
        return None
    columns = ["auc - DIN", "auc - DIN, low", "auc - DIN, high"]
    _need(own, columns, path)
    against = [
        Comparison("DIN, seed 0", "AUC", int(row["seed"]), *(float(row[c]) for c in columns), True)
        for row in own.to_dict("records")
    ]
    n_train, n_test = (int(own[name].iloc[0]) for name in ("n_train", "n_test"))
    protocol = (
        f"Impressions of the bazaar cut by time, {n_train:,} to learn from and the latest "
        f"{n_test:,} to be judged by; {_settings(own)}; intervals are paired over users, "
        "against the DIN of seed 0. The oracle knows the truth of the simulation."
    )
    figures = (f"AUC {_each(rows, 'auc')}",)
    return Ours(figures, protocol, _commands(own), tuple(against))


def retrieval(results: Path, *, dataset: str, text_alone: bool) -> Ours | None:
    """Return full ranking, from ``leaderboard/`` and the recorded runs.

    Args:
        results: the folder.
        dataset: whose board.
        text_alone: of the retriever that reads no ids, or of the one that does.
    """
    board = Leaderboard(results / "leaderboard").latest(dataset, scale="laptop")
    if not len(board):
        return None
    wanted = TEXT if text_alone else BOTH
    names = [named(*pair) for pair in zip(board["model"], board["variant"], strict=True)]
    time_blind = board["variant"].map(known) == NOTHING  # as all its rivals are
    is_own = pd.Series([name == wanted for name in names], index=board.index) & time_blind
    own, others = chosen(board[is_own]), board[board["model"] != RETRIEVER]
    if not len(own):
        return None
    rivals = [chosen(others[others["model"] == name]) for name in (*NETWORKS, "Bigram")]
    means = [rows["ndcg@10"].mean() if len(rows) else -math.inf for rows in rivals[:-1]]
    network, bigram = rivals[means.index(max(means))], rivals[-1]
    reports = _reports(results / "runs")
    against = []
    for row in own.to_dict("records"):
        seed, figure = int(row["seed"]), _figure(row, "ndcg@10")
        report = reports.get(row["command"])
        if report is not None:
            ends = (report[BESIDE_BIGRAM][k] for k in ("mean", "low", "high"))
            against.append(Comparison("Bigram", "NDCG@10", seed, *ends, paired=True))
        elif len(bigram):
            other = _figure(bigram.iloc[0], "ndcg@10")
            against.append(apart("Bigram", "NDCG@10", seed, figure, other))
        if len(network):
            other, name = _figure(network.iloc[0], "ndcg@10"), network["model"].iloc[0]
            against.append(apart(name, "NDCG@10", seed, figure, other))
        best = best_published(dataset)
        if best is not None:
            name = f"{best.model}, published"
            against.append(apart(name, "NDCG@10", seed, figure, (best.ndcg,) * 3))
    simple = others[~others["model"].isin([*NETWORKS, ORACLE])].sort_values("ndcg@10").iloc[-1:]
    above = "".join(
        f" Of all other rows of the board the best is {row['model']}"
        f"{' (' + row['variant'] + ')' if row['variant'] else ''}, {row['ndcg@10']:.4f}."
        for row in simple.to_dict("records")
    )
    protocol = (
        f"{dataset}, leave-one-out (split {own['split_hash'].iloc[0]}), all items ranked that the "
        f"user has not seen; {_settings(own)}; intervals over users.{above}"
    )
    shown = pd.concat([own, network, bigram])
    figures = tuple(f"{m.upper()} {_each(shown, m)}" for m in ("ndcg@10", "hr@10"))
    return Ours(figures, protocol, _commands(own), tuple(against))


def task(
    results: Path,
    *,
    task: str,
    metric: str,
    shown: Sequence[str],
    ours: str = "M6-Rec",
    rivals: Sequence[str] | None = None,
) -> Ours | None:
    """Return one task of ``tasks/bazaar.csv``.

    Args:
        results: the folder.
        task: its name there.
        metric: that decides; more is better.
        shown: metrics to be shown; those that are not there are left out.
        ours: the model whose rows are ours.
        rivals: who it must stand above; None: every other model that has the metric.
    """
    path = results / "tasks" / "bazaar.csv"
    rows = _rows(path, "dataset task part model metric seed value low high n command")
    rows = rows[(rows["task"] == task) & (rows["part"] != "validation")] if len(rows) else rows
    own = rows[(rows["model"] == ours) & (rows["metric"] == metric)] if len(rows) else rows
    if not len(own):
        return None
    decisive = rows[(rows["metric"] == metric) & ~_is_ours(rows)]
    differences = rows[(rows["model"] == ours) & rows["metric"].str.startswith(f"{metric} - ")]
    baselines = differences["metric"].str.removeprefix(f"{metric} - ")
    names = dict.fromkeys([*decisive["model"], *baselines])
    against = []
    for row in own.to_dict("records"):
        here = f"{metric}, {row['part']}" if _several(own["part"]) else metric
        for rival in (name for name in names if rivals is None or name in rivals):
            pair = _same(differences[baselines == rival], row)
            other = _same(decisive[decisive["model"] == rival], row)
            if pair is not None:
                figure = _figure(pair, "value")
                against.append(Comparison(rival, here, int(row["seed"]), *figure, paired=True))
            elif other is not None:
                figures = (_figure(row, "value"), _figure(other, "value"))
                against.append(apart(rival, here, int(row["seed"]), *figures))
    phrases = []
    for name in shown:
        for part, some in rows[rows["metric"] == name].groupby("part", sort=False):
            where = f" ({part})" if _several(own["part"]) else ""
            phrases.append(f"{name}{where} {_each(some, 'value')}")
    counts = own.drop_duplicates("part")
    questions = ", ".join(
        f"{int(row['n']):,} questions{row['part'] and ' of '}{row['part']}"
        for row in counts.to_dict("records")
    )
    seeds = _listed(sorted(set(own["seed"])))
    protocol = f"{own['dataset'].iloc[0]}, {questions}, never learnt from; seed {seeds}."
    return Ours(tuple(phrases), protocol, _commands(own), tuple(against))


def new_domain(results: Path) -> Ours | None:
    """Return ranking in a new domain, by examples of it, from ``new_domain/bazaar.csv``."""
    path, metric = results / "new_domain" / "bazaar.csv", "ndcg@10"
    wanted = f"dataset domain model examples seed {metric} {metric}_low {metric}_high n_users"
    rows = _rows(path, f"{wanted} command")
    if not len(rows) or not (rows["model"] == RETRIEVER).any():
        return None
    own, others = rows[rows["model"] == RETRIEVER], rows[~_is_ours(rows)]
    against = []
    for row in own[own["examples"] <= FEW].sort_values(["domain", "examples"]).to_dict("records"):
        here = others
        for name in ("domain", "examples", "seed"):
            here = here[here[name] == row[name]]
        if len(here):
            best = here.loc[here[metric].idxmax()]
            where = f"NDCG@10, {row['domain']}, {row['examples']} examples"
            figures = (_figure(row, metric), _figure(best, metric))
            against.append(apart(best["model"], where, int(row["seed"]), *figures))
    whole = rows["examples"] == rows.groupby("domain")["examples"].transform("max")
    rows = rows.assign(step=rows["examples"].astype(str).where(~whole, "all"))
    steps = [*rows.loc[~whole, "examples"].sort_values().unique().astype(str), "all"]
    phrases = [f"NDCG@10, mean over domains, at {', '.join(steps)} examples"]
    everywhere = rows["domain"].nunique()
    partial = []
    for name, some in rows.groupby("model", sort=False):
        if some["domain"].nunique() < everywhere:
            partial.append((name, some))
        else:
            phrases.append(f"{name} {_curve(some, steps)}")
    for name, some in partial:  # beside the same domains of ours, not beside a mean over all
        where = sorted(set(some["domain"]))
        same = rows[(rows["model"] == RETRIEVER) & rows["domain"].isin(where)]
        phrases.append(
            f"on {_listed(where)} alone: {name} {_curve(some, steps)}, "
            f"{RETRIEVER} {_curve(same, steps)}"
        )
    domains = _listed(
        f"{name} ({int(some['n_users'].iloc[0]):,} users)" for name, some in rows.groupby("domain")
    )
    protocol = (
        f"{rows['dataset'].iloc[0]}: a domain whose rows are hidden, and given back so many at a "
        f"time; strangers are asked for their next item of it, NDCG@10 among its items. In turn "
        f"{domains}; seed {_listed(sorted(set(own['seed'])))}."
    )
    return Ours(tuple(phrases), protocol, _commands(own), tuple(against))


def _curve(rows: pd.DataFrame, steps: Sequence[str]) -> str:
    """Return NDCG@10 at each number of examples, the mean over domains."""
    means = rows.groupby("step")["ndcg@10"].mean().reindex(steps)
    return ", ".join(means.map("{:.3f}".format))


def chosen(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the variant with the most seeds; of equals the last written."""
    if not len(rows):
        return rows
    seeds = rows.groupby("variant", sort=False)["seed"].nunique()
    last = {variant: place for place, variant in enumerate(rows["variant"])}
    best = max(seeds.index, key=lambda variant: (seeds[variant], last[variant]))
    return rows[rows["variant"] == best].sort_values("seed")


def _rows(path: Path, columns: str) -> pd.DataFrame:
    """Return the rows of a file, none without a file; an empty variant or part is ``""``."""
    if not path.is_file():
        return pd.DataFrame()
    empty = ("variant", "part")
    rows = read_rows(path, (), words=empty)
    _need(rows, columns.split(), path)
    return rows


def _is_ours(rows: pd.DataFrame) -> pd.Series:
    """Return which rows are ours in any settings, or the oracle's: never a baseline."""
    return rows["model"].str.startswith("M6") | (rows["model"] == ORACLE)


def _need(rows: pd.DataFrame, columns: Iterable[str], path: Path) -> None:
    missing = [name for name in columns if name not in rows]
    if missing:
        raise ValueError(
            f"{path.parent.name}/{path.name} lacks the columns {', '.join(missing)}: write it "
            "again with the command that makes it"
        )


def _figure(row: pd.Series | dict, metric: str) -> Figure:
    ends = ("low", "high") if metric == "value" else (f"{metric}_low", f"{metric}_high")
    return float(row[metric]), float(row[ends[0]]), float(row[ends[1]])


def _same(rows: pd.DataFrame, row: dict) -> pd.Series | None:
    """Return the row of the same part and seed, or of the first seed."""
    rows = rows[rows["part"] == row["part"]]
    exact = rows[rows["seed"] == row["seed"]]
    some = exact if len(exact) else rows
    return some.iloc[0] if len(some) else None


def _reports(folder: Path) -> dict[str, dict]:
    """Return the reports that compare a run with the bigram, by the command of the run."""
    pairs = [
        (read_json(path.with_name("config.json")), read_json(path))
        for path in sorted(folder.glob("*/report.json"))
    ]
    return {config["command"]: report for config, report in pairs if BESIDE_BIGRAM in report}


def _each(rows: pd.DataFrame, metric: str) -> str:
    """Return the figure of each model, the mean over seeds, from the highest to the lowest."""
    rows = rows.assign(variant="") if "variant" not in rows else rows
    means = []
    for name in dict.fromkeys(rows["model"]):
        some = chosen(rows[(rows["model"] == name) & rows[metric].notna()])
        if len(some):
            mean = float(some[metric].mean())
            seeds = f" (mean of {len(some)} seeds)" if len(some) > 1 else ""
            means.append((mean, f"{name} {mean:.{4 if abs(mean) < 10 else 2}f}{seeds}"))
    return ", ".join(text for _, text in sorted(means, key=lambda pair: -pair[0]))


def _settings(own: pd.DataFrame) -> str:
    said = own["variant"].iloc[0]
    of = f"settings `{said}`" if said else "default settings"
    return f"{of}, seed {_listed(own['seed'])}"


def _several(values: Iterable[object]) -> bool:
    return len(set(values)) > 1


def _listed(values: Iterable[object]) -> str:
    """Join values as ``1, 2 and 3``."""
    *most, last = map(str, values)
    return f"{', '.join(most)} and {last}" if most else last


def _commands(rows: pd.DataFrame) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rows["command"]))
