"""Zero-shot ranking: candidates a second, ours against a full row a candidate.

M6-Rec scores a candidate by the likelihood of its sentence behind what is known of a person. Ours
(``tasks.Ranking``) reads a person once; all candidates go on from that cache. The peer is what one
writes with ``transformers`` and nothing else: each candidate makes a whole row, person and
sentence; rows of like length are padded on the left into batches, go through the same model's
``forward``, and the scores of the sentence's tokens are picked out. Of the logits it makes those of
the sentences alone (``logits_to_keep``), as a careful user would; without that it would be slower.

Both have the same model and weights, the same texts of the bazaar and the same numbers of positions
at a time, and must come to the same scores, or nothing is measured. The two take turns.

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
    """Time in turns, print, and end in one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--candidates", type=int, default=50, help="of each person")
    parser.add_argument("--size", default="tiny", help="of m6rec.SIZES")
    parser.add_argument("--batch-tokens", type=int, default=16_384, help="positions at a time")
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
    # Weights larger than at the start of training: else all sentences are as likely.
    config = M6RecConfig.of_size(options.size, tokenizer, initializer_range=0.1)
    model = M6RecModel(config).eval()
    dataset = load_dataset("bazaar")
    split = leave_one_out(dataset)
    prompts = PromptBuilder(BehaviourText(dataset), tokenizer, config.max_position_embeddings)
    rng = np.random.default_rng(0)
    asked = split.test.histories[np.sort(rng.permutation(len(split.test))[: options.people])]
    drawn = [rng.permutation(split.item_ids)[: options.candidates] for _ in range(len(asked))]
    task = Ranking()
    examples = task.encode(asked, drawn, prompts)
    lengths = examples.lengths - 1  # [EOS] is not scored

    def rank_ours() -> np.ndarray:
        return task.predict(model, examples, batch_tokens=options.batch_tokens)

    @torch.inference_mode()
    def rank_plainly() -> np.ndarray:
        found = np.zeros(len(examples))
        order = np.argsort(lengths, kind="stable")
        while len(order):
            fits = lengths[order] * np.arange(1, len(order) + 1) <= options.batch_tokens
            rows, order = np.split(order, [max(1, int(fits.sum()))])
            parts = [(examples.known[i], examples.written[i][:-1]) for i in rows]
            width = max(len(known) + len(written) for known, written in parts)
            ids = torch.full((len(rows), width), tokenizer.pad)
            for line, pair in zip(ids, parts, strict=True):
                line[-sum(map(len, pair)) :] = torch.from_numpy(np.concatenate(pair)).long()
            real = (torch.arange(width) >= width - torch.from_numpy(lengths[rows])[:, None]).long()
            prefix = torch.tensor([len(known) for known, _ in parts])
            kept = max(len(written) for _, written in parts)
            logits = model(
                ids, attention_mask=real, prefix_length=prefix, logits_to_keep=kept, use_cache=False
            ).logits  # (rows, kept, vocab_size)
            chances = logits[:, :-1].log_softmax(-1)
            chances = chances.gather(2, ids[:, width - kept + 1 :, None])[:, :, 0]
            sizes = torch.tensor([len(written) - 1 for _, written in parts])  # [BOS] is given
            foretold = torch.arange(kept - 1) >= kept - 1 - sizes[:, None]
            found[rows] = ((chances * foretold).sum(1) / sizes).numpy()
        return found

    runs: dict[str, Callable[[], np.ndarray]] = {"ours": rank_ours, "peer": rank_plainly}
    mine, plain = (run() for run in runs.values())  # the warm-up, too
    if not np.allclose(mine, plain, rtol=1e-4, atol=1e-4):
        raise SystemExit(f"the scores differ by up to {np.abs(mine - plain).max():.3g}")
    if np.ptp(mine) < 0.01:
        raise SystemExit(f"all scores are alike ({np.ptp(mine):.3g} apart): nothing is shown")
    read = sum({known.tobytes(): len(known) for known in examples.known}.values())
    written = sum(len(one) - 1 for one in examples.written)
    print(
        f"{options.people} people of {read / options.people:.0f} tokens, {len(examples)} sentences "
        f"of {written / len(examples):.0f}: the peer reads {int(lengths.sum()):,} tokens, ours "
        f"{read + written:,}; scores differ by {np.abs(mine - plain).max():.1e} at most"
    )
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(options.rounds):
        for name, run in runs.items():
            clock = time.perf_counter()
            run()
            rates[name].append(len(examples) / (time.perf_counter() - clock))
            print(f"round {turn + 1}, {name}: {rates[name][-1]:,.1f} candidates/s", flush=True)
    median = {name: statistics.median(each) for name, each in rates.items()}
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
