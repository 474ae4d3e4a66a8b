"""Live slates a second: the environment alone, a loop with a random policy, and the oracle itself.

``SlateEnvironment.respond`` looks up the true probabilities of its requests, which are computed
once; the peer, ``Oracle.respond``, computes them for each call. Both answer the same slates in
batches of the same size, in turns. The loop shows one random slate at a time. The seconds of making
the requests, which the environment needs first, are reported too. All are processor times.

    python benchmarks/live_slates.py [--requests 1000] [--batch 100] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np


def slates_a_second(answer: Callable[[np.ndarray], object], n: int, batch: int) -> float:
    """Return how many slates ``answer`` gets answered a second, in batches of rows."""
    clock = time.process_time()
    for start in range(0, n, batch):
        answer(np.arange(start, min(start + batch, n)))
    return n / (time.process_time() - clock)


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    from m6rec_lite.data import load_dataset
    from m6rec_lite.feedback import EpsilonGreedy, SlateEnvironment, live_requests, run_loop

    dataset, n = load_dataset("bazaar"), options.requests
    clock = time.process_time()
    requests = live_requests(dataset, n=n, candidates=options.candidates)
    seconds = time.process_time() - clock
    live, oracle = SlateEnvironment(requests), requests.oracle
    rng = np.random.default_rng(0)
    slates = np.argsort(rng.random((n, live.n_candidates)), axis=1)[:, : live.slate_size]
    ids = requests.item_ids[slates]

    def by_environment(rows: np.ndarray) -> object:
        return live.respond(rows, slates[rows], rng)

    def by_oracle(rows: np.ndarray) -> object:
        return oracle.respond(requests.user_ids[rows], ids[rows], requests.at[rows], rng)

    rates: dict[str, list[float]] = {"environment": [], "oracle": [], "loop": []}
    by_environment(np.arange(n)), by_oracle(np.arange(options.batch))  # a warm-up
    for turn in range(options.rounds):
        rates["environment"].append(slates_a_second(by_environment, n, options.batch))
        rates["oracle"].append(slates_a_second(by_oracle, n, options.batch))
        policy = EpsilonGreedy(live.n_candidates, 1.0)
        rates["loop"].append(slates_a_second(lambda _: run_loop(live, policy), n, n))  # noqa: B023
        shown = {name: round(statistics.median(values)) for name, values in rates.items()}
        print(f"round {turn + 1}, median slates a second so far: {shown}", flush=True)
    ours, peer = (statistics.median(rates[name]) for name in ("environment", "oracle"))
    print(
        json.dumps(
            {
                "name": f"live slates of {live.slate_size} items, batches of {options.batch}",
                "ours": round(ours),
                "peer": round(peer),
                "ratio": round(ours / peer, 1),
                "unit": "slates/s",
                "peer_name": "Oracle.respond on the same slates",
                "random policy, one slate at a time": round(statistics.median(rates["loop"])),
                "seconds to make the requests": round(seconds, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
