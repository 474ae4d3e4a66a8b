"""Write the data of the experiments in the browser: ``python -m book.try_data``.

Each function returns what one experiment of ``book/try_it.md`` needs, computed by the package on
the bazaar. ``book/static/try_it.js`` applies the same formulas to it; a test compares both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from m6rec_lite.data import Dataset, Split, leave_one_out, load_dataset
from m6rec_lite.language import NGram, ReviewSource, find_model
from m6rec_lite.recommenders import EASE, SASRec

FOLDER = Path(__file__).parent / "data"

PROMPT = (
    "[BOS][USER]A woman, 25 to 34 years old, student, Berlin.[EVENT]clicked a product named "
    "“Hiking Boots for Muddy Trails”[EVENT]clicked {what} named “"
)


def titles(dataset: Dataset, split: Split) -> np.ndarray:
    """Return the title of each item, by its index."""
    table = dataset.items.set_index("item_id")
    return table["title"].reindex(split.item_ids).astype(str).to_numpy()


def a_person(split: Split, names: np.ndarray, *, length: int) -> int:
    """Return the first row whose history has this number of events, with English titles only."""
    histories = split.test.histories
    english = np.array([name.isascii() for name in names])
    foreign = np.bincount(histories.rows, ~english[histories.items], len(histories))
    return int(np.flatnonzero((histories.lengths == length) & (foreign == 0))[0])


def decay(dataset: Dataset, split: Split) -> dict[str, Any]:
    """Return EASE's weights between the events of one history and the items worth listing.

    The score of item i is the sum over events e of ``decay ** steps_back[e] * weights[e][i]``.
    """
    names = titles(dataset, split)
    history = split.test.histories[[a_person(split, names, length=14)]]
    weights = EASE().fit(split.train, progress=False).weights_[history.items]
    weights[:, history.items] = -np.inf
    back = np.arange(len(history.items))[::-1]
    listed: set[int] = set()
    for factor in np.linspace(0.3, 1, 15):
        scores = (factor**back)[:, None] * weights
        listed.update(np.argsort(-scores.sum(axis=0))[:8].tolist())
    kept = sorted(listed)
    return {
        "events": names[history.items].tolist(),
        "items": names[kept].tolist(),
        "weights": weights[:, kept].round(5).tolist(),
    }


def sampling(n_tokens: int = 150) -> dict[str, Any]:
    """Return the highest logits of bazaar-gpt after three prompts, and the share they leave out."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = find_model("bazaar-gpt")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    prompts = []
    for what in ("a product", "an article", "a video"):
        text = PROMPT.format(what=what)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        with torch.no_grad():
            logits = model(ids).logits[0, -1]
        best = logits.topk(n_tokens)
        prompts.append(
            {
                "text": text.replace("[BOS][USER]", "").replace("[EVENT]", " · "),
                "tokens": [tokenizer.decode([index]) for index in best.indices.tolist()],
                "logits": (best.values - best.values[0]).numpy().round(3).tolist(),
                "left_out": round(1 - logits.softmax(0)[best.indices].sum().item(), 4),
            }
        )
    return {"prompts": prompts}


def smoothing(dataset: Dataset) -> dict[str, Any]:
    """Return counts of words after three contexts in the English reviews."""
    texts = ReviewSource(dataset, "en", 2000).reviews["text"]
    sentences = [text.lower().replace(".", " .").replace(",", " ,").split() for text in texts]
    model = NGram(2, "maximum-likelihood").fit(sentences, progress=False)
    words = [word for word in model.vocabulary if word.isalpha()]
    words.sort(key=lambda word: -model.count([word]))
    contexts = []
    for context in words[:3]:
        after = sorted(words, key=lambda word, before=context: -model.count([before, word]))
        unseen = [word for word in words if not model.count([context, word])]
        shown = [*after[:8], *unseen[:4]]
        counts = [round(model.count([context, word])) for word in shown]
        contexts.append(
            {
                "context": context,
                "words": shown,
                "counts": counts,
                "total": round(counts[0] / model.prob(shown[0], [context])),
                "unigram": [round(model.prob(word), 6) for word in shown],
            }
        )
    return {"vocabulary": len(model.vocabulary), "contexts": contexts}


def attention(dataset: Dataset, split: Split) -> dict[str, Any]:
    """Return attention weights of a SASRec with two blocks of two heads on one history."""
    names = titles(dataset, split)
    model = SASRec(n_heads=2, max_length=50, epochs=4, lr=0.003, patience=None, seed=0)
    model.fit(split.train, progress=False)
    history = split.test.histories[[a_person(split, names, length=12)]]
    maps = model.attention_maps(history)[0]
    return {"events": names[history.items].tolist(), "weights": maps.round(4).tolist()}


def privacy(dataset: Dataset, split: Split) -> dict[str, Any]:
    """Return how many people took each of twelve items."""
    names = titles(dataset, split)
    pairs = np.unique(np.stack([split.train.users, split.train.items]), axis=1)
    takers = np.bincount(pairs[1], minlength=len(names))
    order = np.argsort(-takers, kind="stable")
    chosen = order[np.linspace(0, len(order) // 2, 10).astype(int)]
    return {"items": names[chosen].tolist(), "counts": takers[chosen].tolist()}


def main() -> None:
    """Write one file for each experiment."""
    dataset = load_dataset("bazaar")
    split = leave_one_out(dataset)
    FOLDER.mkdir(exist_ok=True)
    data = {
        "decay": decay(dataset, split),
        "sampling": sampling(),
        "smoothing": smoothing(dataset),
        "attention": attention(dataset, split),
        "privacy": privacy(dataset, split),
    }
    for name, values in data.items():
        text = json.dumps(values, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(f"{name}: {len(text):,} characters")


if __name__ == "__main__":
    main()
