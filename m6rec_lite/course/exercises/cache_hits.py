"""Exercise ``cache_hits``: a cache that drops what was not used for longest."""

from __future__ import annotations

from collections import OrderedDict

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _hits(requests: list[str], capacity: int) -> int:
    """The right answer: least recently used is dropped."""
    held: OrderedDict[str, None] = OrderedDict()
    hits = 0
    for key in requests:
        hits += key in held
        held[key] = None
        held.move_to_end(key)
        if len(held) > capacity:
            held.popitem(last=False)
    return hits


def _first_in(requests: list[str], capacity: int) -> int:
    held: list[str] = []
    hits = 0
    for key in requests:
        if key in held:
            hits += 1
        else:
            held.append(key)
            held = held[-capacity:]
    return hits


def _full_stays(requests: list[str], capacity: int) -> int:
    held: set[str] = set()
    hits = 0
    for key in requests:
        hits += key in held
        if len(held) < capacity:
            held.add(key)
    return hits


EXERCISE = Exercise(
    id="cache_hits",
    title="Count the hits of a bounded cache",
    cases=(
        Case((list("abab"), 2), 2),
        Case((list("abacab"), 2), 2, note="a was used since b came, so c displaces b"),
        Case((list("abcabc"), 2), 0, note="a cycle longer than the cache"),
        Case((list("aaaa"), 1), 3),
        Case((list("abcdabcd"), 4), 4),
        Case((list("abcdabcd"), 2), 0),
        Case((list("abbca"), 3), 2, note="b twice is one entry, so a is still there"),
        Case((["ab", "cd", "ab"], 2), 1, note="a key may be longer than a letter"),
        Case(([], 3), 0),
    ),
    known_wrong=(
        KnownWrong(
            lambda requests, capacity: len(requests) - len(set(requests)),
            "That is a cache without a bound: it must drop entries beyond its capacity.",
        ),
        KnownWrong(
            _first_in,
            "That drops what *came* first. A hit must make an entry young again.",
        ),
        KnownWrong(
            _full_stays,
            "A full cache takes nothing new here: it must drop an entry instead.",
        ),
        KnownWrong(
            lambda requests, capacity: len(requests) - _hits(requests, capacity),
            "Those are the misses; count the requests that are found.",
        ),
        KnownWrong(
            lambda requests, capacity: _hits(requests, capacity + 1),
            "The cache holds one entry too many: drop when there are more than `capacity`.",
        ),
        KnownWrong(
            lambda requests, capacity: _hits(requests, capacity - 1) if capacity > 1 else 0,
            "The cache holds one entry too few: `capacity` entries fit.",
        ),
        KnownWrong(
            lambda requests, capacity: _hits(requests, capacity) / max(1, len(requests)),
            "That is the share of hits; return their number.",
        ),
    ),
    hints=(
        "An OrderedDict remembers the order; move_to_end makes an entry the youngest.",
        "First look whether the key is there, then make it the youngest, then drop the oldest.",
        "popitem(last=False) drops the oldest entry.",
    ),
    notice="A cycle one longer than the cache never hits: a capacity just below what is needed is "
    "worth nothing for such traffic. Real requests repeat popular items, so the first entries help "
    "most.",
)
