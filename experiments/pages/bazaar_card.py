"""The data card of the bazaar, with a measurement of every effect that it states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from experiments.pages.bazaar_effects import measure
from experiments.pages.regions import fill
from m6rec_lite.data import Dataset, Split, bazaar, hidden_domain, leave_one_out
from m6rec_lite.data.bazaar import FrontPage
from m6rec_lite.data.bazaar.exposure import SLATE_SIZE, moments
from m6rec_lite.data.bazaar.latents import DOMAINS
from m6rec_lite.evaluation import compare, evaluate
from m6rec_lite.evaluation.report import markdown_table
from m6rec_lite.recommenders import (
    Bigram,
    ContentBased,
    Hybrid,
    ItemKNN,
    Popularity,
    Recommender,
)

SEEDS: tuple[int, ...] = (0, 1, 2)


def ladder(seeds: tuple[int, ...] = SEEDS, *, progress: bool = True) -> pd.DataFrame:
    """Return NDCG@10 of simple models and the oracle in worlds of several seeds.

    Returns:
        Columns ``model seed ndcg@10``, with the default protocol.
    """
    rows = []
    for seed in tqdm(seeds, desc="ladder", disable=not progress, leave=False):
        world = bazaar.generate(seed=seed, slates=0, progress=False)
        split = leave_one_out(world)
        models: list[Recommender] = [Popularity(), ContentBased(), Bigram()]
        for model in models:
            model.fit(split.train, items=world.items, progress=False)
        for model in [*models, world.oracle.recommender(split.item_ids)]:
            report = evaluate(model, split, k=10, bootstrap=0, progress=False)
            rows.append({"model": model.name, "seed": seed, "ndcg@10": report.metrics["ndcg@10"]})
    return pd.DataFrame(rows)


def transfer(dataset: Dataset, *, progress: bool = True) -> pd.DataFrame:
    """Compare models on a domain without history of the test users: popularity, ids, text.

    With ``hidden_domain(..., linked=False)`` no history contains both this domain and others.
    The hybrid weights text and popularity 2:1; of 1:2, 1:1, 2:1, 3:1, the product and the fusion of
    ranks this was the best on the validation users of the shipped bazaar.

    Returns:
        One row for each hidden domain: NDCG@10 of ``Popularity``, of ``ItemKNN`` (ids), of text
        with popularity, its gain over popularity with a paired 95 % interval, and NDCG@10 of
        ``ItemKNN`` when other users' histories link the domains.
    """
    rows = []
    for domain in tqdm(DOMAINS, desc="hidden domains", disable=not progress, leave=False):
        unlinked = hidden_domain(dataset, domain, linked=False)
        linked = hidden_domain(dataset, domain)
        text = Hybrid([ContentBased(), Popularity()], weights=[2, 1])
        pairs: list[tuple[Recommender, Split]] = [
            (Popularity(), unlinked), (ItemKNN(), unlinked), (text, unlinked), (ItemKNN(), linked)
        ]  # fmt: skip
        reports = [
            evaluate(
                model.fit(split.train, items=dataset.items, progress=False),
                split, k=10, bootstrap=0, progress=False,
            )
            for model, split in pairs
        ]  # fmt: skip
        gain = compare(reports[2], reports[0], "ndcg@10")
        popularity, ids, hybrid, linked_ids = (r.metrics["ndcg@10"] for r in reports)
        rows.append(
            {
                "hidden domain": domain,
                "test cases": len(unlinked.test),
                "Popularity": popularity,
                "ItemKNN": ids,
                "text and popularity": hybrid,
                "gain of text": gain.mean_difference,
                "low": gain.low,
                "high": gain.high,
                "ItemKNN, linked": linked_ids,
            }
        )
    return pd.DataFrame(rows)


def positions(dataset: Dataset) -> pd.DataFrame:
    """Return click rates by position: as logged, at equal relevance, and over examination.

    Returns:
        One row for each position: ``position`` (from 1), ``click rate``, the rate ``at equal
        relevance`` (weighted to the same distribution of true relevance at every position), and
        that rate divided by the examination probability, which is constant if the position has no
        other effect.
    """
    log = dataset.impressions
    assert log is not None  # the bazaar has impressions
    relevance = dataset.oracle.click_probability(
        log["user_id"].to_numpy(), log["item_id"].to_numpy(), log["timestamp"].to_numpy()
    )
    strata = pd.qcut(relevance, 20, labels=False)
    cells = log.assign(stratum=strata).groupby(["position", "stratum"])["clicked"].mean()
    equal = cells.groupby("position").mean()  # strata of equal size
    examination = log.groupby("position")["examination"].first()
    return pd.DataFrame(
        {
            "position": np.arange(1, len(equal) + 1),
            "click rate": log.groupby("position")["clicked"].mean().to_numpy(),
            "at equal relevance": equal.to_numpy(),
            "over examination": (equal / examination).to_numpy(),
        }
    )


def off_policy(dataset: Dataset, *, seed: int = 0, slates: int = 20_000) -> dict[str, float]:
    """Estimate the clicks per page of a new policy from the log, and simulate it.

    The new policy samples the items of a shelf uniformly and rotates the shelves uniformly. The
    estimate is inverse propensity scoring: each logged click is weighted by the ratio of the
    propensities of the new and the logging policy.

    Returns:
        Clicks per page: ``logged``, ``estimated`` with its standard error ``estimated_se``,
        ``live`` (simulated) with ``live_se``.
    """
    oracle, log, rng = dataset.oracle, dataset.impressions, np.random.default_rng(seed)
    assert log is not None  # the bazaar has impressions
    policy = FrontPage(oracle)
    policy.weight = np.ones_like(policy.weight)
    policy.rotation_probs = np.full(SLATE_SIZE, 1 / SLATE_SIZE)

    def column(name: str) -> np.ndarray:
        return log[name].to_numpy().reshape(-1, SLATE_SIZE)

    users, at = column("user_id")[:, 0], column("timestamp")[:, 0]
    propensities = np.concatenate(
        [
            policy.propensities(users[rows], at[rows], column("item_id")[rows])
            for rows in np.array_split(np.arange(len(users)), max(1, len(users) // 2048))
        ]
    )
    weighted = (column("clicked") * propensities / column("propensity")).sum(axis=1)
    sample, times = moments(oracle.trail, slates, rng)
    clicks = np.concatenate(
        [
            oracle.respond(
                sample[rows], policy.show(sample[rows], times[rows], rng), times[rows], rng
            ).clicked.sum(axis=1)
            for rows in np.array_split(np.arange(len(sample)), max(1, len(sample) // 2048))
        ]
    )
    return {
        "logged": float(column("clicked").sum(axis=1).mean()),
        "estimated": float(weighted.mean()),
        "estimated_se": float(weighted.std(ddof=1) / np.sqrt(len(weighted))),
        "live": float(clicks.mean()),
        "live_se": float(clicks.std(ddof=1) / np.sqrt(len(clicks))),
    }


def write_card(dataset: Dataset, page: Path, *, progress: bool = True) -> bool:
    """Measure the bazaar and write its card to the region ``bazaar card`` of a page.

    Args:
        dataset: the shipped bazaar.
        page: ``datasets/README.md``.
        progress: whether to show progress bars; it takes a minute or two.

    Returns:
        Whether the page changed.
    """
    names = ("interactions", "items", "users", "impressions", "queries", "reviews", "dialogues")
    tables = {name: getattr(dataset, name) for name in (*names, "weather")}
    counts = pd.DataFrame(
        {"table": list(tables), "rows": [f"{len(rows):,}" for rows in tables.values()]}
    )
    models = ladder(progress=progress).pivot_table("ndcg@10", "model", "seed")
    models = models.loc[models.mean(axis=1).sort_values().index]
    models.columns = [f"seed {seed}" for seed in models.columns]
    effects = measure(dataset.oracle, progress=progress)
    effects = effects.rename(columns={"statistic": "what is measured", "without": "dial off"})
    policy = off_policy(dataset)
    split = leave_one_out(dataset)
    card = dataset.card
    quirks = "\n".join(f"- {quirk}" for quirk in card.quirks)
    text = f"""
{card.title}. World version {card.version}; licence: {card.licence}.

{quirks}

{markdown_table(counts)}

The default split has {len(split.test):,} test users and {split.train.n_items:,} items
(hash of the test pairs: `{split.hash}`).

**Simple models** (NDCG@10, default protocol, worlds of three seeds):

{markdown_table(models.round(4).reset_index())}

**The effect of each dial, compared with the same world with that dial off:**

{markdown_table(effects.round({"here": 3, "dial off": 3, "value": 3, "off": 3}))}

**Transfer to a domain without history** (its rows hidden for the test users, ranking of its items,
NDCG@10; the gain of text over popularity with its paired 95 % interval). No history contains both
this domain and others, except in the last column, where those of other shoppers do:

{markdown_table(transfer(dataset, progress=progress).round(4))}

**Clicks by position.** The page places what a shopper came for at the top, so plain click rates
overstate the effect of the position; at equal relevance they follow the examination probability,
and divided by it they are constant:

{markdown_table(positions(dataset).round(4))}

**Off-policy evaluation.** The logged page has {policy["logged"]:.3f} clicks. For a page that shows
all items of a shelf with equal probability, inverse propensity scoring of the log estimates
{policy["estimated"]:.3f} clicks (standard error {policy["estimated_se"]:.3f}); in simulation it
has {policy["live"]:.3f} ({policy["live_se"]:.3f}).
"""
    return fill(page, "bazaar card", text)
