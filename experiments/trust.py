"""Score explanations of SASRec against the world's causes, and price exposure of small sellers.

    python -m experiments trust --seed 0

trains ``SASRec`` and explains the item that it ranks first for ``--questions`` users. The world
knows which past event caused this item (``trust.main_cause``); a method names the event of its
highest attribution. Recorded for each method: the share of causes that it names (``hit@1``), the
same where the cause is not the latest event, and how often the model's first item changes without
that event (``flip``).

Then the same model with a penalty in its objective that raises the exposure of small sellers, and
the model without it, with a bonus on the scores that gives them the same exposure.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from experiments.arguments import add_settings_argument, read_settings
from experiments.records import Records, RunKey, summary
from m6rec_lite import trust
from m6rec_lite.data import Dataset, Histories, Split, leave_one_out, load_dataset
from m6rec_lite.evaluation import evaluate, hr, mrr
from m6rec_lite.recommenders import EASE, SASRec, top_k

#: Settings of all networks.
RECIPE = {"max_length": 50, "epochs": 6, "lr": 0.003, "patience": None}
LATEST = 20  #: events that a model may read of a history that is explained
TEXT = "SASRec, 6 epochs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--questions", type=int, default=600)
    parser.add_argument("--penalty", type=float, default=2.0)
    add_settings_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Train, explain and re-rank, unless it is recorded."""
    records, dataset = Records(options.root / "results"), load_dataset(options.dataset)
    split, settings = leave_one_out(dataset), RECIPE | read_settings(options.set)
    fair_key = key(options, "FairSASRec", f"penalty={options.penalty:g}")
    if records.is_recorded(fair_key) and not options.again:
        print(f"seed {options.seed} is recorded: results/runs/{fair_key.id}")
        return
    model = SASRec(**settings, seed=options.seed)
    model.fit(split.train, progress=not options.quiet)
    rows = explanations(model, dataset, split, options.questions, options.seed)
    for method, metrics in rows.items():
        store(records, key(options, method, TEXT), options.command, metrics)
    items = with_seller_size(dataset, split)
    fair = trust.FairSASRec(**settings, group="seller", penalty=options.penalty, seed=options.seed)
    fair.fit(split.train, items=items, progress=not options.quiet)
    price(model, fair, items, split, records, options)


def key(options: argparse.Namespace, model: str, variant: str) -> RunKey:
    """Return the key of a run of this experiment."""
    return RunKey("trust", options.dataset, model, variant, options.seed)


def store(records: Records, key: RunKey, command: str, metrics: dict[str, float]) -> None:
    """Record metrics, the first of which are shown in the index."""
    records.start(key, command=command)
    rounded = {name: round(float(value), 6) for name, value in metrics.items()}
    records.finish(key, {"metrics": rounded, "headline": dict(list(rounded.items())[:2])})
    print(key.model, rounded)


def explanations(
    model: SASRec, dataset: Dataset, split: Split, questions: int, seed: int
) -> dict[str, dict[str, float]]:
    """Return the metrics of each method.

    Args:
        model: fitted.
        dataset: with an oracle.
        split: of the data set.
        questions: number of users.
        seed: of the sample of users and of the random order.
    """
    whole, rng = split.test.histories, np.random.default_rng(seed)
    able = rng.permutation(np.flatnonzero(whole.lengths >= 2))[:questions]
    seen = whole[np.sort(able)]
    histories = seen.last(LATEST)
    items = trust.first_items(model, histories, seen)
    causes = trust.main_cause(histories, trust.world_deletion(dataset.oracle, histories, items))
    own = trust.deletion(model, histories, items)
    ease = EASE(decay=0.8).fit(split.train, progress=False)
    methods = {
        "deletion": own,
        "integrated gradients": trust.attribute(model, histories, items),
        "gradient times input": trust.attribute(model, histories, items, "gradient"),
        "attention, last layer": trust.attribute(model, histories, items, "attention"),
        "attention, rollout": trust.attribute(model, histories, items, "rollout"),
        "the latest event": -histories.steps_back.astype(float),
        "the latest event of the item's domain": same_domain(dataset, histories, items),
        "EASE's weights": trust.deletion(ease, histories, items, log_softmax=False),
        "random": rng.random(len(histories.items)),
    }
    earlier = (causes >= 0) & (causes < histories.lengths - 1)
    rows = {}
    for name, values in methods.items():
        ranks = trust.event_ranks(histories, values, causes)
        first = trust.first_items(model, trust.without_events(histories, values), seen)
        rows[name] = {
            "hit@1": np.nanmean(hr(ranks, 1)),
            "hit@1, cause not latest": np.nanmean(hr(ranks, 1)[earlier]),
            "mrr": np.nanmean(mrr(ranks, LATEST)),
            "flip": np.mean(first != items),
            "agreement with deletion": np.nanmean(rank_agreement(histories, values, own)),
            "share with a cause": np.mean(causes >= 0),
            "share not latest": earlier.sum() / max((causes >= 0).sum(), 1),
        }
    return rows


def same_domain(dataset: Dataset, histories: Histories, items: np.ndarray) -> np.ndarray:
    """Return an attribution whose highest value is the latest event of the item's domain."""
    table = dataset.items.set_index("item_id").loc[histories.item_ids]
    domain = table["domain"].astype(str).to_numpy()
    same = domain[histories.items] == domain[items][histories.rows]
    return 1000.0 * same - histories.steps_back


def with_seller_size(dataset: Dataset, split: Split) -> pd.DataFrame:
    """Return the items table with ``seller``: small for the half of creators with fewer events."""
    counts = pd.Series(split.train.item_ids[split.train.items]).value_counts()
    items = dataset.items.assign(events=dataset.items["item_id"].map(counts).fillna(0))
    events = items.groupby("creator", observed=True)["events"].sum()
    small = events.index[events <= events.median()]
    return items.assign(seller=np.where(items["creator"].isin(small), "small", "large"))


def price(
    model: SASRec,
    fair: trust.FairSASRec,
    items: pd.DataFrame,
    split: Split,
    records: Records,
    options: argparse.Namespace,
) -> None:
    """Record the model, the one with the penalty, and the one with a bonus of equal exposure."""
    histories = split.test.histories
    seller = items.set_index("item_id").loc[split.item_ids, "seller"]
    small = (seller == "small").to_numpy()

    def lists(scores: np.ndarray) -> np.ndarray:
        return top_k(scores, 10)

    scores, shares = {}, {}
    for name, trained in (("plain", model), ("fair", fair)):
        scores[name] = trained.score(histories)
        scores[name][histories.rows, histories.items] = -np.inf
        shares[name] = trust.exposure(lists(scores[name]), small.astype(int))[1]
    raised, bonus = raise_share(scores["plain"], small, shares["fair"], 10)
    rankers = {
        ("SASRec", TEXT): trust.fixed_lists(lists(scores["plain"]), histories),
        ("SASRec with a bonus", "the exposure of FairSASRec"): trust.fixed_lists(raised, histories),
        ("FairSASRec", f"penalty={options.penalty:g}"): trust.fixed_lists(
            lists(scores["fair"]), histories
        ),
    }
    reached = [shares["plain"], trust.exposure(raised, small.astype(int))[1], shares["fair"]]
    for ((name, variant), ranker), share in zip(rankers.items(), reached, strict=True):
        report = evaluate(ranker, split, k=10, progress=False)
        run_key = key(options, name, variant)
        records.start(run_key, command=options.command, split_hash=split.hash)
        more = {"exposure of small sellers": round(float(share), 6)}
        result = summary(report)
        result["metrics"] |= more
        records.finish(run_key, result | {"headline": more, "bonus": bonus}, ranks=report)
        print(f"{name}: {report['ndcg@10']:.4f}, exposure {share:.4f}")


def raise_share(
    scores: np.ndarray, member: np.ndarray, share: float, k: int
) -> tuple[np.ndarray, float]:
    """Return lists in which a group of items has a share of the exposure, by one bonus for all.

    The bonus is added to the scores of the group's items in every row, and found by bisection.

    Args:
        scores: ``(n, n_items)``.
        member: ``(n_items,)`` bool: items of the group.
        share: wanted share of the exposure, in (0, 1).
        k: length of the lists.

    Returns:
        Lists ``(n, k)`` whose share is at least the wanted one, and the bonus.
    """
    group = np.asarray(member, dtype=np.int64)
    finite = scores[np.isfinite(scores)]
    low, high = -float(np.ptp(finite)) - 1.0, float(np.ptp(finite)) + 1.0
    most = top_k(scores + high * group, k)
    if not group.any() or not 0 < share < 1 or trust.exposure(most, group)[1] < share:
        raise ValueError(f"no bonus gives the group a share of {share} of lists of {k} items")
    for _ in range(30):
        bonus = (low + high) / 2
        reached = trust.exposure(top_k(scores + bonus * group, k), group)[1] >= share
        low, high = (low, bonus) if reached else (bonus, high)
    return top_k(scores + high * group, k), high


def rank_agreement(histories: Histories, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of two attributions ``(total,)`` within each history.

    It is NaN for a history of fewer than two events, or of equal values.
    """
    table = pd.DataFrame({"first": first, "second": second})
    ranks = table.groupby(histories.rows).rank()
    centred = ranks - ranks.groupby(histories.rows).transform("mean")
    a, b = centred["first"].to_numpy(), centred["second"].to_numpy()
    sums = [np.bincount(histories.rows, x, len(histories)) for x in (a * b, a * a, b * b)]
    scale = np.sqrt(sums[1] * sums[2])
    return np.divide(sums[0], scale, out=np.full(len(histories), np.nan), where=scale > 0)
