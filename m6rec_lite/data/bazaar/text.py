"""Stand-in for the writer until its author's version lands (overwrite this file)."""

from __future__ import annotations

import pandas as pd

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import LEVELS


def write_items(latents, *, seed):  # noqa: D103, ANN001, ANN201
    rows = []
    for i in range(len(latents.domain)):
        d, g = int(latents.domain[i]), int(latents.interest[i])
        name, kind = words.INTERESTS[g].name, words.kinds(d, g)[latents.kind[i]]
        second = words.INTERESTS[latents.second[i]].name if latents.second[i] >= 0 else ""
        style, level = words.STYLES[latents.style[i]], LEVELS[latents.level[i]]
        part = f" part {latents.part[i]}" if latents.part[i] else ""
        rows.append({
            "title": f"{style} {name} {kind}{part}",
            "description": f"{name} {name}{d} {second} for the {level}, {style}, {kind}",
            "tags": [name, f"{name}{d}", level], "category": f"{name}{d}",
            "creator": f"creator{latents.creator[i]}",
        })  # fmt: skip
    return pd.DataFrame(rows)


def write_reviews(latents, item, rating, aspect, sentiment, locale, rng):  # noqa: D103
    return [f"{words.ASPECTS[a]} {s}" for a, s in zip(aspect, sentiment, strict=True)]


def write_queries(interest, style, level, domain, locale, rng):  # noqa: D103
    return [f"{words.INTERESTS[g].name} {LEVELS[v]}" for g, v in zip(interest, level, strict=True)]


def write_dialogues(latents, items_table, item, locale, rng):  # noqa: D103
    rows = []
    for k, i in enumerate(item):
        rows.append({"dialogue_id": k + 1, "turn": 0, "speaker": "user",
                     "text": "what next?", "item_id": pd.NA})  # fmt: skip
        rows.append({"dialogue_id": k + 1, "turn": 1, "speaker": "system",
                     "text": items_table["title"][i], "item_id": i})  # fmt: skip
    return pd.DataFrame(rows)
