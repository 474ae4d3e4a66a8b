"""Right answers to ``mask_tokens``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.mask_tokens import IGNORED, MASK, _hide


def _one_by_one(ids, special, luck, fate, other) -> tuple[list[int], list[int]]:
    read, targets = [], []
    for token, mark, lot, way, chance in zip(ids, special, luck, fate, other, strict=True):
        chosen = lot < 0.15 and not mark
        targets.append(int(token) if chosen else IGNORED)
        if chosen and way < 0.8:
            read.append(MASK)
        else:
            read.append(int(chance) if chosen and way < 0.9 else int(token))
    return read, targets


CORRECT = (_hide, _one_by_one)

EQUIVALENT = {
    "read = np.where(chosen & (fate <= 0.8), MASK, ids)": (
        "the next line replaces what 0.8 itself gives"
    ),
}
