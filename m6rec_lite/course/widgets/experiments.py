"""The five experiments: what each keeps of a lesson's objects, and what it shows at its start.

``prepare`` turns arrays into short JSON; ``still`` computes from it the rows that readers without
JavaScript see. ``widgets.js`` applies the same formulas; a test compares both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

#: Rows of a list, and of the tokens after a prompt.
LISTED, TOKENS_SHOWN = 8, 14

#: Most probable tokens of a prompt, which are kept by name, and groups of the rest.
TOKENS_KEPT, GROUPS = 60, 64

#: Words after a context: the most frequent ones, and frequent words that never followed it.
SEEN, UNSEEN = 8, 4

#: The settings of the slider of the decay.
DECAYS = np.linspace(0.3, 1, 15)

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes:
        title: what it asks.
        keys: the names of the data that it needs.
        prepare: returns the JSON of such data.
        still: returns a sentence on the settings at the start, and a name and a value of each row.
    """

    title: str
    keys: tuple[str, ...]
    prepare: Callable[[Mapping[str, Any]], dict[str, Any]]
    still: Callable[[dict[str, Any]], tuple[str, Rows]]


def names(values: Iterable[Any]) -> list[str]:
    """Return names as text; a missing name of a ``Series`` becomes its id, the index."""
    if isinstance(values, pd.Series):
        pairs = zip(values.index, values, strict=True)
        return [str(index if pd.isna(value) else value) for index, value in pairs]
    return [str(value) for value in values]


def numbers(values: Any) -> list[Any]:
    """Return an array as nested lists of numbers with four digits."""
    array = np.asarray(values, dtype=float)
    if not np.isfinite(array).all():
        raise ValueError("an experiment needs finite numbers; some are NaN or infinite")
    rounded = np.array([float(f"{value:.4g}") for value in array.ravel()])
    return rounded.reshape(array.shape).tolist()


def percent(share: float, digits: int = 1) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.{digits}f} %"


def check_shape(what: str, values: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return an array of this shape, where None stands for any length.

    Raises:
        ValueError: if the shape is another one.
    """
    array = np.asarray(values, dtype=float)
    same = len(array.shape) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    )
    if not same:
        raise ValueError(f"{what} has the shape {array.shape}; wanted {shape}")
    return array


def _decay(data: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the items that are listed at any decay."""
    events, items = names(data["events"]), names(data["items"])
    weights = check_shape("weights", data["weights"], (len(events), len(items)))
    listed: set[int] = set()
    for decay in DECAYS:
        listed.update(_decayed(weights, decay).argsort()[::-1][:LISTED].tolist())
    kept = sorted(listed)
    return {
        "events": events,
        "items": [items[i] for i in kept],
        "weights": numbers(weights[:, kept]),
    }


def _decayed(weights: np.ndarray, decay: float) -> np.ndarray:
    """Return ``(items,)`` sums of ``(events, items)`` weights, the latest event last."""
    return (decay ** np.arange(len(weights))[::-1]) @ weights


def _decay_still(data: dict[str, Any]) -> tuple[str, Rows]:
    scores = _decayed(np.array(data["weights"]), 0.8)
    order = np.argsort(-scores, kind="stable")[:LISTED]
    return "With a decay of 0.80 the list begins with:", [
        (data["items"][i], f"{scores[i]:.3f}") for i in order
    ]


def _sampling(data: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the most probable tokens of each prompt, and groups of the rest with equal logits.

    Logits are differences from the highest. A group keeps its size and the sum of its odds.
    """
    prompts = []
    for prompt in data["prompts"]:
        tokens = names(prompt["tokens"])
        logits = check_shape("logits", prompt["logits"], (len(tokens),))
        order = np.argsort(-logits, kind="stable")
        best, below = order[:TOKENS_KEPT], logits[order] - logits[order[0]]
        groups = np.array_split(below[TOKENS_KEPT:], GROUPS)
        prompts.append(
            {
                "text": str(prompt["text"]),
                "tokens": [tokens[i] for i in best],
                "logits": numbers(below[:TOKENS_KEPT]),
                "rest": [
                    [len(group), *numbers([np.log(np.exp(group).mean())])]
                    for group in groups
                    if len(group)
                ],
            }
        )
    return {"prompts": prompts}


def _sampling_still(data: dict[str, Any]) -> tuple[str, Rows]:
    prompt = data["prompts"][0]
    rest = [[logit] * n for n, logit in prompt["rest"]]
    odds = np.exp(np.concatenate([prompt["logits"], *rest]))
    shares = odds / odds.sum()
    before = np.concatenate([[0], shares.cumsum()[:-1]])
    kept = shares * (before < 0.9)
    rows = [
        (token, percent(share) if share else "out")
        for token, share in zip(prompt["tokens"], kept / kept.sum(), strict=False)
    ][:TOKENS_SHOWN]
    drawn = np.count_nonzero(kept)
    text = f"At temperature 1.0 and top-p 0.90, {drawn} tokens can be drawn after {prompt['text']}"
    return text, rows


def _smoothing(data: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of each context the most frequent words, and frequent ones that never followed."""
    words = names(data["words"])
    once = check_shape("once", data["once"], (len(words),))
    contexts = []
    for context, values in data["after"].items():
        counts = check_shape(f"after[{context!r}]", values, (len(words),))
        ordered = np.lexsort((-once, -counts))
        unseen = ordered[counts[ordered] == 0]
        shown = [*ordered[counts[ordered] > 0][:SEEN], *unseen[:UNSEEN]]
        contexts.append(
            {
                "context": str(context),
                "words": [words[i] for i in shown],
                "counts": [round(counts[i]) for i in shown],
                "total": round(counts.sum()),
                "unigram": numbers(once[shown] / once.sum()),
            }
        )
    return {"vocabulary": len(words), "contexts": contexts}


def _smoothing_still(data: dict[str, Any]) -> tuple[str, Rows]:
    first = data["contexts"][0]
    total = first["total"] + data["vocabulary"]
    rows = [
        (f"{word} ({count})", percent((count + 1) / total, 2))
        for word, count in zip(first["words"], first["counts"], strict=True)
    ]
    return (
        f"After “{first['context']}” ({first['total']} times), with one more count for every word "
        "of the vocabulary; in brackets how often a word followed:"
    ), rows


def _attention(data: Mapping[str, Any]) -> dict[str, Any]:
    """Keep all weights."""
    events = names(data["events"])
    shape = (None, None, len(events), len(events))
    return {"events": events, "weights": numbers(check_shape("weights", data["weights"], shape))}


def _attention_still(data: dict[str, Any]) -> tuple[str, Rows]:
    shares = data["weights"][0][0][-1]
    rows = [(name, percent(share)) for name, share in zip(data["events"], shares, strict=True)]
    return "Block 1, head 1: the state of the last event reads, oldest event first:", rows


def _privacy(data: Mapping[str, Any]) -> dict[str, Any]:
    """Keep all counts."""
    items = names(data["items"])
    counts = check_shape("counts", data["counts"], (len(items),))
    return {"items": items, "counts": [round(count) for count in counts]}


def _privacy_still(data: dict[str, Any]) -> tuple[str, Rows]:
    rows = [(name, str(count)) for name, count in zip(data["items"], data["counts"], strict=True)]
    return "True counts; noise for ε = 0.50 has a standard deviation of 2.8 people:", rows


EXPERIMENTS: dict[str, Experiment] = {
    "decay": Experiment(
        "Recency: how fast should old events fade?",
        ("events", "items", "weights"),
        _decay,
        _decay_still,
    ),
    "sampling": Experiment(
        "Temperature and top-p: which token comes next?", ("prompts",), _sampling, _sampling_still
    ),
    "smoothing": Experiment(
        "Smoothing: what is the probability of a word that was never seen?",
        ("words", "once", "after"),
        _smoothing,
        _smoothing_still,
    ),
    "attention": Experiment(
        "Attention: which event does a head read?",
        ("events", "weights"),
        _attention,
        _attention_still,
    ),
    "privacy": Experiment(
        "Privacy: what does ε cost?", ("items", "counts"), _privacy, _privacy_still
    ),
}
