"""Templates of sentences, the words that fill their slots, and corrections of grammar.

Templates are data (``phrases.json``). Their slots:

    {N}, {M}        names of the first and second interest       {K}   kind
    {A}, {A2}, {C}  shared words of the first, second interest   {S}   style, an adjective
    {B}, {B2}, {B3} words of the interest in this domain only    {L}   level, an adjective
    {W}             creator                                      {P}   people of that level
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import resources
from itertools import permutations
from typing import Any

import numpy as np

from m6rec_lite.data.bazaar import words

PHRASES: dict[str, Any] = json.loads(
    resources.files("m6rec_lite.data.bazaar").joinpath("phrases.json").read_text(encoding="utf-8")
)

_PAIRS = list(permutations(range(5), 2))
_TRIPLES = list(permutations(range(6), 3))
_SMALL = frozenset(
    "a an and at between beyond by for from in its of on or over the to with".split()  # noqa: SIM905
)
_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?=(?!uni|use|one|eu)[aeiou])", re.IGNORECASE)
_SENTENCE_START = re.compile(r"(^|[.!?] )([a-z])")
_LATIN_THEN_HAN = re.compile(r"([A-Za-z0-9])(?=[\u4e00-\u9fff])")
_HAN_THEN_LATIN = re.compile(r"([\u4e00-\u9fff])(?=[A-Za-z0-9])")


def pick(options: Sequence[Any], draw: float) -> Any:
    """Return one of the options, chosen by ``draw``, a number in [0, 1)."""
    return options[int(draw * len(options))]


def interest_slots(
    domain: int, interest: int, locale: int, draws: np.ndarray | Sequence[float]
) -> dict[str, str]:
    """Return the slots of an interest in a domain: N, A, A2, B, B2 and B3, from two draws."""
    entry = words.INTERESTS[interest]
    shared, own = entry.shared, entry.own[domain]
    first, other = pick(_PAIRS, draws[0])
    one, two, three = pick(_TRIPLES, draws[1])
    return {
        "N": entry.label[locale],
        "A": shared[first][locale],
        "A2": shared[other][locale],
        "B": own[one][locale],
        "B2": own[two][locale],
        "B3": own[three][locale],
    }


def manner_slots(
    style: int, level: int, locale: int, draws: np.ndarray | Sequence[float]
) -> dict[str, str]:
    """Return the slots S, L and P of a style and a level, from three draws; none for a -1."""
    slots = {}
    if style >= 0:
        slots["S"] = pick(words.STYLE_WORDS[style], draws[0])[locale]
    if level >= 0:
        slots["L"] = pick(words.LEVEL_WORDS[level], draws[1])[locale]
        slots["P"] = pick(words.LEVEL_PEOPLE[level], draws[2])[locale]
    return slots


def title_case(text: str) -> str:
    """Return text in the capitals of an English title: short words are lower case unless first.

    >>> title_case("dew over the garden: a cosy EP")
    'Dew over the Garden: A Cosy EP'
    """
    titled, first = [], True
    for word in text.split(" "):
        bare = word.strip("(),:“”|")
        if first or bare not in _SMALL:
            parts = [p if p.strip("(),:") in _SMALL else _capital(p) for p in word.split("-")]
            word = _capital("-".join(parts))
        titled.append(word)
        first = word.endswith(":")
    return " ".join(titled)


def _capital(word: str) -> str:
    for index, letter in enumerate(word):
        if letter.isalpha():
            return word[:index] + letter.upper() + word[index + 1 :]
    return word


def fix_grammar(text: str, locale: int) -> str:
    """Correct a filled template: "an" before a vowel, spaces between scripts, capitals."""
    if locale == 1:
        return _HAN_THEN_LATIN.sub(r"\1 ", _LATIN_THEN_HAN.sub(r"\1 ", text))
    text = _BEFORE_VOWEL.sub(r"\1n ", text)
    return _SENTENCE_START.sub(lambda match: match[1] + match[2].upper(), text)
