"""Pretraining M6-Rec: tokens per second, compared with ``transformers``' GPT-2 with a 4-D mask.

One step of text infilling on documents of the bazaar (behaviour, items, reviews, dialogues), with
the shape of a named size. Both sides have the same initial weights, rows and masked spans, the same
attention mask (bidirectional user region, causal rest), the same targets, no dropout, and a step of
AdamW with torch's fused kernel. Both must have the same loss on one batch.

Differences: ours packs rows into lines of one length, separated by the attention mask, and computes
logits for the target tokens only, in chunks. The peer has two versions: *padded*, with all rows of
a step padded to the longest, and the loss of ``transformers``, which computes logits at every
position; and *sorted*, the same with rows of similar length in micro-batches of a quarter of the
positions of ours, whose gradients are accumulated to one step. Ours is compared with the faster of
the two. Positions are learned, since GPT-2 has no rotary ones.

    python benchmarks/prefix_attention.py [--threads 2] [--rounds 3] [--steps 5] [--size tiny] ...
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WARM_UP = 1


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--size", default="tiny", help="of m6rec.SIZES")
    parser.add_argument("--lines", type=int, default=16, help="lines per batch of ours")
    parser.add_argument("--documents", type=int, default=3000, help="of the bazaar")
    options = parser.parse_args()

    import numpy as np
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    from m6rec_lite.data import leave_one_out, load_dataset
    from m6rec_lite.language.models.hub import find_model
    from m6rec_lite.language.text.tokenizer import Tokenizer
    from m6rec_lite.m6rec.batches import Batch, PretrainingBatches
    from m6rec_lite.m6rec.config import M6RecConfig
    from m6rec_lite.m6rec.documents import pretraining_corpora
    from m6rec_lite.m6rec.infilling import Infilling
    from m6rec_lite.m6rec.model import M6RecModel
    from m6rec_lite.m6rec.objective import PretrainingLoss
    from m6rec_lite.m6rec.token_file import TokenFile
    from m6rec_lite.nn.masks import padding_mask, prefix_mask

    torch.set_num_threads(options.threads)
    logging.set_verbosity_error()
    torch.manual_seed(0)
    tokenizer = Tokenizer.load(find_model("bazaar-gpt"))
    dataset = load_dataset("bazaar")
    corpora = pretraining_corpora(dataset, leave_one_out(dataset))
    documents = [document for corpus in corpora.values() for document in corpus.train]
    sample = np.random.default_rng(0).permutation(len(documents))[: options.documents]

    config = M6RecConfig.of_size(options.size, tokenizer, positions="learned")
    ours = M6RecModel(config)
    peer = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size, n_positions=config.max_position_embeddings,
            n_embd=config.hidden_size, n_layer=config.num_hidden_layers,
            n_head=config.num_attention_heads, activation_function="gelu",
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )
    )  # fmt: skip
    copy_weights(ours, peer)
    loss_of = PretrainingLoss({"infilling": 1.0})
    time_of_line = config.max_position_embeddings

    with tempfile.TemporaryDirectory() as folder:
        file = TokenFile.write(
            Path(folder) / "tokens", (documents[i] for i in sample), tokenizer, progress=False
        )
        plan = PretrainingBatches(
            file,
            {"infilling": Infilling()},
            tokenizer,
            batch_size=options.lines,
            seq_len=time_of_line,
        ).epoch(0, 0)
        n = WARM_UP + options.steps
        if len(plan) < n:
            raise SystemExit(f"{options.documents} documents make {len(plan)} batches, wanted {n}")
        batches = [plan[i] for i in range(n)]

    def rows_of(batch: Batch) -> list[tuple[torch.Tensor, int]]:
        """Return each document's row and the length of its user region, longest first."""
        rows = []
        for ids, document, is_prefix in zip(
            batch["ids"], batch["segment_ids"], batch["is_prefix"], strict=True
        ):
            for number in document.unique()[int((document == 0).any()) :]:
                inside = document == number
                rows.append((ids[inside], int(is_prefix[inside].sum())))
        return sorted(rows, key=lambda row: -len(row[0]))

    def padded(rows: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, ...]:
        """Return tokens, attention mask and labels for ``GPT2LMHeadModel``."""
        ids = torch.nn.utils.rnn.pad_sequence([row for row, _ in rows], batch_first=True)
        lengths, prefix = torch.tensor([(len(row), length) for row, length in rows]).T
        time = ids.shape[1]
        # Padding attends to itself, so that no row of the mask is empty.
        mask = prefix_mask(prefix, time) & padding_mask(lengths, time)
        mask = mask | torch.eye(time, dtype=torch.bool)
        position = torch.arange(time)
        is_target = (position > prefix[:, None]) & (position < lengths[:, None])
        return ids, mask, ids.masked_fill(~is_target, -100)

    whole = [[padded(rows_of(batch))] for batch in batches]
    cells = options.lines * time_of_line
    micro_batches = [
        [padded(part) for part in split_rows(rows_of(batch), cells // 4)] for batch in batches
    ]

    def step_of_peer(parts: list[tuple[torch.Tensor, ...]], train: bool = True) -> float:
        counts = [int((labels[:, 1:] != -100).sum()) for _, _, labels in parts]
        total = 0.0
        for (ids, mask, labels), count in zip(parts, counts, strict=True):
            loss = peer(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
            loss = loss * (count / sum(counts))
            if train:
                loss.backward()
            total += float(loss.detach())
        return total

    def step_of_ours(batch: Batch, train: bool = True) -> float:
        loss, _ = loss_of(ours, batch)
        if train:
            loss.backward()
        return float(loss.detach())

    steps: dict[str, list[Callable[..., float]]] = {
        "ours": [lambda train=True, b=batch: step_of_ours(b, train) for batch in batches],
        "padded": [lambda train=True, p=parts: step_of_peer(p, train) for parts in whole],
        "sorted": [lambda train=True, p=parts: step_of_peer(p, train) for parts in micro_batches],
    }
    with torch.no_grad():
        losses = {name: functions[0](train=False) for name, functions in steps.items()}
    if max(losses.values()) - min(losses.values()) > 1e-4:
        raise SystemExit(f"the losses differ: {losses}")
    optimizers = {
        model: torch.optim.AdamW(model.parameters(), 3e-4, fused=True) for model in (ours, peer)
    }
    tokens = sum(batch["tokens"] for batch in batches[WARM_UP:])

    def measure_rate(name: str) -> float:
        """Return tokens per second."""
        model = ours if name == "ours" else peer
        for i, step in enumerate(steps[name]):
            if i == WARM_UP:
                clock = time.perf_counter()
            step()
            optimizers[model].step()
            optimizers[model].zero_grad()
        return tokens / (time.perf_counter() - clock)

    filled = {
        "ours": tokens / (cells * options.steps),
        "padded": tokens / sum(ids.numel() for parts in whole[WARM_UP:] for ids, *_ in parts),
        "sorted": tokens
        / sum(ids.numel() for parts in micro_batches[WARM_UP:] for ids, *_ in parts),
    }
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.rounds):
        for name in steps:
            rates[name].append(measure_rate(name))
            print(f"round {turn + 1}, {name}: {rates[name][-1]:,.0f} tokens/s", flush=True)
    median = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in median.items():
        print(f"{name}: {rate:,.0f} tokens/s, {filled[name]:.0%} of its positions are tokens")
    best = max(("padded", "sorted"), key=lambda name: median[name])
    print(
        json.dumps(
            {
                "name": f"a pretraining step of M6-Rec, {options.size}, rows of the bazaar packed "
                f"into lines of {time_of_line}, against transformers' GPT-2 with a 4-D mask, the "
                f"better of padded and sorted rows: {best}, {options.threads} threads",
                "ours": round(median["ours"]),
                "peer": round(median[best]),
                "ratio": round(median["ours"] / median[best], 3),
                "unit": "tokens/s",
                **{
                    f"ratio to {name} rows": round(median["ours"] / median[name], 3)
                    for name in ("padded", "sorted")
                },
            }
        )
    )


def split_rows(rows: list, cells: int) -> list[list]:
    """Split rows, longest first, into parts of at most ``cells`` positions when padded."""
    parts: list[list] = []
    part: list = []
    for row in rows:
        if part and len(part[0][0]) * (len(part) + 1) > cells:
            parts.append(part)
            part = []
        part.append(row)
    return [*parts, part]


def copy_weights(ours: Any, peer: Any) -> None:
    """Copy the weights of M6-Rec to GPT-2, whose linear maps store them transposed."""
    import torch

    trunk = peer.transformer
    with torch.no_grad():
        trunk.wte.weight.copy_(ours.embedding.weight)
        trunk.wpe.weight.copy_(ours.positions.weight)
        trunk.ln_f.load_state_dict(ours.norm.state_dict())
        for block, layer in zip(ours.blocks, trunk.h, strict=True):
            layer.ln_1.load_state_dict(block.norm_attention.state_dict())
            layer.ln_2.load_state_dict(block.norm_ffn.state_dict())
            for source, target in (
                (block.attention.qkv, layer.attn.c_attn),
                (block.attention.out, layer.attn.c_proj),
                (block.up_proj, layer.mlp.c_fc),
                (block.down_proj, layer.mlp.c_proj),
            ):
                target.weight.copy_(source.weight.t())
                target.bias.copy_(source.bias)


if __name__ == "__main__":
    main()
