"""Change one option of the retriever at a time, and combine it with EASE.

    python -m experiments retriever_options --only mask linear

trains ``M6RecRetriever`` on a data set with one recipe: as it is (``base``), with one option
changed (``CHANGES``), and with all optional inputs (``all``). With ``--ensemble base``, its scores
are then added to those of EASE, with a weight chosen on validation, and compared with EASE. Runs
are those of ``long_runs``; what is recorded is skipped, and the same command continues a run.
"""

from __future__ import annotations

import argparse
from typing import Any

from experiments.arguments import add_settings_argument, read_settings
from experiments.ensembles import choose_ensemble
from experiments.long_runs import key_of, long_run
from experiments.records import Records, RunKey, summary
from m6rec_lite.data import Dataset, Split, leave_one_out, load_dataset
from m6rec_lite.evaluation import compare, evaluate
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.recommenders import EASE

#: Settings of all runs, chosen on the validation set of ``bazaar``.
RECIPE: dict[str, Any] = {"epochs": 20, "dropout": 0.2, "averaging": 0.99, "lr_floor": 0.02}
#: What is changed, by the name of the change.
CHANGES: dict[str, dict[str, Any]] = {
    "base": {},
    "mask": {"mask_history": False},
    "linear": {"linear": True},
    "memory": {"long_memory": True},
    "attributes": {"use_attributes": True},
    "all": {"linear": True, "long_memory": True, "use_attributes": True},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES))
    parser.add_argument("--ensemble", nargs="*", choices=CHANGES, default=["base"])
    add_settings_argument(parser)


def retriever(name: str, settings: dict[str, Any], seed: int) -> M6RecRetriever:
    """Return the unfitted model of a change."""
    return M6RecRetriever(**RECIPE | settings | CHANGES[name], seed=seed)


def run(options: argparse.Namespace) -> None:
    """Train and evaluate what is not recorded."""
    records, settings = Records(options.root / "results"), read_settings(options.set)
    dataset = load_dataset(options.dataset)
    split = leave_one_out(dataset)
    for name in options.only:
        model = retriever(name, settings, options.seed)
        key = key_of(model, split.dataset)
        if records.is_recorded(key) and not options.again:
            print(f"{name} is recorded: results/runs/{key.id}")
            continue
        report = long_run(
            model,
            split,
            options.root,
            command=options.command,
            items=dataset.items,
            users=dataset.users,
            on_board=False,
            progress=not options.quiet,
        )
        print(f"{name}: {report['ndcg@10']:.4f} {report.intervals['ndcg@10']}")
    for name in options.ensemble:
        record_ensemble(name, retriever(name, settings, options.seed), dataset, split, options)


def record_ensemble(
    name: str, model: M6RecRetriever, dataset: Dataset, split: Split, options: argparse.Namespace
) -> None:
    """Evaluate the weighted sum of the retriever and EASE, unless it is recorded.

    The retriever is read from the checkpoint of its run, or trained.

    Args:
        name: of the change.
        model: unfitted.
        dataset: that the split comes from.
        split: training rows, validation and test set.
        options: of the command line.
    """
    records, trained = Records(options.root / "results"), key_of(model, split.dataset)
    variant = f"M6RecRetriever ({name}: {model.variant}) + EASE (decay=0.8)"
    key = RunKey("retriever_options", split.dataset, "Hybrid", variant, options.seed)
    if records.is_recorded(key) and not options.again:
        print(f"the ensemble of {name} is recorded: results/runs/{key.id}")
        return
    model.fit(
        split.train,
        validation=split.validation,
        items=dataset.items,
        users=dataset.users,
        checkpoint=options.root / "runs" / "long" / trained.id,
        progress=not options.quiet,
    )
    ease = EASE(decay=0.8).fit(split.train, progress=False)
    chosen = choose_ensemble(model, ease, split)
    report = evaluate(chosen.model, split, progress=False)
    test = compare(report, evaluate(ease, split, progress=False))
    records.start(key, command=options.command, split_hash=split.hash)
    records.finish(
        key,
        summary(report)
        | {
            "weight of the retriever": chosen.weight,
            "validation ndcg@10 by weight": chosen.ndcg,
            "more than EASE, paired": {
                "mean": round(test.mean_difference, 6),
                "low": round(test.low, 6),
                "high": round(test.high, 6),
            },
        },
        ranks=report,
    )
    print(f"{variant}, weight {chosen.weight}: {report['ndcg@10']:.4f}\n  {test}")
