"""The library: texts that state the rules of a bazaar in words, in English and Chinese.

It stands for the general text that a large language model has read. It is written from the rules
of the simulator (``rules``), never from a log: no user, no event, and no popularity or quality of
an item enters it. It is nevertheless the simulator's answer key, so a result with the library
belongs beside the result with ``shuffled=True``, the same sentences about wrong pairs of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from m6rec_lite.data.bazaar.dials import Dials
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES
from m6rec_lite.data.bazaar.phrases import fix_grammar
from m6rec_lite.data.bazaar.rules import LIBRARY, Rule, rules_of, wrong_rules
from m6rec_lite.data.bazaar.world import World

HELD_OUT_SHARE = 0.1  #: of the groups of rules, those that are also stated in a held-out phrasing
_STREAM = 113  #: number of the library's random generators; see ``world.draw_world``


@dataclass(frozen=True)
class LibraryText:
    """A text of the library.

    Attributes:
        text: one sentence.
        rules: the rules that it states, one in each clause.
        locale: ``"en"`` or ``"zh"``.
        held_out: whether the text is for measuring perplexity. Its rules are stated by training
            texts too, in other phrasings.
    """

    text: str
    rules: tuple[Rule, ...]
    locale: str
    held_out: bool


def library_rules(source: World | Dials, *, shuffled: bool = False, seed: int = 0) -> list[Rule]:
    """Return the rules that ``library`` states for the same arguments.

    Raises:
        TypeError: if the source is no world and no parameters of one.
    """
    dials = _dials(source)
    rng = np.random.default_rng([dials.seed, _STREAM, seed, 0])
    stated = []
    for rules in rules_of(dials).values():
        stated += wrong_rules(rules, rng) if shuffled else rules.rules
    return stated


def library(source: World | Dials, *, shuffled: bool = False, seed: int = 0) -> list[LibraryText]:
    """Write the library of a world.

    Every rule is stated by at least one training text in each of its languages. The library depends
    on the parameters ``seed``, ``items`` and ``chinese``, and on whether an effect is off: rules of
    an effect that is off are not stated. The shoppers and their number do not matter.

    Args:
        source: a world, such as ``dataset.oracle.world``, or its parameters.
        shuffled: exchange the objects of the rules, so that the same sentences state wrong pairs.
            A rule is the same wrong one in all its texts.
        seed: seed of the phrasings and of the exchange.

    Returns:
        The texts, by kind of rule; about 4,000 for a world of 900 items.

    Raises:
        TypeError: if the source is no world and no parameters of one.
    """
    dials = _dials(source)
    stated = library_rules(dials, shuffled=shuffled, seed=seed)
    rng = np.random.default_rng([dials.seed, _STREAM, seed, 1])
    texts: list[LibraryText] = []
    for kind in dict.fromkeys(rule.kind for rule in stated):
        for locale in range(len(LOCALES)):
            rules = [rule for rule in stated if rule.kind == kind and locale in rule.locales]
            texts += _write(kind, rules, locale, rng)
    return texts


def _dials(source: World | Dials) -> Dials:
    if isinstance(source, World):
        return source.dials
    if isinstance(source, Dials):
        return source
    raise TypeError(
        f"wanted a world or its parameters (dataset.oracle.world, or bazaar.Dials(...)), got a "
        f"{type(source).__name__}"
    )


def _write(
    kind: str, rules: Sequence[Rule], locale: int, rng: np.random.Generator
) -> list[LibraryText]:
    """Write all rules of a kind in one language, a few rules a text."""
    form = LIBRARY["kinds"][kind]
    phrasings, code = form[LOCALES[locale]], LOCALES[locale]
    order = rng.permutation(len(rules))
    texts = []
    for start in range(0, len(rules), form["per_text"]):
        group = tuple(rules[i] for i in order[start : start + form["per_text"]])
        drawn = [phrasings[i] for i in rng.permutation(len(phrasings))]
        n_train = form["statements"]
        n_drawn = n_train + (rng.random() < HELD_OUT_SHARE)
        texts += [
            LibraryText(_sentence(phrasing, group, locale), group, code, held_out=i >= n_train)
            for i, phrasing in enumerate(drawn[:n_drawn])
        ]
    return texts


def _sentence(phrasing: str, rules: Sequence[Rule], locale: int) -> str:
    """Return a sentence with one clause for each rule."""
    clauses = []
    for rule in rules:
        slots = {"s": rule.subject[locale], "o": rule.object[locale]}
        if rule.domains:
            first, last = (LIBRARY["domains"][DOMAINS[d]][locale] for d in
                           (rule.domains[0], rule.domains[-1]))  # fmt: skip
            slots |= {"D": first, "E": last}
        clauses.append(phrasing.format_map(slots))
    text = ("; ", "；")[locale].join(clauses) + (".", "。")[locale]
    return fix_grammar(text, locale)
