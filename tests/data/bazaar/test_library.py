"""The library: every rule of the world is stated in words, and nothing of a log."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from m6rec_lite.data import bazaar
from m6rec_lite.data.bazaar import Dials, LibraryText, Rule, words
from m6rec_lite.data.bazaar.choice import WEEKDAY
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES
from m6rec_lite.data.bazaar.rules import LIBRARY
from m6rec_lite.data.bazaar.world import draw_world
from tests.worlds import shipped

HAN = re.compile(r"[\u4e00-\u9fff]")
LABELS = {interest.label: i for i, interest in enumerate(words.INTERESTS)}


@pytest.fixture(scope="module")
def texts() -> list[LibraryText]:
    return bazaar.library(shipped().oracle.world)


@pytest.fixture(scope="module")
def shuffled() -> list[LibraryText]:
    return bazaar.library(shipped().oracle.world, shuffled=True)


def squeezed(text: str) -> str:
    return text.lower().replace(" ", "")


# --- what is stated


def test_every_rule_is_stated_by_a_training_text_in_its_languages(texts):
    stated = {(rule, each.locale) for each in texts if not each.held_out for rule in each.rules}
    rules = bazaar.library_rules(shipped().oracle.world)
    assert len(set(rules)) == len(rules)
    assert {rule.kind for rule in rules} == set(LIBRARY["kinds"])
    assert stated == {(rule, LOCALES[locale]) for rule in rules for locale in rule.locales}


def test_a_text_contains_the_words_of_its_rules_in_its_language(texts, shuffled):
    for each in [*texts, *shuffled]:
        locale = LOCALES.index(each.locale)
        for rule in each.rules:
            assert squeezed(rule.subject[locale]) in squeezed(each.text), each
            assert squeezed(rule.object[locale]) in squeezed(each.text), each


def test_texts_are_sentences_of_their_language(texts):
    assert 1000 < len(texts) < 5000
    assert min(Counter(each.locale for each in texts).values()) > 0.4 * len(texts)
    for each in texts:
        assert not re.search(r"[{}]|\s\s|None", each.text)
        if each.locale == "en":
            assert not HAN.search(each.text) or each.rules[0].kind == "translation"
            assert re.fullmatch(r"[^a-z].*\.", each.text), each.text
            assert not re.search(r"\b[Aa] [aeio]", each.text), each.text
        else:
            assert HAN.search(each.text)
            assert each.text.endswith("。")


def test_held_out_texts_state_known_rules_in_other_words(texts):
    train = {each.text for each in texts if not each.held_out}
    held_out = [each for each in texts if each.held_out]
    assert 0.04 < len(held_out) / len(texts) < 0.12
    known = {(rule, each.locale) for each in texts if not each.held_out for rule in each.rules}
    for each in held_out:
        assert each.text not in train
        assert all((rule, each.locale) in known for rule in each.rules)


# --- the rules are the simulator's


def is_true(rule: Rule) -> bool:
    """Whether a rule holds, read off the vocabulary and the shipped items."""
    items = shipped().oracle.world.items
    subject, object_ = rule.subject, rule.object
    match rule.kind:
        case "near":
            one, other = LABELS[subject], LABELS[object_]
            return one == other or any(
                ((items.interest == a) & (items.second == b)).any()
                for a, b in ((one, other), (other, one))
            )
        case "complement":
            tables = [words.kind_words(rule.domains[0], i) for i in range(len(words.INTERESTS))]
            return any(
                (kinds[k], kinds[(k + 1) % 5]) == (subject, object_)
                for kinds in tables
                for k in range(5)
            )
        case "product":
            return subject in words.INTERESTS[LABELS[object_]].products
        case "word":
            return subject in words.INTERESTS[LABELS[object_]].shared
        case "domain_word":
            return subject in words.INTERESTS[LABELS[object_]].own[rule.domains[0]]
        case "same_interest":
            first, second = rule.domains
            return any(
                subject in each.own[first] and object_ in each.own[second]
                for each in words.INTERESTS
            )
        case "season" | "off_season":
            month = [tuple(month) for month in LIBRARY["months"]].index(object_)
            sign = 1 if rule.kind == "season" else -1
            return sign * (words.SEASON[LABELS[subject], month] - 1) > 0
        case "good_weather" | "bad_weather":
            names = [tuple(LIBRARY["weather"][condition]) for condition in words.CONDITIONS]
            sign = 1 if rule.kind == "good_weather" else -1
            return sign * (words.WEATHER[LABELS[subject], names.index(object_)] - 1) > 0
        case "weekday":
            names = [tuple(LIBRARY["domains"][domain]) for domain in DOMAINS]
            day = [tuple(day) for day in LIBRARY["weekdays"]].index(object_)
            return WEEKDAY[day, names.index(subject)] > 1
        case "style":
            return any({subject, object_} <= set(table) for table in words.STYLE_WORDS)
        case "level":
            levels = zip(words.LEVEL_PEOPLE, words.LEVEL_WORDS, strict=True)
            return any(subject in people and object_ in names for people, names in levels)
        case "series":
            return int(object_[0][-1]) == int(subject[0][-1]) + 1
    raise AssertionError(rule.kind)


CHECKED = {kind for kind in LIBRARY["kinds"] if not kind.startswith("creator")} - {
    "translation",
    "age",
}


def test_every_rule_holds_in_the_simulator():
    rules = bazaar.library_rules(shipped().oracle.world)
    unseen = 0
    for rule in rules:
        if rule.kind in CHECKED and not is_true(rule):
            assert rule.kind == "near", rule  # 900 items need not show every pair
            unseen += 1
    assert unseen < 10


def test_creators_do_what_the_library_says_of_them():
    data = shipped()
    items, table = data.oracle.world.items, data.items
    said = {
        kind: {(rule.domains[0], rule.subject[0]): rule.object for rule in
               bazaar.library_rules(data.oracle.world) if rule.kind == kind}
        for kind in ("creator_interest", "creator_style", "creator_level")
    }  # fmt: skip
    keys = list(zip(items.domain.tolist(), table.creator, strict=True))
    assert all(
        said["creator_interest"][key] == words.INTERESTS[interest].label
        for key, interest in zip(keys, items.interest, strict=True)
    )
    for kind, tables, codes in (
        ("creator_style", words.STYLE_WORDS, items.style),
        ("creator_level", words.LEVEL_PEOPLE, items.level),
    ):
        own = np.mean(
            [said[kind][key] == tables[code][0] for key, code in zip(keys, codes, strict=True)]
        )
        assert 0.5 < own < 0.7  # 0.6 in the simulator


def test_seasons_and_favourites_are_the_strongest(texts):
    rules = bazaar.library_rules(Dials())
    skiing = next(r for r in rules if r.kind == "season" and r.subject[0] == "skiing")
    assert skiing.object == ("January", "一月")
    assert sum(rule.kind == "age" for rule in rules) == 20


# --- wrong rules


def phrasings(text: LibraryText) -> set[str]:
    """The phrasings of which the first clause of a text can be an instance."""
    clause = re.split("[;；]", text.text.rstrip(".。"))[0].lower()
    return {
        phrasing
        for phrasing in LIBRARY["kinds"][text.rules[0].kind][text.locale]
        if re.fullmatch(re.sub(r"\\{\w\\}", ".+", re.escape(squeezed(phrasing))), squeezed(clause))
    }


def test_shuffled_rules_make_the_same_sentences_about_wrong_pairs(texts, shuffled):
    true = {rule for each in texts for rule in each.rules}
    assert len(shuffled) == len(texts)
    for right, wrong in zip(texts, shuffled, strict=True):
        assert (wrong.locale, wrong.held_out) == (right.locale, right.held_out)
        for one, other in zip(right.rules, wrong.rules, strict=True):
            assert replace(other, object=one.object) == one
            assert other not in true
            assert other.kind not in CHECKED or not is_true(other), other
        assert phrasings(right) & phrasings(wrong)


def test_shuffled_rules_use_the_same_words_as_often():
    """But for the few rules that no exchange makes wrong: they take a word that others have."""
    both = [bazaar.library_rules(Dials(), shuffled=shuffled) for shuffled in (False, True)]
    for kind in LIBRARY["kinds"]:
        right, wrong = (Counter(r.object for r in some if r.kind == kind) for some in both)
        assert (right - wrong).total() <= 4
        assert set(wrong) <= set(right)


def test_a_wrong_rule_is_the_same_in_all_its_texts(shuffled):
    objects: dict = {}
    for each in shuffled:
        for rule in each.rules:
            if rule.kind == "domain_word":
                objects.setdefault((rule.subject, rule.domains), set()).add(rule.object)
    assert all(len(found) == 1 for found in objects.values())


# --- what the library depends on


def test_no_log_and_no_shopper_enters(texts):
    """Only parameters of the catalogue matter: not the shoppers, the log, or the popularity."""
    log = {"users": 3, "blocks": 2, "drift": 0.0, "switch": 0.1, "noise": 0.2, "zipf": 0.0}
    log |= {"repeats": 0.0, "revisits": 1.0, "slates": 0.0, "breadth": 3.0, "new_users": 0.5}
    assert bazaar.library(Dials(**log)) == texts
    world = replace(shipped().oracle.world, items=None, shoppers=None, weather=None)
    assert bazaar.library(world) == texts


def test_no_item_is_named(texts):
    titles = [title.lower() for title in shipped().items.title]
    said = "\n".join(each.text.lower() for each in texts)
    assert not any(title in said for title in titles)


def test_the_catalogue_and_the_seed_of_the_texts_matter():
    first, other = (set(bazaar.library_rules(Dials(seed=seed))) for seed in (0, 1))
    for kind in ("near", "creator_style"):
        assert {r for r in first if r.kind == kind} != {r for r in other if r.kind == kind}
    assert {r for r in first if r.kind == "word"} == {r for r in other if r.kind == "word"}
    again, drawn = bazaar.library(Dials()), bazaar.library(Dials(), seed=1)
    assert again == bazaar.library(draw_world(Dials(users=2)))
    assert {each.text for each in again} != {each.text for each in drawn}
    assert bazaar.library_rules(Dials(), seed=1) == bazaar.library_rules(Dials())


@pytest.mark.parametrize(
    ("off", "kinds"),
    [
        ({"complements": 0.0}, {"complement"}),
        ({"season": 0.0}, {"season", "off_season"}),
        ({"weather": 0.0}, {"good_weather", "bad_weather"}),
        ({"weekday": 0.0}, {"weekday"}),
        ({"series": 0.0}, {"series"}),
        ({"style": 1.0}, {"style"}),
        ({"level": 1.0}, {"level"}),
    ],
    ids=lambda given: "-".join(sorted(given)),  # of a set in a fixed order
)
def test_rules_of_an_effect_that_is_off_are_not_stated(off, kinds):
    stated = {rule.kind for rule in bazaar.library_rules(Dials(**off))}
    assert stated == set(LIBRARY["kinds"]) - kinds


def test_a_small_world_has_a_library_too():
    shuffled = bazaar.library(Dials(users=5, items=60), shuffled=True)
    true = set(bazaar.library_rules(Dials(items=60)))
    assert not any(rule in true for each in shuffled for rule in each.rules)


def test_a_library_needs_a_world():
    with pytest.raises(TypeError, match=r"dataset\.oracle\.world.*got a Dataset"):
        bazaar.library(shipped())
