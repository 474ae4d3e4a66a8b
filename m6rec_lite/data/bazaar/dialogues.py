"""Short dialogues between a shopper and the platform that end with a recommended item."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES, ItemLatents
from m6rec_lite.data.bazaar.phrases import PHRASES, fix_grammar, interest_slots, manner_slots, pick

SPEAKERS: tuple[str, str] = ("USER", "SYSTEM")
QUESTIONS: tuple[str, ...] = ("level", "style", "interest")


def write_dialogues(
    latents: ItemLatents,
    items_table: pd.DataFrame,
    item: np.ndarray,
    locale: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Write dialogues of 3 to 6 turns whose last turn recommends an item.

    Speakers alternate and the system has the last turn, so a dialogue with an odd number of turns
    opens with the system's greeting. The system asks about level, style or interest; the answers
    describe the item.

    Args:
        latents: hidden attributes of the items.
        items_table: output of ``write_items``, of which ``title`` and ``creator`` are read.
        item: ``(n,)`` indices into ``latents``: the item recommended in each dialogue.
        locale: ``(n,)`` indices into ``LOCALES``: the language of each dialogue; titles keep the
            language of the item.
        rng: source of randomness.

    Returns:
        One row per turn: ``dialogue_id`` (from 1), ``turn`` (from 0), ``speaker``, ``text``, and
        ``item_id``, the item's index in the last turn and missing in all others.
    """
    titles, creators = items_table["title"].tolist(), items_table["creator"].tolist()
    draws = rng.random((len(item), 20))
    rows: list[tuple[int, int, str, str, int | None]] = []
    for number, (index, code) in enumerate(
        zip(np.asarray(item).tolist(), np.asarray(locale).tolist(), strict=True)
    ):
        draw = draws[number].tolist()
        domain, interest = int(latents.domain[index]), int(latents.interest[index])
        table = PHRASES["dialogues"][LOCALES[code]]
        slots = interest_slots(domain, interest, code, draw)
        slots |= manner_slots(int(latents.style[index]), int(latents.level[index]), code, draw[2:])
        slots |= {"want": table["want"][DOMAINS[domain]], "W": creators[index]}
        lines = [fix_grammar(line.format_map(slots), code) for line in _lines(table, draw[5:])]
        close = pick(table["close"], draw[19])
        lines.append(close.format(title=titles[index], W=creators[index]))
        first = len(lines) % 2  # the system speaks last
        rows += [
            (number + 1, turn, SPEAKERS[(turn + first) % 2], line,
             index if turn == len(lines) - 1 else None)
            for turn, line in enumerate(lines)
        ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["dialogue_id", "turn", "speaker", "text", "item_id"])
    return frame.astype({"item_id": "Int64"})


def _lines(table: dict[str, Any], draw: list[float]) -> list[str]:
    """Return the templates of all turns but the last."""
    length = 3 + int(draw[0] * 4)
    if length == 3:
        return [pick(table["hello_all"], draw[1]), pick(table["all"], draw[2])]
    lines = [pick(table["hello"], draw[1])] if length == 5 else []
    lines.append(pick(table["open"], draw[2]))
    first = int(draw[3] * len(QUESTIONS))
    chosen = [first] if length < 6 else [first, (first + 1 + int(draw[4] * 2)) % len(QUESTIONS)]
    for turn, question in enumerate(chosen):
        entry = table[QUESTIONS[question]]
        lines += [pick(entry["ask"], draw[5 + turn]), pick(entry["answer"], draw[7 + turn])]
    return lines
