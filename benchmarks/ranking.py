"""Zero-shot ranking: candidates per second, compared with one full row for each candidate.

M6-Rec scores a candidate by the likelihood of its sentence after the prompt of a user. Ours
(``tasks.Ranking``) encodes the prompt once and continues all candidates from its cache. The peer is
a direct implementation with ``transformers``: each candidate has a row of prompt and sentence; rows
of similar length are padded on the left into batches, pass through the same model's ``forward``,
and the scores of the sentence's tokens are selected. It computes logits of the sentences only
(``logits_to_keep``); otherwise it would be slower.

Both have the same model, weights, texts of the bazaar and positions per batch, and must return the
same scores. The two alternate.

    python benchmarks/ranking.py [--threads 2] [--rounds 3] [--people 4] [--candidates 50] ...
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--candidates", type=int, default=50, help="candidates of each user")
    parser.add_argument("--size", default="tiny", help="of m6rec.SIZES")
    parser.add_argument("--batch-tokens", type=int, default=16_384, help="positions per batch")
    options = parser.parse_args()

    import numpy as np
    import torch
    from transformers.utils import logging

    from m6rec_lite.data import leave_one_out, load_dataset
    from m6rec_lite.language.models.hub import find_model
    from m6rec_lite.language.text.behaviour import BehaviourText
    from m6rec_lite.language.text.tokenizer import Tokenizer
    from m6rec_lite.m6rec.config import M6RecConfig
    from m6rec_lite.m6rec.model import M6RecModel
    from m6rec_lite.m6rec.prompts import PromptBuilder
    from m6rec_lite.m6rec.tasks.ranking import Ranking

    torch.set_num_threads(options.threads)
    logging.set_verbosity_error()
    torch.manual_seed(0)
    tokenizer = Tokenizer.load(find_model("bazaar-gpt"))
    # Larger weights than usual, for distinct likelihoods.
    config = M6RecConfig.of_size(options.size, tokenizer, initializer_range=0.1)
    model = M6RecModel(config).eval()
    dataset = load_dataset("bazaar")
    split = leave_one_out(dataset)
    prompts = PromptBuilder(BehaviourText(dataset), tokenizer, config.max_position_embeddings)
    rng = np.random.default_rng(0)
    histories = split.test.histories[np.sort(rng.permutation(len(split.test))[: options.people])]
    candidates = [
        rng.permutation(split.item_ids)[: options.candidates].tolist()
        for _ in range(len(histories))
    ]
    task = Ranking()
    examples = task.encode(histories, candidates, prompts)
    lengths = examples.lengths - 1  # [EOS] is not scored

    def rank_ours() -> np.ndarray:
        return task.predict(model, examples, batch_tokens=options.batch_tokens)

    @torch.inference_mode()
    def rank_peer() -> np.ndarray:
        scores = np.zeros(len(examples))
        order = np.argsort(lengths, kind="stable")
        while len(order):
            fits = lengths[order] * np.arange(1, len(order) + 1) <= options.batch_tokens
            rows, order = np.split(order, [max(1, int(fits.sum()))])
            parts = [(examples.known[i], examples.written[i][:-1]) for i in rows]
            width = max(len(known) + len(written) for known, written in parts)
            ids = torch.full((len(rows), width), tokenizer.pad)
            for line, pair in zip(ids, parts, strict=True):
                line[-sum(map(len, pair)) :] = torch.from_numpy(np.concatenate(pair)).long()
            mask = (torch.arange(width) >= width - torch.from_numpy(lengths[rows])[:, None]).long()
            prefix = torch.tensor([len(known) for known, _ in parts])
            n_logits = max(len(written) for _, written in parts)
            logits = model(
                ids,
                attention_mask=mask,
                prefix_length=prefix,
                logits_to_keep=n_logits,
                use_cache=False,
            ).logits  # (rows, n_logits, vocab_size)
            logprobs = logits[:, :-1].log_softmax(-1)
            logprobs = logprobs.gather(2, ids[:, width - n_logits + 1 :, None])[:, :, 0]
            sizes = torch.tensor([len(written) - 1 for _, written in parts])  # without [BOS]
            is_target = torch.arange(n_logits - 1) >= n_logits - 1 - sizes[:, None]
            scores[rows] = ((logprobs * is_target).sum(1) / sizes).numpy()
        return scores

    runs: dict[str, Callable[[], np.ndarray]] = {"ours": rank_ours, "peer": rank_peer}
    ours, expected = (run() for run in runs.values())  # also the warm-up
    if not np.allclose(ours, expected, rtol=1e-4, atol=1e-4):
        raise SystemExit(f"the scores differ by up to {np.abs(ours - expected).max():.3g}")
    if np.ptp(ours) < 0.01:
        raise SystemExit(f"all scores are equal within {np.ptp(ours):.3g}: the comparison is empty")
    read = sum({known.tobytes(): len(known) for known in examples.known}.values())
    written = sum(len(tokens) - 1 for tokens in examples.written)
    print(
        f"{options.people} prompts of {read / options.people:.0f} tokens, {len(examples)} "
        f"sentences of {written / len(examples):.0f}: the peer reads {int(lengths.sum()):,} "
        f"tokens, ours {read + written:,}; the largest difference of scores is "
        f"{np.abs(ours - expected).max():.1e}"
    )
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(options.rounds):
        for name, run in runs.items():
            clock = time.perf_counter()
            run()
            rates[name].append(len(examples) / (time.perf_counter() - clock))
            print(f"round {turn + 1}, {name}: {rates[name][-1]:,.1f} candidates/s", flush=True)
    median = {name: statistics.median(values) for name, values in rates.items()}
    print(
        json.dumps(
            {
                "name": f"zero-shot ranking of {options.candidates} candidates by likelihood, "
                f"{options.size}, the person read once against a full row a candidate through the "
                f"same model, {options.threads} threads",
                "ours": round(median["ours"], 1),
                "peer": round(median["peer"], 1),
                "ratio": round(median["ours"] / median["peer"], 3),
                "unit": "candidates/s",
                "fewer tokens": round(int(lengths.sum()) / (read + written), 2),
            }
        )
    )


if __name__ == "__main__":
    main()
