"""Run policies live against the bazaar: clicks a slate, regret, items never shown.

    python -m experiments feedback_loop --seeds 0 1 2 3 4

Each seed draws requests and candidates of its own. Every policy meets the same requests and the
same random numbers of the shoppers; it learns after each ``--batch`` requests. ``M6-Rec`` is
``checkpoints/bazaar-retriever``, which was trained on other people's events; the policy gradient
starts from its scores, and the score is one of the features of ``LinUCB`` and of the rankers.
Besides the records, ``results/feedback_loop/<dataset>.csv`` has one row for each run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from experiments.records import Records, RunKey
from m6rec_lite.data import load_dataset
from m6rec_lite.feedback import (
    UCB,
    CandidateScores,
    EpsilonGreedy,
    LinUCB,
    LoopLog,
    Policy,
    PolicyGradient,
    RetrainedRanker,
    SlateEnvironment,
    ThompsonSampling,
    live_requests,
    run_loop,
)
from m6rec_lite.m6rec import M6RecRetriever

SCALE = 3.0  #: first weight of M6-Rec's standardized score in the softmax policy


def softmax_policy(live: SlateEnvironment) -> CandidateScores:
    """Return the network of a softmax policy that starts from M6-Rec's score."""
    requests = live.requests
    d, start = len(requests.names), requests.column["score"]
    return CandidateScores(d, live.n_candidates, start=start, scale=SCALE)


#: Policies by name; each is made anew for a seed.
POLICIES: dict[str, Callable[[SlateEnvironment], Policy]] = {
    "Random": lambda live: EpsilonGreedy(live.n_candidates, 1.0),
    "EpsilonGreedy": lambda live: EpsilonGreedy(live.n_candidates, 0.1),
    "UCB": lambda live: UCB(live.n_candidates, 0.2),
    "ThompsonSampling": lambda live: ThompsonSampling(live.n_candidates, 1.0, 10.0),
    "LinUCB": lambda live: LinUCB(len(live.requests.names), 0.3),
    "LinUCB without a bound": lambda live: LinUCB(len(live.requests.names), 0.0),
    "RetrainedRanker": lambda live: RetrainedRanker(),
    "RetrainedRanker, explores": lambda live: RetrainedRanker(epsilon=0.1),
    "M6-Rec": lambda live: PolicyGradient(softmax_policy(live), greedy=True),
    "PolicyGradient": lambda live: PolicyGradient(softmax_policy(live), lr=0.01),
    "PolicyGradient without baseline": lambda live: PolicyGradient(
        softmax_policy(live), lr=0.01, use_baseline=False
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--only", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--batch", type=int, default=10)


def run(options: argparse.Namespace) -> None:
    """Run what is not recorded."""
    records = Records(options.root / "results")
    variant = f"requests={options.requests} candidates={options.candidates} batch={options.batch}"
    dataset, m6rec = None, None
    for seed in options.seeds:
        keys = {
            name: RunKey("feedback_loop", options.dataset, name, variant, seed)
            for name in options.only
        }
        missing = [name for name in keys if options.again or not records.is_recorded(keys[name])]
        if not missing:
            print(f"seed {seed} is recorded")
            continue
        if dataset is None:
            dataset = load_dataset(options.dataset)
            m6rec = M6RecRetriever.load(options.root / "checkpoints" / "bazaar-retriever")
        requests = live_requests(
            dataset,
            n=options.requests,
            candidates=options.candidates,
            recommender=m6rec,
            seed=seed,
        )
        live = SlateEnvironment(requests)
        for name in missing:
            records.start(keys[name], command=options.command)
            clock = time.process_time()
            log = run_loop(live, POLICIES[name](live), batch=options.batch, seed=seed)
            seconds = time.process_time() - clock
            metrics = measured(log)
            records.finish(
                keys[name],
                {
                    "metrics": metrics,
                    "costs": {"cpu_seconds": round(seconds, 2)},
                    "headline": {"clicks a slate": metrics["clicks"]},
                },
            )
            print(f"{seed} {name}: {metrics} {seconds:.1f} s", flush=True)
    records.write_metrics("feedback_loop", options.dataset)


def measured(log: LoopLog) -> dict[str, float]:
    """Return what is recorded of a loop; clicks are true expectations a slate."""
    return {
        "clicks": round(log.rate(), 6),
        "clicks, last quarter": round(log.rate(0.25), 6),
        "share of the oracle": round(log.rate() / float(log.best.mean()), 6),
        "best fixed slate": round(float(log.best_fixed.mean()), 6),
        "oracle": round(float(log.best.mean()), 6),
        "regret": round(float(log.regret[-1]), 3),
        "never shown": round(log.never_shown(), 6),
    }
