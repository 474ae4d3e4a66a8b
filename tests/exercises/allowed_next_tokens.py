"""Right answers to ``allowed_next_tokens``, written in other ways."""

from __future__ import annotations

from collections.abc import Sequence

from m6rec_lite.course.exercises.allowed_next_tokens import Titles, _follow


def _follow_by_trie(titles: Titles, begun: Sequence[int], end: int) -> list[int]:
    root: dict[int, dict] = {}
    for title in titles:
        node = root
        for token in (*title, end):
            node = node.setdefault(token, {})
    for token in begun:
        if token not in root:
            return []
        root = root[token]
    return sorted(root)


CORRECT = (_follow, _follow_by_trie)
