"""Measure what DP-SGD costs: a step with clipped gradients and noise, against a plain step.

    python benchmarks/dp_sgd.py
    python benchmarks/dp_sgd.py --people 128 --factors 64

Both steps compute the gradient of the same loss, the softmax over a catalogue of ``BagRecommender``
with item texts, on the same batch; DP-SGD computes it for each person, clips, adds and draws noise.
With the limit at infinity and without noise, both gradients are checked to be equal. The last line
is one JSON object, the median over the rounds; the peer is the plain step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping

WARM_UP = 2


def main() -> None:
    """Time both steps in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=450, help="of a batch")
    parser.add_argument("--positions", type=int, default=4, help="predicted events of a person")
    parser.add_argument("--items", type=int, default=892)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()

    import torch
    from torch import Tensor
    from torch.nn import functional as F

    from m6rec_lite.trust import private_gradient

    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    shape = options.people, options.positions
    vectors = F.normalize(torch.randn(options.items, options.factors, generator=generator), dim=1)
    users = torch.randn(*shape, options.factors, generator=generator)
    targets = torch.randint(options.items, shape, generator=generator)
    parameters = {"map": torch.eye(options.factors)}

    def loss(values: Mapping[str, Tensor], example: tuple[Tensor, Tensor]) -> Tensor:
        scores = example[0].flatten(0, -2) @ values["map"] @ vectors.T
        return F.cross_entropy(scores, example[1].flatten())

    def plain() -> dict[str, Tensor]:
        return torch.func.grad(loss)(parameters, (users, targets))

    def private(max_norm: float = 1.0, noise: float = 1.0) -> dict[str, Tensor]:
        return private_gradient(
            loss,
            parameters,
            (users, targets),
            max_norm=max_norm,
            noise_multiplier=noise,
            expected_size=options.people,
            generator=generator,
        )

    torch.testing.assert_close(private(1e9, 0.0), plain(), rtol=1e-3, atol=1e-5)

    def milliseconds(step: Callable[[], object]) -> float:
        for i in range(WARM_UP + options.steps):
            if i == WARM_UP:
                clock = time.perf_counter()
            step()
        return 1000 * (time.perf_counter() - clock) / options.steps

    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for turn in range(options.rounds):
        times["ours"].append(milliseconds(private))
        times["peer"].append(milliseconds(plain))
        print(f"round {turn + 1}: {times['ours'][-1]:.1f} ms, plain {times['peer'][-1]:.1f} ms")
    median = {name: statistics.median(values) for name, values in times.items()}
    what = f"{options.people} people of {options.positions} events, {options.factors} factors"
    print(
        json.dumps(
            {
                "name": f"a gradient of DP-SGD, {what}, against a plain one, "
                f"{options.threads} threads",
                "ours": round(median["ours"], 2),
                "peer": round(median["peer"], 2),
                "ratio": round(median["ours"] / median["peer"], 3),
                "unit": "ms",
            }
        )
    )


if __name__ == "__main__":
    main()
