"""Late interaction: milliseconds of a request with a full and an empty cache, against all layers.

A click model of ``--size`` with new weights answers single rows of the bazaar on one thread, from
token ids to a probability. *Ours* has segments that run alone through all layers but the last
``--joint``, and are cached; *peer* is the same network in which all layers run on the whole row.
The sides alternate in rounds; reported are medians over all requests. A warm request finds all of
its segments, a cold one none; the share that is found in practice depends on the traffic.

    python benchmarks/late_interaction.py [--size 6x160] [--joint 1] [--requests 100] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json

from click_requests import alternate, bazaar_rows


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="6x160")
    parser.add_argument("--joint", type=int, default=1, help="joint layers")
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=3)
    options = parser.parse_args()

    import torch

    from m6rec_lite.m6rec import (
        LateInteractionScoring,
        M6RecConfig,
        M6RecModel,
        MultiTaskModel,
        Scoring,
        SegmentCache,
        answers_with,
    )

    torch.manual_seed(0)
    tokenizer, rows_of = bazaar_rows(options.requests)
    model = M6RecModel(M6RecConfig.of_size(options.size, tokenizer)).eval()
    width = model.config.hidden_size
    late = LateInteractionScoring(width, events=options.events, joint_layers=options.joint)
    dense = Scoring(width, events=options.events)
    both, rows = MultiTaskModel(model, {"scoring": late}), rows_of(late)
    peer, whole = MultiTaskModel(model, {"scoring": dense}), rows_of(dense)
    sides = {
        "warm": (answers_with(both, SegmentCache()), rows),
        "cold": (answers_with(both, SegmentCache(1)), rows),
        "all layers": (answers_with(peer), whole),
    }
    for known, written in rows:
        sides["warm"][0](known, written)  # fills the cache
    p50, p95 = alternate(sides, options.rounds)
    print(
        json.dumps(
            {
                "name": f"a request to a click model of {options.size}, late interaction with "
                f"{options.joint} joint layers and a full cache, against all layers, 1 thread",
                "ours": round(p50["warm"], 3),
                "peer": round(p50["all layers"], 3),
                "ratio": round(p50["warm"] / p50["all layers"], 4),
                "unit": "ms, p50",
                "ratio with an empty cache": round(p50["cold"] / p50["all layers"], 4),
                "p95, full cache": round(p95["warm"], 3),
                "p95, empty cache": round(p95["cold"], 3),
                "p95, all layers": round(p95["all layers"], 3),
            }
        )
    )


if __name__ == "__main__":
    main()
