"""Generation with a cache: tokens per second, compared with ``generate`` of ``transformers``.

One GPT-2 with one set of weights, greedy decoding, without an end token, so that both generate the
same number of tokens: ``--new`` tokens after prompts of ``--prompt-length`` tokens, in batches of 1
and 16. Both must generate the same tokens.

    python benchmarks/generate.py [--threads 2] [--rounds 5] [--new 128] [--hidden-size 128] ...
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

BATCHES = (1, 16)


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--prompt-length", type=int, default=64)
    parser.add_argument("--vocab-size", type=int, default=4096)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    options = parser.parse_args()

    import torch
    from transformers.utils import logging

    from m6rec_lite.language.models.gpt import GPT, GPTConfig
    from m6rec_lite.nn.sampling import generate

    torch.set_num_threads(options.threads)
    logging.set_verbosity_error()
    draw = torch.Generator().manual_seed(0)
    config = GPTConfig(
        options.vocab_size, options.prompt_length + options.new, options.hidden_size,
        options.layers, options.heads,
    )  # fmt: skip
    ours = GPT(config).eval()
    for weight in ours.parameters():  # larger than usual, for distinct probabilities
        torch.nn.init.normal_(weight, std=0.1, generator=draw)
    peer: Any = ours.to_transformers()  # the stubs of transformers reject its generate
    size = (max(BATCHES), options.prompt_length)
    prompts = torch.randint(options.vocab_size, size, generator=draw)
    attention_mask = torch.ones_like(prompts)

    def generate_ours(n: int) -> list[list[int]]:
        return generate(ours, prompts[:n].tolist(), max_new_tokens=options.new)

    def generate_peer(n: int) -> list[list[int]]:
        tokens = peer.generate(
            prompts[:n], attention_mask=attention_mask[:n], max_new_tokens=options.new,
            do_sample=False, eos_token_id=None, pad_token_id=0, use_cache=True,
        )  # fmt: skip
        return tokens[:, options.prompt_length :].tolist()

    runs: dict[str, Callable[[int], list[list[int]]]] = {
        "ours": generate_ours,
        "peer": generate_peer,
    }
    rates: dict[tuple[str, int], list[float]] = {(name, n): [] for name in runs for n in BATCHES}
    for n in BATCHES:  # also the warm-up
        if generate_ours(n) != generate_peer(n):
            raise SystemExit(f"ours and transformers generate different tokens at batch {n}")
    for turn in range(options.rounds):
        for n in BATCHES:
            for name, run in runs.items():
                clock = time.perf_counter()
                run(n)
                rates[name, n].append(n * options.new / (time.perf_counter() - clock))
                print(f"round {turn + 1}, batch {n}, {name}: {rates[name, n][-1]:,.0f} tokens/s")
    median = {key: statistics.median(values) for key, values in rates.items()}
    ratios = {n: median["ours", n] / median["peer", n] for n in BATCHES}
    worst = min(ratios, key=lambda n: ratios[n])
    for n in BATCHES:
        print(
            f"batch {n}: ours {median['ours', n]:,.0f} tokens/s, transformers "
            f"{median['peer', n]:,.0f}, ratio {ratios[n]:.2f}"
        )
    print(
        json.dumps(
            {
                "name": f"GPT-2 of {options.layers} layers and d {options.hidden_size} writing "
                f"{options.new} tokens behind {options.prompt_length}, against transformers' "
                f"generate, the worse of batches {BATCHES}: {worst}, {options.threads} threads",
                "ours": round(median["ours", worst]),
                "peer": round(median["peer", worst]),
                "ratio": round(ratios[worst], 3),
                "unit": "tokens/s",
                **{f"ratio at batch {n}": round(ratio, 3) for n, ratio in ratios.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
