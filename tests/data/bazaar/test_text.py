"""What the bazaar says: items, reviews, queries and dialogues."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from m6rec_lite.data.bazaar import text, words
from m6rec_lite.data.bazaar.latents import DOMAINS, LEVELS, LOCALES, ItemLatents
from m6rec_lite.data.bazaar.phrases import PHRASES, fix_grammar

HAN = re.compile(r"[\u4e00-\u9fff]")
N_INTERESTS, N_ASPECTS = len(words.INTERESTS), len(words.ASPECTS)


def latents(n: int, *, seed: int = 0, chinese: float = 0.2) -> ItemLatents:
    """Items with everything drawn at random; a tenth are parts of series."""
    rng = np.random.default_rng(seed)
    domain, interest = rng.integers(5, size=n), rng.integers(N_INTERESTS, size=n)
    second = (interest + 1 + rng.integers(N_INTERESTS - 1, size=n)) % N_INTERESTS
    second[rng.random(n) < 0.3] = -1
    serial = rng.integers(5, size=n) * 120 + domain * N_INTERESTS + interest
    serial[rng.random(n) < 0.9] = -1
    order = pd.Series(serial).groupby(serial).cumcount().to_numpy() + 1
    return ItemLatents(
        domain=domain.astype(np.int8),
        interest=interest.astype(np.int8),
        second=second.astype(np.int8),
        kind=rng.integers(5, size=n).astype(np.int8),
        style=rng.integers(len(words.STYLES), size=n).astype(np.int8),
        level=rng.integers(len(LEVELS), size=n).astype(np.int8),
        creator=rng.integers(250, size=n).astype(np.int16),
        series=serial.astype(np.int16),
        part=np.where(serial >= 0, order, 0).astype(np.int8),
        locale=(rng.random(n) < chinese).astype(np.int8),
        price=np.full(n, np.nan, dtype=np.float32),
        released=np.zeros(n, dtype=np.int64),
        quality=np.zeros((n, N_ASPECTS), dtype=np.float32),
        popularity=np.ones(n, dtype=np.float32),
    )


@pytest.fixture(scope="module")
def drawn() -> ItemLatents:
    return latents(1000)


@pytest.fixture(scope="module")
def items(drawn: ItemLatents) -> pd.DataFrame:
    return text.write_items(drawn, seed=0)


def whole(items: pd.DataFrame) -> list[str]:
    """All that an item says of itself, in lower case."""
    tags = items["tags"].map(" ".join)
    return (items["title"] + " " + items["description"] + " " + tags).str.lower().tolist()


def occurrences(vocabulary: list[str], where: str) -> int:
    """How many times words of the vocabulary occur in a text (whole words in English)."""
    total = 0
    for word in vocabulary:
        pattern = re.escape(word.lower())
        total += len(re.findall(pattern if HAN.search(word) else rf"\b{pattern}\b", where))
    return total


def shared_words(interest: int, locale: int) -> list[str]:
    entry = words.INTERESTS[interest]
    return [entry.label[locale], *(word[locale] for word in entry.shared)]


def own_words(interest: int, domain: int, locale: int) -> list[str]:
    return [word[locale] for word in words.INTERESTS[interest].own[domain]]


# --- items ---------------------------------------------------------------------------------------


def test_items_come_in_the_order_and_shape_agreed(drawn, items):
    assert items.columns.tolist() == ["title", "description", "tags", "category", "creator"]
    assert len(items) == len(drawn.domain)
    for row, category in enumerate(items["category"]):
        kinds = words.kinds(int(drawn.domain[row]), int(drawn.interest[row]))
        assert category == kinds[drawn.kind[row]]
    assert all(4 <= len(tags) <= 7 and len(set(tags)) == len(tags) for tags in items["tags"])


@pytest.mark.parametrize("chinese", [0.0, 0.2, 1.0])
def test_titles_are_unique(chinese):
    titles = text.write_items(latents(1000, seed=3, chinese=chinese), seed=1)["title"]
    assert titles.is_unique


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_text_keeps_to_its_language_and_leaves_no_slot_open(seed):
    some = latents(60, seed=seed, chinese=0.5)
    table = text.write_items(some, seed=seed)
    for row, said in enumerate(whole(table)):
        assert not re.search(r"[{}]|nan|none|\s\s", said)
        if some.locale[row] == 0:
            assert not HAN.search(said)
            assert not re.search(r"\ba (?!uni|use|one|eu)[aeiou]", said), said
            n_words = len(table["description"][row].split())
            assert 12 <= n_words <= 30, table["description"][row]
        else:
            rest = said
            for latin in (table["creator"][row], "PID"):
                rest = rest.replace(latin.lower(), "")
            assert not re.search("[a-z]", rest), said
            assert 20 <= len(table["description"][row]) <= 90, table["description"][row]


def test_titles_name_two_or_three_words_of_their_interests(drawn, items):
    for row, title in enumerate(items["title"].str.lower()):
        interest, second = int(drawn.interest[row]), int(drawn.second[row])
        locale = int(drawn.locale[row])
        vocabulary = shared_words(interest, locale)[1:]
        vocabulary += own_words(interest, int(drawn.domain[row]), locale)
        if second >= 0:
            vocabulary += shared_words(second, locale)[1:]
        result = sum(word.lower() in title for word in vocabulary)
        assert 2 <= result <= 4, title


def test_descriptions_say_style_level_and_second_interest(drawn, items):
    for row, said in enumerate(items["description"].str.lower()):
        locale = int(drawn.locale[row])
        style = [word[locale] for word in words.STYLE_WORDS[drawn.style[row]]]
        assert any(word in said for word in style), said
        people = [word[locale] for word in words.LEVEL_PEOPLE[drawn.level[row]]]
        assert any(word in said for word in people), said
        if drawn.second[row] >= 0:
            assert any(word in said for word in shared_words(int(drawn.second[row]), locale)[1:])


def test_parts_of_a_series_carry_its_name_and_their_number():
    n = 4
    base = latents(40, seed=1, chinese=0.0)
    rows = {name: np.repeat(value[:10], n, axis=0) for name, value in vars(base).items()}
    rows["series"] = np.repeat(np.arange(10), n)
    rows["part"] = np.tile(np.arange(1, n + 1), 10)
    for locale, mark in ((0, r", Part (\d)"), (1, r"第 (\d) ?[弹篇集辑讲]")):
        titles = text.write_items(
            ItemLatents(**rows | {"locale": np.full(10 * n, locale)}), seed=0
        )["title"].tolist()
        for series in range(10):
            own = titles[series * n : (series + 1) * n]
            matches = [re.search(mark, title) for title in own]
            assert [int(match[1]) for match in matches] == [1, 2, 3, 4]
            assert (
                len({title[: match.start()] for title, match in zip(own, matches, strict=True)})
                == 1
            )


def test_about_half_of_what_an_item_says_of_its_interest_is_shared(drawn, items):
    said = whole(items)
    for domain in range(len(DOMAINS)):
        shared = own = 0
        for row in np.flatnonzero(drawn.domain == domain):
            interest, locale = int(drawn.interest[row]), int(drawn.locale[row])
            shared += occurrences(shared_words(interest, locale), said[row])
            own += occurrences(own_words(interest, domain, locale), said[row])
        assert 0.4 < shared / (shared + own) < 0.62, DOMAINS[domain]


@pytest.mark.parametrize("locale", [0, 1])
def test_text_carries_an_interest_across_domains_but_less_than_within(locale):
    drawn = latents(1000, seed=5, chinese=float(locale))
    said = whole(text.write_items(drawn, seed=5))
    settings = {"analyzer": "char", "ngram_range": (2, 2)} if locale else {}
    matrix = TfidfVectorizer(**settings).fit_transform(said)
    cosine = (matrix @ matrix.T).toarray()
    same = drawn.interest[:, None] == drawn.interest
    domain = drawn.domain[:, None] == drawn.domain
    other = ~np.eye(len(said), dtype=bool)
    within, across = cosine[same & domain & other].mean(), cosine[same & ~domain].mean()
    strangers = cosine[~same & ~domain].mean()
    assert across > 2 * strangers  # taste can cross domains through text ...
    assert within > 2 * across  # ... though far from freely
    nearest = np.where(domain, -1, cosine).argmax(axis=1)
    hits = (drawn.interest[nearest] == drawn.interest).mean()
    assert 4 / N_INTERESTS < hits < 0.6


def test_items_are_a_function_of_the_seed(drawn, items):
    pd.testing.assert_frame_equal(items, text.write_items(drawn, seed=0))
    assert (items["title"] != text.write_items(drawn, seed=1)["title"]).mean() > 0.8


# --- reviews -------------------------------------------------------------------------------------

REVIEWS = [(code, PHRASES["reviews"][code]) for code in LOCALES]


@pytest.mark.parametrize(("code", "table"), REVIEWS)
def test_every_phrasing_states_its_aspect(code, table):
    for aspect, name in enumerate(words.ASPECTS):
        assert set(table["phrases"][name]) == {"-1", "0", "1"}
        for way, phrases in table["phrases"][name].items():
            assert len(phrases) >= 2
            for phrase, domain in product(phrases, DOMAINS):
                for noun in table["nouns"][name][domain]:
                    sentence = fix_grammar(phrase.format(n=noun), LOCALES.index(code))
                    assert text.aspect_of(sentence) == aspect, (way, sentence)


@pytest.mark.parametrize(("code", "table"), REVIEWS)
def test_remarks_state_no_aspect(code, table):
    locale = LOCALES.index(code)
    remarks = [remark for some in table["fillers"].values() for remark in some]
    for domain, interest in product(range(len(DOMAINS)), range(N_INTERESTS)):
        entry = words.INTERESTS[interest]
        slots = {
            "N": entry.label[locale],
            "A": " / ".join(word[locale] for word in entry.shared),
            "K": " / ".join(word[locale] for word in words.kind_words(domain, interest)),
            "did": table["did"][DOMAINS[domain]],
            "this": table["this"][DOMAINS[domain]],
        }
        for remark in remarks:
            assert text.aspect_of(remark.format_map(slots)) == -1, remark.format_map(slots)


def test_phrases_of_one_sentiment_serve_no_other():
    for _, table in REVIEWS:
        for name in words.ASPECTS:
            phrases = [phrase for some in table["phrases"][name].values() for phrase in some]
            assert len(phrases) == len(set(phrases))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_the_stated_aspect_is_recovered_from_every_review(seed):
    rng, n = np.random.default_rng(seed), 300
    some = latents(50, seed=seed)
    item, aspect = rng.integers(50, size=n), rng.integers(N_ASPECTS, size=n)
    locale = rng.integers(2, size=n)
    reviews = text.write_reviews(
        some, item, rng.integers(1, 6, size=n), aspect, rng.integers(-1, 2, size=n), locale, rng
    )
    assert [text.aspect_of(review) for review in reviews] == aspect.tolist()
    for row, review in enumerate(reviews):
        assert "{" not in review
        assert bool(HAN.search(review)) == bool(locale[row])
        assert 1 <= len(re.findall(r"[.。](?:\s|$)|。", review)) <= 2
        domain, interest = int(some.domain[item[row]]), int(some.interest[item[row]])
        about = [words.INTERESTS[interest].label, words.kind_words(domain, interest)[
            int(some.kind[item[row]])]]  # fmt: skip
        plain = fix_grammar(review, int(locale[row])).lower()
        assert any(word[locale[row]].lower() in plain for word in about), review


def test_a_text_that_names_no_aspect_or_two_is_not_assigned():
    assert text.aspect_of("") == -1
    assert text.aspect_of("A tent. It is green.") == -1
    assert text.aspect_of("The workmanship and the price.") == -1
    assert text.aspect_of("The workmanship is FIRST-RATE, whatever the price.") == 0
    assert text.aspect_of("Coffee made this bold reprice") == -1  # no whole word of any aspect


def test_reviews_turn_with_their_rating():
    some = latents(1, chinese=0.0)
    n = 300
    still = np.zeros(n, dtype=int)
    tones = [
        set(text.write_reviews(some, still, np.full(n, stars), still, np.full(n, way), still,
                               np.random.default_rng(0)))
        for stars, way in ((5, 1), (3, 0), (1, -1))
    ]  # fmt: skip
    assert all(len(tone) > 5 for tone in tones)
    assert len(set.union(*tones)) == sum(len(tone) for tone in tones)


# --- queries -------------------------------------------------------------------------------------


def test_queries_are_short_and_name_their_interest():
    rng, n = np.random.default_rng(0), 2000
    interest, domain = rng.integers(N_INTERESTS, size=n), rng.integers(5, size=n)
    style, level = rng.integers(-1, 5, size=n), rng.integers(-1, 3, size=n)
    style[: n // 2], level[: n // 2] = 0, 0
    locale = rng.integers(2, size=n)
    full = slice(0, n // 2)
    queries = text.write_queries(
        interest[full], style[full], level[full], domain[full], locale[full], rng
    )
    assert len(queries) == n // 2
    for row, query in enumerate(queries):
        assert query == query.lower()
        assert 2 <= len(query.split()) <= 7
        where = int(locale[row])
        vocabulary = shared_words(int(interest[row]), where)
        vocabulary += own_words(int(interest[row]), int(domain[row]), where)
        assert occurrences(vocabulary, query) >= 1, query
        assert bool(HAN.search(query)) == bool(where)
    english = [query for query, where in zip(queries, locale, strict=False) if where == 0]
    styled = [occurrences([word[0] for word in words.STYLE_WORDS[0]], q) for q in english]
    levels = [word[0] for word in (*words.LEVEL_WORDS[0], *words.LEVEL_PEOPLE[0])]
    levelled = [occurrences(levels, q) for q in english]
    assert 0.1 < np.mean(styled) < 0.4
    assert 0.1 < np.mean(levelled) < 0.5


def test_queries_can_do_without_style_and_level():
    n = 500
    none = np.full(n, -1)
    zero = np.zeros(n, dtype=int)
    queries = text.write_queries(zero, none, none, zero, zero, np.random.default_rng(0))
    manner = [word[0] for group in (*words.STYLE_WORDS, *words.LEVEL_WORDS, *words.LEVEL_PEOPLE)
              for word in group]  # fmt: skip
    assert sum(occurrences(manner, query) for query in queries) == 0


# --- dialogues -----------------------------------------------------------------------------------


def test_dialogues_alternate_and_end_in_the_items_own_title(drawn, items):
    rng = np.random.default_rng(0)
    item, locale = rng.integers(len(items), size=400), rng.integers(2, size=400)
    talks = text.write_dialogues(drawn, items, item, locale, rng)
    assert set(talks["speaker"]) == {"USER", "SYSTEM"}
    lengths = set()
    for number, talk in talks.groupby("dialogue_id"):
        lengths.add(len(talk))
        assert talk["turn"].tolist() == list(range(len(talk)))
        assert (talk["speaker"] != talk["speaker"].shift()).all()
        last = talk.iloc[-1]
        wanted = item[number - 1]
        assert last["speaker"] == "SYSTEM"
        assert last["item_id"] == wanted
        assert items["title"][wanted] in last["text"]
        assert talk["item_id"].isna().tolist() == [True] * (len(talk) - 1) + [False]
        system = talk.loc[talk["speaker"] == "SYSTEM", "text"].iloc[:-1]
        assert len(system) >= 1  # the system asks before it answers
        user = " ".join(talk.loc[talk["speaker"] == "USER", "text"]).lower()
        interest, where = int(drawn.interest[wanted]), int(locale[number - 1])
        assert any(word.lower() in user for word in shared_words(interest, where))
        assert not talk["text"].str.contains("{", regex=False).any()
    assert lengths == {3, 4, 5, 6}


def test_talk_is_a_function_of_the_generator(drawn, items):
    def say(seed: int) -> tuple[list[str], list[str], pd.DataFrame]:
        rng = np.random.default_rng(seed)
        item = np.arange(50)
        one = np.ones(50, dtype=int)
        locale = item % 2
        return (
            text.write_reviews(drawn, item, one * 4, one, one, locale, rng),
            text.write_queries(one, one, one, one, locale, rng),
            text.write_dialogues(drawn, items, item, locale, rng),
        )

    first, again, other = say(0), say(0), say(1)
    assert first[:2] == again[:2]
    pd.testing.assert_frame_equal(first[2], again[2])
    assert first[0] != other[0]
    assert first[1] != other[1]
    assert not first[2].equals(other[2])


def test_no_dialogue_and_no_review_is_an_answer_too(drawn, items):
    none, rng = np.zeros(0, dtype=int), np.random.default_rng(0)
    assert text.write_reviews(drawn, none, none, none, none, none, rng) == []
    assert text.write_queries(none, none, none, none, none, rng) == []
    talks = text.write_dialogues(drawn, items, none, none, rng)
    assert len(talks) == 0
    assert talks["item_id"].dtype == "Int64"
