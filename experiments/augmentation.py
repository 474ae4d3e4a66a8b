"""Add edited, sampled and generated histories to 10, 30 and 100 % of the real ones.

    python -m experiments augmentation --seeds 0 1 2
    python -m experiments augmentation --only GAN Transformer --again --seeds 0 1 2
    python -m experiments augmentation --part active --seeds 0 1 2

Each seed is a bazaar of its own. ``histories``: a share of the people is known, and as many further
histories are added: edited copies (``copy`` is the control: as many steps, nothing new), histories
that a Markov chain or a causal Transformer continues from the first item of real ones, or those of
a GAN. A one-block SASRec learns from both and is asked about everybody. ``plausible`` is the share
of neighbouring items of the added histories that are of one interest. ``active``: of a third of the
people all events are known, of the others five; a tenth of all is asked for the rest, by four
rules, and EASE learns from what is known then. ``results/augmentation/bazaar.csv`` has a row for
each record.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from experiments.records import Records, RunKey
from m6rec_lite.data import Interactions, Split, leave_one_out
from m6rec_lite.data.bazaar import generate
from m6rec_lite.evaluation import Report, evaluate
from m6rec_lite.recommenders import (
    EASE,
    HistoryGAN,
    Markov,
    Recommender,
    SASRec,
    add_histories,
    augment,
    bagging,
    choose_users,
    sample_histories,
    take_users,
)

PEOPLE = 400
SHARES = (0.1, 0.3, 1.0)
EDITS = ("copy", "crop", "mask", "reorder")
KINDS = ("none", *EDITS, "Markov chain", "Transformer", "GAN")
#: Steps of the GAN. Its plausible share stays at chance, .04 to .06, from 40 to 600 steps of 64
#: histories (seed 0, 30 % of the people), while the discriminator's loss falls to .07.
GAN_STEPS = 300
RULES: tuple[Any, ...] = ("random", "entropy", "disagreement", "diversity")

Result = tuple[str, str, Report, dict[str, float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--part", choices=("histories", "active"), default="histories")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=KINDS, help="kinds of histories; default all")


def run(options: argparse.Namespace) -> None:
    """Measure and record the seeds that are not recorded."""
    records = Records(options.root / "results")
    kinds = tuple(options.only or KINDS)
    for seed in options.seeds:
        last = [(kind, "100 %") for kind in kinds]
        last = last if options.part == "histories" else [("everybody", "active")]
        keys = [RunKey("augmentation", "bazaar", *names, seed) for names in last]
        if all(map(records.is_recorded, keys)) and not options.again:
            print(f"{options.part}, seed {seed}: recorded")
            continue
        world = generate(seed=seed, users=PEOPLE, slates=0, text=False, progress=False)
        split = leave_one_out(world)
        latents = world.oracle.latents
        interest = latents.interest[np.searchsorted(world.oracle.item_ids, split.item_ids)]
        found = active(split, seed)
        if options.part == "histories":
            found = histories(split, seed, interest, kinds)
        for name, variant, report, more in found:
            key = RunKey("augmentation", "bazaar", name, variant, seed)
            if records.is_recorded(key) and not options.again:
                continue
            records.start(key, command=options.command, split_hash=split.hash)
            metrics = {"ndcg@10": round(report["ndcg@10"], 5)} | more
            records.finish(key, {"metrics": metrics}, ranks=report)
            print(f"seed {seed}, {name}, {variant}: {metrics}", flush=True)
    records.write_metrics("augmentation", "bazaar")


def judged(model: Recommender, train: Interactions, split: Split) -> Report:
    """Fit a model on some rows and evaluate it on all test questions, without intervals."""
    return evaluate(model.fit(train, progress=False), split, bootstrap=0, progress=False)


def histories(
    split: Split, seed: int, interest: np.ndarray, kinds: Sequence[str] = KINDS
) -> Iterator[Result]:
    """Yield each kind of additional histories, for each share of the people.

    Args:
        split: questions of one world.
        seed: of the choice of people, the histories and the network.
        interest: ``(n_items,)`` interest of each item, for ``plausible``.
        kinds: kinds of histories, of ``KINDS``.
    """
    order = np.random.default_rng(seed).permutation(split.train.n_users)
    for share in SHARES:
        train = take_users(split.train, np.sort(order[: round(share * len(order))]))
        for kind in kinds:
            model = SASRec(hidden_size=16, n_layers=1, max_length=30, epochs=8, batch_size=32,
                           lr=3e-3, patience=None, seed=seed)  # fmt: skip
            rows = with_more(train, kind, seed)
            report, more = judged(model, rows, split), {}
            if kind != "none":
                more = {"plausible": round(plausible(rows, train.n_users, interest), 5)}
            yield kind, f"{share:.0%}".replace("%", " %"), report, more


def plausible(rows: Interactions, first: int, interest: np.ndarray) -> float:
    """Return the share of neighbouring items of one interest, in the histories from ``first`` on.

    Two items drawn at random are of one interest in about one of twenty cases.
    """
    made = rows.histories()[first:]
    same = interest[made.items[1:]] == interest[made.items[:-1]]
    return float(same[np.diff(made.rows) == 0].mean())


def with_more(train: Interactions, kind: Any, seed: int) -> Interactions:
    """Return the rows with as many additional histories as there are people."""
    if kind == "none":
        return train
    if kind in EDITS:
        share = {"copy": 0.0, "crop": 0.6, "mask": 0.3, "reorder": 0.3}[kind]
        return augment(train, kind, share, seed=seed)
    if kind == "GAN":
        gan = HistoryGAN(steps=GAN_STEPS, seed=seed).fit(train)
        return add_histories(train, gan.sample(train.n_users, seed=seed))
    starts = train.histories()
    starts = starts.first_events(np.arange(len(starts)), np.minimum(starts.lengths, 1), starts.at)
    model: Recommender = Markov()
    if kind == "Transformer":
        model = SASRec(hidden_size=32, n_layers=2, max_length=30, epochs=30, batch_size=32, lr=3e-3,
                       patience=None, seed=seed)  # fmt: skip
    model.fit(train, progress=False)
    return add_histories(train, sample_histories(model, starts, 20, seed=seed))


def active(split: Split, seed: int) -> Iterator[Result]:
    """Yield EASE after a tenth of the people was asked by each rule, and without asking."""
    train, rng = split.train, np.random.default_rng(seed)
    n = train.n_users
    order = rng.permutation(n)
    known, others = order[: n // 3], order[n // 3 :]
    everything = train.histories()
    short = np.minimum(everything.lengths, 5)
    first_five = everything.first_events(np.arange(n), short, everything.at)[others]
    first = take_users(train, np.sort(known))
    committee = bagging(lambda part: EASE(l2=100.0), first, 5, seed=seed, progress=False)

    def rows(asked: np.ndarray) -> Interactions:
        whole = np.isin(train.users, np.concatenate([known, asked]))
        position = everything.lengths[train.users] - 1 - everything.steps_back
        return train.select(whole | (position < 5))

    yield "nobody", "active", judged(EASE(l2=100.0), rows(others[:0]), split), {}
    for rule in RULES:
        chosen = choose_users(rule, committee.recommenders, first_five, n // 10, seed=seed)
        yield rule, "active", judged(EASE(l2=100.0), rows(others[chosen]), split), {}
    yield "everybody", "active", judged(EASE(l2=100.0), train, split), {}
