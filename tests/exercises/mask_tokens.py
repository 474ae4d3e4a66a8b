"""Right answers to ``mask_tokens``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.mask_tokens import IGNORED, MASK, _hide


def _one_by_one(ids, special, luck, fate, other) -> tuple[list[int], list[int]]:
    read, targets = [], []
    for token, mark, lot, way, chance in zip(ids, special, luck, fate, other, strict=True):
        asked = lot < 0.15 and not mark
        targets.append(int(token) if asked else IGNORED)
        if asked and way < 0.8:
            read.append(MASK)
        else:
            read.append(int(chance) if asked and way < 0.9 else int(token))
    return read, targets


CORRECT = (_hide, _one_by_one)
