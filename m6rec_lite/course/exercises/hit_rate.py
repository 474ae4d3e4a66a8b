"""Exercise ``hit_rate``: an evaluation that flatters."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _one_user(rank: int, n_items: int, n_seen: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of one user whose target has ``rank`` among the unseen; seen items score highest."""
    scores = -np.arange(n_items, dtype=float)[None]
    seen = (np.arange(n_items) < n_seen)[None]
    return scores, seen, np.array([n_seen + rank - 1])


def _stack(*users: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(parts) for parts in zip(*users, strict=True))


def _full_hits(
    scores: np.ndarray, seen: np.ndarray, targets: np.ndarray, k: int = 10, edge: int = 0
) -> float:
    target_scores = scores[np.arange(len(targets)), targets][:, None]
    return float(np.mean(((scores > target_scores) & ~seen).sum(axis=1) < k + edge))


def _sampled_hits(
    scores: np.ndarray, seen: np.ndarray, targets: np.ndarray, k: int = 10, sample: int = 100
) -> float:
    rng = np.random.default_rng(0)
    hits = []
    for row, taken, target in zip(scores, seen, targets, strict=True):
        pool = np.flatnonzero(~taken & (np.arange(len(row)) != target))
        negatives = rng.choice(pool, size=min(sample, len(pool)), replace=False)
        hits.append((row[negatives] > row[target]).sum() < k)
    return float(np.mean(hits))


EXERCISE = Exercise(
    id="hit_rate",
    title="An evaluation that flatters",
    cases=(
        Case(args=(*_one_user(3, 1000, 0), 10), expected=1.0, note="the target ranks 3 of 1,000"),
        Case(args=(*_one_user(20, 1000, 0), 10), expected=0.0, note="the target ranks 20 of 1,000"),
        Case(
            args=(*_one_user(10, 1000, 15), 10),
            expected=1.0,
            note="15 seen items score higher, and 9 unseen ones",
        ),
        Case(args=(*_one_user(11, 1000, 0), 10), expected=0.0, note="the target ranks 11 of 1,000"),
        Case(
            args=(*_stack(*(_one_user(r, 1000, 5) for r in (1, 2, 6, 30))), 5),
            expected=0.5,
            note="four users whose targets rank 1, 2, 6 and 30; k is 5",
        ),
        Case(args=(*_one_user(20, 9000, 0), 10), expected=0.0, note="the target ranks 20 of 9,000"),
    ),
    known_wrong=(
        KnownWrong(
            _sampled_hits,
            "This still ranks the target among 100 sampled items: rank 20 of 1,000 becomes rank 3 "
            "of 101. Compare the target with every unseen item.",
        ),
        KnownWrong(
            lambda scores, seen, targets, k=10: _sampled_hits(scores, seen, targets, k, 1000),
            "This still ranks the target among a sample, only a larger one: of 9,000 items most "
            "are left out. Compare the target with every unseen item.",
        ),
        KnownWrong(
            lambda scores, seen, targets, k=10: _full_hits(scores, np.zeros_like(seen), targets, k),
            "Items that the user has seen stand in the target's way. They are not recommended, so "
            "take them out of the ranking (score -inf).",
        ),
        KnownWrong(
            lambda scores, seen, targets, k=10: _full_hits(scores, seen, targets, k, edge=1),
            "Off by one: with 10 items above it the target ranks 11, outside of the first 10.",
        ),
        KnownWrong(
            lambda scores, seen, targets, k=10: _full_hits(scores, seen, targets, k) * len(targets),
            "That counts the hits; the hit rate is the share of users: divide by their number.",
        ),
    ),
    hints=(
        "How many items does the target compete with in the flattering function? How many are "
        "there?",
        "The rank of the target is 1 plus the number of unseen items that score higher.",
        "np.where(seen, -np.inf, scores) takes the seen items out; then compare with the target's "
        "score and count along axis 1.",
    ),
    notice="The random model falls to k divided by the number of unseen items, as it must. The "
    "shortcut overstated it by a factor of about (unseen items) / 101, and a good model by less: "
    "one way for orders to turn.",
)
