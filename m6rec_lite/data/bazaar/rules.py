"""The rules of a bazaar, as pairs of words: what is near, what goes with what, what means what.

The rules are read from the vocabulary (``words``), the constants of ``choice``, and the draw of the
catalogue's rules (``world.draw_catalogue_rules``). No item, no shopper and no event enters them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from itertools import combinations, groupby, pairwise, permutations, product
from json import loads
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.choice import WEEKDAY
from m6rec_lite.data.bazaar.dials import Dials
from m6rec_lite.data.bazaar.latents import DOMAINS
from m6rec_lite.data.bazaar.words import INTERESTS, Word
from m6rec_lite.data.bazaar.world import (
    AGES,
    N_INTERESTS,
    N_KINDS,
    draw_catalogue_rules,
    tastes_of_ages,
)

#: Phrasings of each kind of rule in each language, and words that only the library uses.
LIBRARY: dict[str, Any] = loads(
    resources.files("m6rec_lite.data.bazaar").joinpath("library.json").read_text(encoding="utf-8")
)
LONGEST_SERIES = 4
FAVOURITES = 4  #: interests that are stated for each age band


@dataclass(frozen=True)
class Rule:
    """A statement about a pair of words.

    Attributes:
        kind: name of the kind, a key of ``LIBRARY["kinds"]``.
        subject: a word in each language.
        object: the word that the rule connects with it, in each language.
        domains: indices into ``DOMAINS`` of the subject and of the object; empty if the rule holds
            in all domains.
        locales: indices into ``LOCALES`` of the languages in which the rule is stated.
    """

    kind: str
    subject: Word
    object: Word
    domains: tuple[int, ...] = ()
    locales: tuple[int, ...] = (0, 1)


@dataclass(frozen=True, eq=False)
class RuleSet:
    """All rules of one kind.

    Attributes:
        rules: the rules that the library states.
        also_true: further pairs of subject and object that are true, or that say nothing; a wrong
            rule must not be one of them.
    """

    rules: list[Rule]
    also_true: set[tuple[Word, Word]] = field(default_factory=set)

    @cached_property
    def true_pairs(self) -> set[tuple[Word, Word]]:
        """All pairs of a subject and an object that no wrong rule may state."""
        return self.also_true | {(rule.subject, rule.object) for rule in self.rules}


def rules_of(dials: Dials) -> dict[str, RuleSet]:
    """Return the rules of a world, by kind; those of an effect that is off are left out."""
    sets = {kind: build(dials) for kind, build in _BUILDERS.items() if kind not in _off(dials)}
    return {kind: rules for kind, rules in sets.items() if rules.rules}


def wrong_rules(true: RuleSet, rng: np.random.Generator) -> list[Rule]:
    """Return rules with their objects exchanged at random, so that each states a wrong pair.

    Objects are exchanged among rules of the same domains, by an assignment of minimum cost, whose
    costs are random and high for true pairs. Where every exchange keeps some true pairs, those
    rules take a wrong object of another rule. The rules keep their order, subjects, domains and
    languages.
    """
    wrong: dict[int, Rule] = {}
    numbered = sorted(enumerate(true.rules), key=lambda entry: entry[1].domains)
    for _, entries in groupby(numbered, key=lambda entry: entry[1].domains):
        numbers, rules = zip(*entries, strict=True)
        n = len(rules)
        objects = [rule.object for rule in rules]
        is_true = np.array(
            [[(rule.subject, other) in true.true_pairs for other in objects] for rule in rules]
        )
        _, chosen = linear_sum_assignment(rng.random((n, n)) + n * is_true)
        for row, column in enumerate(chosen.tolist()):
            if is_true[row, column] and not is_true[row].all():
                column = int(rng.choice(np.flatnonzero(~is_true[row])))
            wrong[numbers[row]] = replace(rules[row], object=objects[column])
    return [wrong[number] for number in range(len(true.rules))]


def _off(dials: Dials) -> set[str]:
    """Return the kinds of rules that do not hold because their effect is off."""
    effects: dict[str, tuple[bool, tuple[str, ...]]] = {
        "complements": (dials.complements == 0, ("complement",)),
        "season": (dials.season == 0, ("season", "off_season")),
        "weather": (dials.weather == 0, ("good_weather", "bad_weather")),
        "weekday": (dials.weekday == 0, ("weekday",)),
        "series": (dials.series == 0, ("series",)),
        "style": (dials.style == 1, ("style",)),
        "level": (dials.level == 1, ("level",)),
    }
    return {kind for is_off, kinds in effects.values() if is_off for kind in kinds}


def _near(dials: Dials) -> RuleSet:
    """An item of the subject may also belong to the object, its second interest."""
    related = draw_catalogue_rules(dials).related
    rules = [
        Rule("near", INTERESTS[one].label, INTERESTS[other].label)
        for one, row in enumerate(related)
        for other in row
        if one != other
    ]
    reverse = {(rule.object, rule.subject) for rule in rules}
    return RuleSet(rules, reverse | {(interest.label, interest.label) for interest in INTERESTS})


def _complement(dials: Dials) -> RuleSet:
    """The object is the kind that complements the subject."""
    rules = []
    for domain in range(len(DOMAINS)):
        tables = [words.kind_words(domain, interest) for interest in range(N_INTERESTS)]
        for kinds in dict.fromkeys(tables):
            rules += [
                Rule("complement", kinds[k], kinds[(k + 1) % N_KINDS], (domain,))
                for k in range(N_KINDS)
            ]
    also = {(rule.object, rule.subject) for rule in rules}
    return RuleSet(rules, also | {(rule.subject, rule.subject) for rule in rules})


def _product(dials: Dials) -> RuleSet:
    """The shop's product belongs to the interest."""
    shop = (DOMAINS.index("shop"),)
    return RuleSet(
        [Rule("product", word, each.label, shop) for each in INTERESTS for word in each.products]
    )


def _word(dials: Dials) -> RuleSet:
    """The word, used in all domains, belongs to the interest."""
    return RuleSet([Rule("word", word, each.label) for each in INTERESTS for word in each.shared])


def _domain_word(dials: Dials) -> RuleSet:
    """The word belongs to the interest and is used in one domain only."""
    return RuleSet(
        [
            Rule("domain_word", word, each.label, (domain,))
            for each in INTERESTS
            for domain, own in enumerate(each.own)
            for word in own
        ]
    )


def _same_interest(dials: Dials) -> RuleSet:
    """Two words of different domains belong to one interest; each word is in two rules."""
    rules, true = [], set()
    for each in INTERESTS:
        for domain, own in enumerate(each.own):
            other = (domain + 1) % len(DOMAINS)
            rules += [
                Rule("same_interest", one, two, (domain, other))
                for one, two in zip(own, each.own[other], strict=True)
            ]
            true |= set(product(own, each.own[other]))
    return RuleSet(rules, true)


def _translation(dials: Dials) -> RuleSet:
    """The English word and the Chinese word mean the same."""
    vocabulary: dict[Word, tuple[int, ...]] = {}
    for each in INTERESTS:
        vocabulary |= dict.fromkeys((each.label, *each.shared, *each.products), ())
        for domain, own in enumerate(each.own):
            vocabulary |= dict.fromkeys(own, (domain,))
    for domain in range(1, len(DOMAINS)):
        vocabulary |= dict.fromkeys(words.kind_words(domain, 0), ())
    for table in (*words.STYLE_WORDS, *words.LEVEL_WORDS, *words.LEVEL_PEOPLE):
        vocabulary |= dict.fromkeys(table, ())
    return RuleSet(
        [
            Rule("translation", (english, english), (chinese, chinese), domains)
            for (english, chinese), domains in vocabulary.items()
        ]
    )


def _in_season(kind: str, sign: int) -> RuleSet:
    """State the month in which an interest has the most (``sign`` 1) or least (-1) demand."""
    months = [tuple(month) for month in LIBRARY["months"]]
    rules, true = [], set()
    for interest, factors in zip(INTERESTS, words.SEASON, strict=True):
        rules.append(Rule(kind, interest.label, months[int((sign * factors).argmax())]))
        alike = np.flatnonzero(sign * (factors - 1) > 0)
        true |= {(interest.label, months[month]) for month in alike}
    return RuleSet(rules, true)


def _in_weather(kind: str, sign: int) -> RuleSet:
    """State the weather in which an interest has more (``sign`` 1) or less (-1) demand."""
    return RuleSet(
        [
            Rule(kind, interest.label, tuple(LIBRARY["weather"][condition]))
            for interest, factors in zip(INTERESTS, words.WEATHER, strict=True)
            for condition, factor in zip(words.CONDITIONS, factors, strict=True)
            if sign * (factor - 1) > 0
        ]
    )


def _weekday(dials: Dials) -> RuleSet:
    """The domain has more demand on that day of the week."""
    return RuleSet(
        [
            Rule("weekday", tuple(LIBRARY["domains"][DOMAINS[domain]]), tuple(day))
            for day, factors in zip(LIBRARY["weekdays"], WEEKDAY, strict=True)
            for domain in np.flatnonzero(factors > 1)
        ]
    )


def _age(dials: Dials) -> RuleSet:
    """The interest is among the favourites of an age band."""
    rules, true = [], set()
    for age, odds in zip(AGES, tastes_of_ages(), strict=True):
        english, chinese = (text.format(age=age) for text in LIBRARY["age"])
        order = np.argsort(-odds)
        people = (english, chinese)
        rules += [Rule("age", people, INTERESTS[i].label) for i in order[:FAVOURITES]]
        true |= {(people, INTERESTS[i].label) for i in order[: N_INTERESTS // 2]}
    return RuleSet(rules, true)


def _style(dials: Dials) -> RuleSet:
    """Both words name one style, and a shopper has one style in all domains."""
    rules = [Rule("style", *pair) for table in words.STYLE_WORDS for pair in combinations(table, 2)]
    true = {pair for table in words.STYLE_WORDS for pair in permutations(table, 2)}
    return RuleSet(rules, true | {(word, word) for table in words.STYLE_WORDS for word in table})


def _level(dials: Dials) -> RuleSet:
    """People and adjective name one level."""
    tables = zip(words.LEVEL_PEOPLE, words.LEVEL_WORDS, strict=True)
    return RuleSet(
        [
            Rule("level", people, adjective)
            for many, adjectives in tables
            for people, adjective in product(many, adjectives)
        ]
    )


def _series(dials: Dials) -> RuleSet:
    """The object is the part of a series that follows the subject; the shop has no series."""
    parts = LIBRARY["part"]
    rules, true = [], set()
    for domain, name in enumerate(DOMAINS):
        if name not in parts["zh"]:
            continue
        numbered = [
            (parts["en"].format(n=n), parts["zh"][name].format(n=n))
            for n in range(1, LONGEST_SERIES + 1)
        ]
        rules += [Rule("series", one, two, (domain,)) for one, two in pairwise(numbered)]
        true |= {(part, part) for part in numbered}
    return RuleSet(rules, true)


def _creator(kind: str, name_of: Callable[[int, int, int], Word]) -> Callable[[Dials], RuleSet]:
    """Return a builder of rules on creators: ``name_of(interest, style, level)`` is the object."""

    def build(dials: Dials) -> RuleSet:
        drawn = draw_catalogue_rules(dials)
        columns = (drawn.cell, drawn.locale, drawn.style, drawn.level)
        rules = []
        for creator, row in enumerate(np.stack(columns, axis=1).tolist()):
            cell, locale, style, level = row
            domain, interest = divmod(cell, N_INTERESTS)
            name = words.creator_name(domain, creator)
            found = name_of(interest, style, level)
            rules.append(Rule(kind, (name, name), found, (domain,), (locale,)))
        return RuleSet(rules)

    return build


_BUILDERS: dict[str, Callable[[Dials], RuleSet]] = {
    "near": _near,
    "complement": _complement,
    "product": _product,
    "word": _word,
    "domain_word": _domain_word,
    "same_interest": _same_interest,
    "translation": _translation,
    "season": lambda dials: _in_season("season", 1),
    "off_season": lambda dials: _in_season("off_season", -1),
    "good_weather": lambda dials: _in_weather("good_weather", 1),
    "bad_weather": lambda dials: _in_weather("bad_weather", -1),
    "weekday": _weekday,
    "age": _age,
    "style": _style,
    "level": _level,
    "series": _series,
    "creator_interest": _creator("creator_interest", lambda i, s, v: INTERESTS[i].label),
    "creator_style": _creator("creator_style", lambda i, s, v: words.STYLE_WORDS[s][0]),
    "creator_level": _creator("creator_level", lambda i, s, v: words.LEVEL_PEOPLE[v][0]),
}
