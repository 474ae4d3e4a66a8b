"""The bazaar's vocabulary, and the grammar of filled templates."""

from __future__ import annotations

import re
import tomllib
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES
from m6rec_lite.data.bazaar.phrases import fix_grammar, title_case

HAN = re.compile(r"[\u4e00-\u9fff]")
N_INTERESTS = len(words.INTERESTS)


def test_every_interest_has_words_in_every_domain_and_language():
    assert N_INTERESTS == 24
    for interest in words.INTERESTS:
        assert len(interest.shared) == 5
        assert [len(own) for own in interest.own] == [6] * len(DOMAINS)
        for english, chinese in [interest.label, *interest.shared, *sum(interest.own, ())]:
            assert not HAN.search(english)
            assert HAN.search(chinese)


def test_a_word_belongs_to_one_interest_and_one_place():
    for locale in range(len(LOCALES)):
        seen = [
            word[locale]
            for interest in words.INTERESTS
            for word in (*interest.shared, *interest.products, *sum(interest.own, ()))
        ]
        assert len(seen) == len(set(seen))


def test_shared_words_hide_in_no_domain_word():
    shared = {word[0] for interest in words.INTERESTS for word in interest.shared}
    own = {
        token
        for interest in words.INTERESTS
        for word, _ in sum(interest.own, ())
        for token in re.findall(r"\w+", word.lower())
    }
    assert not shared & own


def test_every_kind_has_chinese_and_a_singular_name():
    for domain, interest in product(range(len(DOMAINS)), range(N_INTERESTS)):
        names = words.kinds(domain, interest)
        assert len(set(names)) == 5
        for english, chinese in words.kind_words(domain, interest):
            assert english in names
            assert HAN.search(chinese)
            assert not re.search(r"[^sia]s$", english), english
    products = [kind for interest in range(N_INTERESTS) for kind in words.kinds(0, interest)]
    assert len(products) == len(set(products))


def test_season_and_weather_move_interests():
    names = [interest.name for interest in words.INTERESTS]
    assert words.SEASON.shape == (N_INTERESTS, 12)
    assert words.WEATHER.shape == (N_INTERESTS, len(words.CONDITIONS))
    assert words.SEASON.min() > 0
    assert words.WEATHER.min() > 0
    np.testing.assert_allclose(words.SEASON.mean(axis=1), 1.0)
    skiing, surfing = words.SEASON[[names.index("skiing"), names.index("surfing")]]
    assert skiing[0] > 2 * skiing[6]
    assert surfing[7] > 2 * surfing[1]
    snow = words.WEATHER[:, words.CONDITIONS.index("snow")]
    assert names[int(snow.argmax())] == "skiing"


def test_cities_speak_every_language_and_have_winters_and_summers():
    names = [city.name for city in words.CITIES]
    assert len(set(names)) == len(names)
    assert {city.locale for city in words.CITIES} == set(range(len(LOCALES)))
    assert all(0 < city.wet < 1 and city.swing > 0 for city in words.CITIES)
    assert min(city.mean - city.swing for city in words.CITIES) < 0  # snow falls somewhere
    assert max(city.mean + city.swing for city in words.CITIES) > 22  # and somewhere it is warm


def test_creators_have_names_of_their_own():
    for domain in range(len(DOMAINS)):
        names = [words.creator_name(domain, creator) for creator in range(600)]
        assert len(set(names)) == 600
        assert names[5] == words.creator_name(domain, 5)
        shared = {word[0] for interest in words.INTERESTS for word in interest.shared}
        assert not shared & {token.lower() for name in names for token in name.split()}


def test_the_words_are_packaged():
    project = tomllib.loads(
        (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    )
    globs = project["tool"]["setuptools"]["package-data"]["m6rec_lite.data.bazaar"]
    folder = Path(words.__file__).parent
    packed = {path.name for pattern in globs for path in folder.glob(pattern)}
    assert {"words.json", "phrases.json"} <= packed


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("dew over the garden: a cosy EP", "Dew over the Garden: A Cosy EP"),
        ("the trail and the hand-cut (bold remix)", "The Trail and the Hand-Cut (Bold Remix)"),
        ("Mira Okafor on five-o'clock starts", "Mira Okafor on Five-O'clock Starts"),
    ],
)
def test_title_case(text, wanted):
    assert title_case(text) == wanted


@pytest.mark.parametrize(
    ("text", "locale", "expected"),
    [
        ("a uncluttered essay. a expert asks", 0, "An uncluttered essay. An expert asks"),
        ("a used tent, a one-take wonder", 0, "A used tent, a one-take wonder"),
        ("练习PID调参第2集", 1, "练习 PID 调参第 2 集"),
    ],
)
def test_fix_grammar(text, locale, expected):
    assert fix_grammar(text, locale) == expected
