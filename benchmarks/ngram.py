"""Training and scoring an n-gram model of order 3 with Witten-Bell smoothing, compared with NLTK.

Training on a text of 200,000 words, and scoring of each word of another text of 200,000 words. Both
sides start from the same lists of words and return one log-probability for each word; these must
agree to 1e-9. NLTK is used as in its documentation (padded everygrams, ``logscore``). Every run has
a process of its own; the runs alternate. Imports and a first small text are not timed. Memory is
the growth of the process at its peak.

    python benchmarks/ngram.py [--words 200000] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np

from m6rec_lite.evaluation import Meter

ORDER, KINDS, START, END = 3, 20_000, "<s>", "</s>"
Text = list[list[str]]


def random_text(words: int, seed: int) -> Text:
    """Return sentences of 20 words: Zipf-like, half of the words depend on the word before."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, KINDS + 1)
    ids = rng.choice(KINDS, size=words, p=share / share.sum())
    depends = rng.random(words) < 0.5
    step = rng.geometric(0.3, size=words)
    for i in np.flatnonzero(depends[1:]) + 1:  # one of a few successors of each word
        ids[i] = (ids[i - 1] * 7919 + step[i]) % KINDS
    tokens = [f"word{word}" for word in ids]
    return [tokens[start : start + 20] for start in range(0, words, 20)]


def padded(text: Text) -> Text:
    """Return each sentence with the boundary tokens of NLTK."""
    return [[START] * (ORDER - 1) + row + [END] * (ORDER - 1) for row in text]


def run_ours(train: Text, test: Text) -> np.ndarray:
    """Return the ``(tokens,)`` natural log-probabilities."""
    from m6rec_lite.language import NGram, WittenBell

    # edges=None treats boundary tokens as predictable words, like NLTK
    model = NGram(ORDER, WittenBell(base="unigram"), edges=None)
    return model.fit(padded(train)).token_logprobs(padded(test))


def run_nltk(train: Text, test: Text) -> np.ndarray:
    """Return the ``(tokens,)`` natural log-probabilities of NLTK."""
    from nltk.lm import Vocabulary, WittenBellInterpolated
    from nltk.lm.preprocessing import padded_everygram_pipeline

    grams, vocabulary = padded_everygram_pipeline(ORDER, train)
    model = WittenBellInterpolated(ORDER, vocabulary=Vocabulary(vocabulary, unk_label="<unk>"))
    model.fit(grams)
    scores = []
    for row in padded(test):
        for i, word in enumerate(row):
            scores.append(model.logscore(word, tuple(row[max(0, i - ORDER + 1) : i])))
    return np.array(scores) * np.log(2)  # NLTK uses base 2


def measure(side: str, words: int, out: Path) -> None:
    """Run one side in this process; print seconds and MiB, and save the log-probabilities."""
    run = {"ours": run_ours, "peer": run_nltk}[side]
    run(random_text(400, 2), random_text(400, 3))
    train, test = random_text(words, 0), random_text(words, 1)
    with Meter() as meter:
        logprobs = run(train, test)
    np.save(out, logprobs)
    print(json.dumps({"seconds": meter.cost.seconds, "peak_mib": meter.cost.peak_mib}))


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure(options.side, options.words, options.out)
        return

    costs: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as folder:
        files = {side: Path(folder) / f"{side}.npy" for side in costs}
        for repeat in range(options.repeats):
            for side, rows in costs.items():
                command = [sys.executable, __file__, "--side", side, "--out", str(files[side])]
                command += ["--words", str(options.words)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                rows.append(json.loads(done.stdout.splitlines()[-1]))
                print(f"run {repeat + 1}, {side}: {rows[-1]['seconds']:.2f} s, "
                      f"{rows[-1]['peak_mib']:.0f} MiB", flush=True)  # fmt: skip
        ours, peer = (np.load(files[side]) for side in ("ours", "peer"))
    possible = np.isfinite(peer)  # words not in training have probability 0
    if ours.shape != peer.shape or (np.isfinite(ours) != possible).any():
        raise SystemExit("the two sides disagree on which words have probability 0")
    gap = float(np.abs(ours[possible] - peer[possible]).max())
    if gap > 1e-9:
        raise SystemExit(f"log-probabilities differ by {gap}")
    print(f"{len(ours):,} log-probabilities, {possible.mean():.1%} of them finite, "
          f"differ by at most {gap:.1e}")  # fmt: skip
    seconds = {k: statistics.median(row["seconds"] for row in v) for k, v in costs.items()}
    memory = {k: statistics.median(row["peak_mib"] for row in v) for k, v in costs.items()}
    print(
        json.dumps(
            {
                "name": f"n-grams: train and score {options.words} words each, order {ORDER}, "
                "Witten-Bell",
                "ours": round(seconds["ours"], 4),
                "peer": round(seconds["peer"], 3),
                "ratio": round(seconds["ours"] / seconds["peer"], 5),
                "unit": "s",
                "ours_mib": round(memory["ours"], 1),
                "peer_mib": round(memory["peer"], 1),
                "memory_ratio": round(memory["ours"] / memory["peer"], 4),
            }
        )
    )


if __name__ == "__main__":
    main()
