"""Short talks between a shopper and the platform that end in an item."""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES, ItemLatents
from m6rec_lite.data.bazaar.phrases import PHRASES, interest_slots, manner_slots, mend, pick

SPEAKERS: tuple[str, str] = ("USER", "SYSTEM")
QUESTIONS: tuple[str, ...] = ("level", "style", "interest")


def write_dialogues(
    latents: ItemLatents,
    items_table: pd.DataFrame,
    item: np.ndarray,
    locale: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Talks of 3 to 6 turns; speakers alternate and the last turn, the system's, names the item.

    Talks of an odd number of turns open with the system's greeting. The system asks about level,
    style or interest; the shopper's answers are true of the item.

    Args:
        latents: of the items.
        items_table: what ``write_items`` gave for them (``title`` and ``creator`` are read).
        item: ``(n,)`` places in ``latents``: what each talk ends in.
        locale: ``(n,)`` places in ``LOCALES``: the language of the talk; titles stay as they are.
        rng: source of randomness.

    Returns:
        one row a turn: ``dialogue_id`` (from 1), ``turn`` (from 0), ``speaker``, ``text``, and
        ``item_id``, the item's place in the last turn and missing in all others.
    """
    titles, creators = items_table["title"].tolist(), items_table["creator"].tolist()
    draws = rng.random((len(item), 20))
    rows: list[tuple[int, int, str, str, int | None]] = []
    for talk, (place, code) in enumerate(
        zip(np.asarray(item).tolist(), np.asarray(locale).tolist(), strict=True)
    ):
        draw = draws[talk].tolist()
        domain, interest = int(latents.domain[place]), int(latents.interest[place])
        table = PHRASES["dialogues"][LOCALES[code]]
        slots = interest_slots(domain, interest, code, draw)
        slots |= manner_slots(int(latents.style[place]), int(latents.level[place]), code, draw[2:])
        slots |= {"want": table["want"][DOMAINS[domain]], "W": creators[place]}
        lines = [mend(line.format_map(slots), code) for line in _lines(table, draw[5:])]
        close = pick(table["close"], draw[19])
        lines.append(close.format(title=titles[place], W=creators[place]))
        first = len(lines) % 2  # the system speaks last
        rows += [
            (talk + 1, turn, SPEAKERS[(turn + first) % 2], line,
             place if turn == len(lines) - 1 else None)
            for turn, line in enumerate(lines)
        ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["dialogue_id", "turn", "speaker", "text", "item_id"])
    return table.astype({"item_id": "Int64"})


def _lines(table: dict, draw: list[float]) -> list[str]:
    """Templates of all turns but the last."""
    length = 3 + int(draw[0] * 4)
    if length == 3:
        return [pick(table["hello_all"], draw[1]), pick(table["all"], draw[2])]
    lines = [pick(table["hello"], draw[1])] if length == 5 else []
    lines.append(pick(table["open"], draw[2]))
    first = int(draw[3] * len(QUESTIONS))
    asked = [first] if length < 6 else [first, (first + 1 + int(draw[4] * 2)) % len(QUESTIONS)]
    for turn, question in enumerate(asked):
        entry = table[QUESTIONS[question]]
        lines += [pick(entry["ask"], draw[5 + turn]), pick(entry["answer"], draw[7 + turn])]
    return lines
