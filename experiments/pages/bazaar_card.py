"""The data card of the bazaar: every effect that it states is measured here.

``measure_card`` computes the tables, ``write_card`` puts them into ``datasets/README.md``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from experiments.pages.bazaar_effects import measure
from m6rec_lite.course.documents import fill, table
from m6rec_lite.data import Dataset, bazaar, hidden_domain, leave_one_out
from m6rec_lite.data.bazaar import FrontPage
from m6rec_lite.data.bazaar.exposure import PLACES, moments
from m6rec_lite.data.bazaar.latents import DOMAINS
from m6rec_lite.evaluation import compare, evaluate
from m6rec_lite.recommenders import Bigram, ContentBased, Hybrid, ItemKNN, Popularity

SEEDS: tuple[int, ...] = (0, 1, 2)


def ladder(seeds: tuple[int, ...] = SEEDS, *, progress: bool = True) -> pd.DataFrame:
    """Return NDCG@10 of simple models and the oracle in worlds of several seeds.

    Returns:
        Columns ``model seed ndcg@10``, under the default protocol.
    """
    rows = []
    for seed in tqdm(seeds, desc="ladder", disable=not progress, leave=False):
        world = bazaar.generate(seed=seed, slates=0, progress=False)
        split = leave_one_out(world)
        models = [Popularity(), ContentBased(), Bigram()]
        for model in models:
            model.fit(split.train, items=world.items, progress=False)
        for model in [*models, world.oracle.recommender(split.item_ids)]:
            report = evaluate(model, split, k=10, bootstrap=0, progress=False)
            rows.append({"model": model.name, "seed": seed, "ndcg@10": report.metrics["ndcg@10"]})
    return pd.DataFrame(rows)


def transfer(dataset: Dataset, *, progress: bool = True) -> pd.DataFrame:
    """Return what transfers to a domain that a user never entered: popularity, ids, text.

    The domain is cut off (``hidden_domain(..., linked=False)``): no history spans the gap.
    In the hybrid a standard deviation of text weighs two of popularity; of 1:2, 1:1, 2:1, 3:1, the
    product and the fusion of ranks that did best on the validation users of the shipped bazaar.

    Returns:
        One row a hidden domain: NDCG@10 of ``Popularity``, of ``ItemKNN`` (ids), of text with
        popularity, the latter's gain over popularity with its paired 95 % interval, and what
        ``ItemKNN`` reaches when other users' histories link the domains.
    """
    rows = []
    for domain in tqdm(DOMAINS, desc="hidden domains", disable=not progress, leave=False):
        apart = hidden_domain(dataset, domain, linked=False)
        linked = hidden_domain(dataset, domain)
        text = Hybrid([ContentBased(), Popularity()], weights=[2, 1])
        pairs = [(Popularity(), apart), (ItemKNN(), apart), (text, apart), (ItemKNN(), linked)]
        reports = [
            evaluate(
                model.fit(split.train, items=dataset.items, progress=False),
                split, k=10, bootstrap=0, progress=False,
            )
            for model, split in pairs
        ]  # fmt: skip
        gain = compare(reports[2], reports[0], "ndcg@10")
        popularity, ids, words, through_others = (r.metrics["ndcg@10"] for r in reports)
        rows.append(
            {
                "hidden domain": domain,
                "questions": len(apart.test),
                "Popularity": popularity,
                "ItemKNN": ids,
                "text and popularity": words,
                "gain of text": gain.mean_difference,
                "low": gain.low,
                "high": gain.high,
                "ItemKNN, linked": through_others,
            }
        )
    return pd.DataFrame(rows)


def positions(dataset: Dataset) -> pd.DataFrame:
    """Return click rates by position: as logged, at equal relevance, and over examination.

    Returns:
        One row a position: ``position`` (from 1), ``click rate``, the rate ``at equal relevance``
        (each slate entry weighted so that every position shows the same mix of true relevance),
        and that rate ``over examination``, which is flat if examination is all that a position
        does.
    """
    log = dataset.impressions
    relevance = dataset.oracle.click_probability(
        log["user_id"].to_numpy(), log["item_id"].to_numpy(), log["timestamp"].to_numpy()
    )
    strata = pd.qcut(relevance, 20, labels=False)
    cells = log.assign(stratum=strata).groupby(["position", "stratum"])["clicked"].mean()
    equal = cells.groupby("position").mean()  # strata are of one size: the same mix everywhere
    seen = log.groupby("position")["examination"].first()
    return pd.DataFrame(
        {
            "position": np.arange(1, len(equal) + 1),
            "click rate": log.groupby("position")["clicked"].mean().to_numpy(),
            "at equal relevance": equal.to_numpy(),
            "over examination": (equal / seen).to_numpy(),
        }
    )


def off_policy(dataset: Dataset, *, seed: int = 0, slates: int = 20_000) -> dict[str, float]:
    """Return clicks per page of a policy that never ran, estimated from the log, and live.

    The other policy draws every item of a shelf alike and turns the ring of shelves evenly. The
    estimate weighs each logged click by the odds of the other policy over the logging one.

    Returns:
        ``logged``, ``estimated`` with its standard error ``estimated_se``, ``live`` with
        ``live_se``: clicks a page.
    """
    oracle, log, rng = dataset.oracle, dataset.impressions, np.random.default_rng(seed)
    other = FrontPage(oracle)
    other.weight = np.ones_like(other.weight)
    other.turns = np.full(PLACES, 1 / PLACES)

    def column(name: str) -> np.ndarray:
        return log[name].to_numpy().reshape(-1, PLACES)

    users, at = column("user_id")[:, 0], column("timestamp")[:, 0]
    odds = np.concatenate(
        [
            other.propensities(users[rows], at[rows], column("item_id")[rows])
            for rows in np.array_split(np.arange(len(users)), max(1, len(users) // 2048))
        ]
    )
    weighted = (column("clicked") * odds / column("propensity")).sum(axis=1)
    sample, when = moments(oracle.trail, slates, rng)
    clicks = np.concatenate(
        [
            oracle.respond(
                sample[rows], other.show(sample[rows], when[rows], rng), when[rows], rng
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
    """Measure the bazaar and write its card into the region ``bazaar card`` of a page.

    Args:
        dataset: the shipped bazaar.
        page: ``datasets/README.md``.
        progress: show progress bars; the whole takes a minute or two.

    Returns:
        Whether the page changed.
    """
    names = ("interactions", "items", "users", "impressions", "queries", "reviews", "dialogues")
    tables = {name: getattr(dataset, name) for name in (*names, "weather")}
    counts = pd.DataFrame(
        {"table": list(tables), "rows": [f"{len(rows):,}" for rows in tables.values()]}
    )
    rungs = ladder(progress=progress).pivot_table("ndcg@10", "model", "seed")
    rungs = rungs.loc[rungs.mean(axis=1).sort_values().index]
    rungs.columns = [f"seed {seed}" for seed in rungs.columns]
    effects = measure(dataset.oracle, progress=progress)
    effects = effects.rename(columns={"statistic": "what is measured", "without": "dial off"})
    policy = off_policy(dataset)
    split = leave_one_out(dataset)
    card = dataset.card
    quirks = "\n".join(f"- {quirk}" for quirk in card.quirks)
    text = f"""
{card.title}. World version {card.version}; licence: {card.licence}.

{quirks}

{table(counts)}

The default split asks {len(split.test):,} users over {split.train.n_items:,} items
(hash of the test pairs: `{split.hash}`).

**The ladder** (NDCG@10, default protocol, worlds of three seeds):

{table(rungs.round(4).reset_index())}

**Each dial, and the same world with it off:**

{table(effects.round({"here": 3, "dial off": 3, "value": 3, "off": 3}))}

**Into a domain never entered** (its history hidden, its items ranked, NDCG@10; the gain of text
over popularity with its paired 95 % interval). No history spans the gap here; in the last
column the histories of other shoppers do:

{table(transfer(dataset, progress=progress).round(4))}

**Clicks by position.** The page places what a shopper came for at the top, so plain rates
overstate what a position does; at equal relevance they follow examination, and dividing by the
known examination makes them flat:

{table(positions(dataset).round(4))}

**A policy that never ran.** The logged page got {policy["logged"]:.3f} clicks. A page that shows
every item of a shelf alike is estimated from the log, each click weighted by the odds of the two
policies, at {policy["estimated"]:.3f} (standard error {policy["estimated_se"]:.3f}); shown live it
gets {policy["live"]:.3f} ({policy["live_se"]:.3f}).
"""
    return fill(page, "bazaar card", text)
