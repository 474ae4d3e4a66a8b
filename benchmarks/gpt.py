"""Training a GPT-2: tokens per second, compared with ``transformers``' ``GPT2LMHeadModel``.

Both have the same shape, initial weights and batches of documents, with log-normal lengths (median
``--median``, cut at the context), as behaviour texts have. Ours packs the documents of a batch
without padding and without attention across documents; the peer pads them to the longest, with
``attention_mask`` and labels of -100, as is usual. Both take a step of AdamW with torch's fused
kernel and count the same targets. With ``--same-length`` there is no padding; then the difference
is due to the loss, which does not store all logits, and to dropout.

The two alternate. A turn trains ``--steps`` batches after two that are not counted. Both must have
the same loss on one batch without dropout.

    python benchmarks/gpt.py [--threads 2] [--rounds 5] [--steps 10] [--hidden-size 128] ...
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

WARM_UP = 2


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--documents", type=int, default=32, help="documents per batch")
    parser.add_argument("--median", type=int, default=100, help="median tokens of a document")
    parser.add_argument("--same-length", action="store_true", help="of the context")
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--vocab-size", type=int, default=4096)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    options = parser.parse_args()

    import torch
    from transformers.utils import logging

    from m6rec_lite.language.models.gpt import GPT, GPTConfig
    from m6rec_lite.nn.packing import Packing

    torch.set_num_threads(options.threads)
    logging.set_verbosity_error()
    draw = torch.Generator().manual_seed(0)
    config = GPTConfig(
        options.vocab_size, options.context, options.hidden_size, options.layers, options.heads
    )
    ours = GPT(config, generator=draw)
    peer = ours.to_transformers().train()

    packed, padded = [], []
    for _ in range(WARM_UP + options.steps):
        spread = (torch.randn(options.documents, generator=draw) * 0.6).exp()
        lengths = (options.median * spread).long().clamp(8, options.context)
        if options.same_length:
            lengths = torch.full_like(lengths, options.context)
        lengths = lengths.sort(descending=True).values
        documents = [torch.randint(config.vocab_size, (n,), generator=draw) for n in lengths]
        ids = torch.cat([document[:-1] for document in documents])
        targets = torch.cat([document[1:] for document in documents])
        packed.append((ids, targets, lengths - 1))
        pad = torch.nn.utils.rnn.pad_sequence
        labels = pad(documents, batch_first=True, padding_value=-100)
        padded.append((pad(documents, batch_first=True), (labels != -100).long(), labels))

    def loss_of_ours(i: int) -> torch.Tensor:
        ids, targets, lengths = packed[i]
        return ours.loss(ids, targets, Packing(lengths))

    def loss_of_peer(i: int) -> torch.Tensor:
        ids, mask, labels = padded[i]
        return peer(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss

    optimizers = {
        model: torch.optim.AdamW(model.parameters(), 3e-4, fused=True) for model in (ours, peer)
    }

    def measure_rate(model: torch.nn.Module, loss: Callable[[int], torch.Tensor]) -> float:
        """Return targets per second."""
        for i in range(len(packed)):
            if i == WARM_UP:
                clock = time.perf_counter()
            loss(i).backward()
            optimizers[model].step()
            optimizers[model].zero_grad()
        return counted / (time.perf_counter() - clock)

    counted = sum(len(targets) for _, targets, _ in packed[WARM_UP:])
    cells = sum(ids.numel() for ids, _, _ in padded[WARM_UP:])
    ours.eval(), peer.eval()
    with torch.no_grad():
        loss, expected = float(loss_of_ours(0)), float(loss_of_peer(0))
    if abs(loss - expected) > 1e-3 * expected:
        raise SystemExit(f"ours has a loss of {loss:.5f} and transformers one of {expected:.5f}")
    ours.train(), peer.train()
    print(f"{counted:,} targets per turn; padded batches have {cells:,} positions")
    rates: dict[str, list[float]] = {"ours": [], "peer": []}
    for turn in range(options.rounds):
        rates["ours"].append(measure_rate(ours, loss_of_ours))
        rates["peer"].append(measure_rate(peer, loss_of_peer))
        print(
            f"round {turn + 1}: ours {rates['ours'][-1]:,.0f} tokens/s, transformers "
            f"{rates['peer'][-1]:,.0f}",
            flush=True,
        )
    kind = f"ragged documents of {options.median} tokens by the median"
    if options.same_length:
        kind = f"documents of {options.context} tokens each"
    median = {name: statistics.median(values) for name, values in rates.items()}
    print(
        json.dumps(
            {
                "name": f"training a GPT-2 of {options.layers} layers and d {options.hidden_size}, "
                f"a vocabulary of {options.vocab_size}, {kind}, against transformers, "
                f"{options.threads} threads",
                "ours": round(median["ours"]),
                "peer": round(median["peer"]),
                "ratio": round(median["ours"] / median["peer"], 3),
                "unit": "tokens/s",
                "padding of the peer": round(1 - counted / cells, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
