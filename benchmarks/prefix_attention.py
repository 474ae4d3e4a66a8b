"""Pretraining M6-Rec: tokens a second, ours against ``transformers``' GPT-2 with a 4-D mask.

One step of text infilling on documents of the bazaar (behaviour, items, reviews, dialogues), at
the shape of a named size. Equal on both sides: the weights at the start, the rows with the same
spans taken out, who sees whom (a user region both ways, the rest causally), the tokens foretold,
no dropout, and a step of AdamW with torch's fused kernel. Both must come to the same loss on one
batch, or nothing is measured.

Not equal: ours lays rows end to end into lines of one length, keeps them apart by the mask, and
scores the vocabulary for foretold tokens alone, some hundred at a time. The peer is written twice,
as its users do: *padded*, all rows of a step filled up to the longest, with the loss of
``transformers``, which scores every cell; and *sorted*, the same with rows of like length side by
side in parts of a quarter of the cells that ours has, whose gradients add up to one step. Ours is
held against the faster of the two. Positions are learned, since GPT-2 has no rotary ones.

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

WARM_UP = 1


def main() -> None:
    """Time in turns, print, and end in one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--size", default="tiny", help="of m6rec.SIZES")
    parser.add_argument("--lines", type=int, default=16, help="of ours, a batch")
    parser.add_argument("--documents", type=int, default=3000, help="of the bazaar, drawn")
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
    documents = [one for corpus in corpora.values() for one in corpus.train]
    drawn = np.random.default_rng(0).permutation(len(documents))[: options.documents]

    config = M6RecConfig.of_size(options.size, tokenizer, positions="learned")
    ours = M6RecModel(config)
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size, n_positions=config.max_position_embeddings,
            n_embd=config.hidden_size, n_layer=config.num_hidden_layers,
            n_head=config.num_attention_heads, activation_function="gelu",
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )
    )  # fmt: skip
    copy_weights(ours, theirs)
    loss_of = PretrainingLoss({"infilling": 1.0})
    time_of_line = config.max_position_embeddings

    with tempfile.TemporaryDirectory() as folder:
        file = TokenFile.write(
            Path(folder) / "tokens", (documents[i] for i in drawn), tokenizer, progress=False
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
        """Each document's row again, and how long its user region is; from long to short."""
        rows = []
        for ids, document, known in zip(
            batch["ids"], batch["segment_ids"], batch["is_prefix"], strict=True
        ):
            for number in document.unique()[int((document == 0).any()) :]:
                own = document == number
                rows.append((ids[own], int(known[own].sum())))
        return sorted(rows, key=lambda row: -len(row[0]))

    def padded(rows: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, ...]:
        """Tokens, who sees whom, and labels, as ``GPT2LMHeadModel`` wants them."""
        ids = torch.nn.utils.rnn.pad_sequence([row for row, _ in rows], batch_first=True)
        lengths, prefix = torch.tensor([(len(row), known) for row, known in rows]).T
        time = ids.shape[1]
        # Padding is seen by nobody but itself, and sees something: no row of scores is all -inf.
        mask = prefix_mask(prefix, time) & padding_mask(lengths, time)
        mask = mask | torch.eye(time, dtype=torch.bool)
        place = torch.arange(time)
        foretold = (place > prefix[:, None]) & (place < lengths[:, None])
        return ids, mask, ids.masked_fill(~foretold, -100)

    whole = [[padded(rows_of(batch))] for batch in batches]
    cells = options.lines * time_of_line
    in_parts = [[padded(part) for part in cut(rows_of(batch), cells // 4)] for batch in batches]

    def step_of_theirs(parts: list[tuple[torch.Tensor, ...]], train: bool = True) -> float:
        counts = [int((labels[:, 1:] != -100).sum()) for _, _, labels in parts]
        total = 0.0
        for (ids, mask, labels), count in zip(parts, counts, strict=True):
            loss = theirs(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
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
        "padded": [lambda train=True, p=parts: step_of_theirs(p, train) for parts in whole],
        "sorted": [lambda train=True, p=parts: step_of_theirs(p, train) for parts in in_parts],
    }
    with torch.no_grad():
        losses = {name: each[0](train=False) for name, each in steps.items()}
    if max(losses.values()) - min(losses.values()) > 1e-4:
        raise SystemExit(f"the losses are not the same: {losses}")
    optimizers = {
        model: torch.optim.AdamW(model.parameters(), 3e-4, fused=True) for model in (ours, theirs)
    }
    tokens = sum(batch["tokens"] for batch in batches[WARM_UP:])

    def turn_of(name: str) -> float:
        """Tokens a second."""
        model = ours if name == "ours" else theirs
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
        "sorted": tokens / sum(ids.numel() for parts in in_parts[WARM_UP:] for ids, *_ in parts),
    }
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.rounds):
        for name in steps:
            rates[name].append(turn_of(name))
            print(f"round {turn + 1}, {name}: {rates[name][-1]:,.0f} tokens/s", flush=True)
    median = {name: statistics.median(each) for name, each in rates.items()}
    for name, rate in median.items():
        print(f"{name}: {rate:,.0f} tokens/s, {filled[name]:.0%} of its cells are tokens")
    best = max(("padded", "sorted"), key=median.get)
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


def cut(rows: list, cells: int) -> list[list]:
    """Rows from long to short in parts that have at most so many cells when padded."""
    parts, part = [], []
    for row in rows:
        if part and len(part[0][0]) * (len(part) + 1) > cells:
            parts.append(part)
            part = []
        part.append(row)
    return [*parts, part]


def copy_weights(ours: object, theirs: object) -> None:
    """Give GPT-2 the weights of M6-Rec; its linear maps keep theirs the other way round."""
    import torch

    trunk = theirs.transformer
    with torch.no_grad():
        trunk.wte.weight.copy_(ours.embedding.weight)
        trunk.wpe.weight.copy_(ours.positions.weight)
        trunk.ln_f.load_state_dict(ours.norm.state_dict())
        for block, layer in zip(ours.blocks, trunk.h, strict=True):
            layer.ln_1.load_state_dict(block.norm_attention.state_dict())
            layer.ln_2.load_state_dict(block.norm_ffn.state_dict())
            for mine, turned in (
                (block.attention.qkv, layer.attn.c_attn),
                (block.attention.out, layer.attn.c_proj),
                (block.up_proj, layer.mlp.c_fc),
                (block.down_proj, layer.mlp.c_proj),
            ):
                turned.weight.copy_(mine.weight.t())
                turned.bias.copy_(mine.bias)


if __name__ == "__main__":
    main()
