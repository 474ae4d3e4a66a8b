"""Evaluate the Bayes filter: the best ranking by what can be observed, and what its parts buy.

    python -m experiments bayes_filter --dataset bazaar

records the filter with the shopper and the time of the query known or not, and without each part
of the world's rules. ``--parts`` without a name leaves out the latter. In a larger world,
``--questions 5000`` evaluates a random sample of the test questions.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace

import numpy as np
from tqdm.auto import tqdm

from experiments.records import Records, RunKey, summary
from m6rec_lite.data import Split, leave_one_out, load_dataset
from m6rec_lite.data.bazaar import BayesFilter
from m6rec_lite.data.bazaar.bayes_filter import PARTS
from m6rec_lite.evaluation import evaluate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--states", type=int, default=16)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), help="parts to leave out")
    parser.add_argument("--questions", type=int, help="size of a sample of the test questions")


def sample_questions(split: Split, n: int | None) -> Split:
    """Return the split with a random sample of ``n`` test questions; all of them if None."""
    if n is None or n >= len(split.test):
        return split
    rows = np.random.default_rng(0).permutation(len(split.test))[:n]
    return replace(split, test=split.test[np.sort(rows)])


def run(options: argparse.Namespace) -> None:
    """Evaluate each variant of the filter that is not recorded."""
    records = Records(options.root / "results")
    dataset = load_dataset(options.dataset)
    if dataset.oracle is None:
        raise ValueError(f"{options.dataset} has no known rules: name a bazaar")
    split = leave_one_out(dataset)
    asked = sample_questions(split, options.questions)
    sampled = f", {len(asked.test):,} questions" if asked is not split else ""
    variants: list[dict] = [
        {"know_shopper": shopper, "know_time": time}
        for shopper, time in itertools.product((False, True), repeat=2)
    ]
    variants += [{"without": [part]} for part in options.parts]
    if len(options.parts) > 1:
        variants.append({"without": options.parts})
    with tqdm(variants, disable=options.quiet, leave=False) as bar:
        for settings in bar:
            model = BayesFilter(dataset.oracle, split.item_ids, states=options.states, **settings)
            key = RunKey("bayes_filter", dataset.name, model.name, model.variant + sampled)
            bar.set_description(key.variant)
            if records.is_recorded(key) and not options.again:
                continue
            settings = settings | {"states": options.states}
            records.start(key, command=options.command, settings=settings, split_hash=split.hash)
            report = evaluate(model, asked, progress=False)
            records.finish(key, summary(report), ranks=report)
    shown = records.frame()
    same = (shown["experiment"] == "bayes_filter") & (shown["dataset"] == dataset.name)
    print(shown.loc[same, ["id", "variant", "hr@10", "ndcg@10"]].to_string(index=False))
