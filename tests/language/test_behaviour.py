"""Behaviour as text: the exact sentences, the structure that no text can forge, whole events."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import EVENTS, DataError, Dataset, Histories, Interactions, Split, load_dataset
from m6rec_lite.data.splits import leave_one_out
from m6rec_lite.data.tables import Card
from m6rec_lite.language.text.behaviour import (
    ALL_PARTS,
    BehaviourText,
    Document,
    Templates,
    encode_document,
    encode_documents,
)
from m6rec_lite.language.text.document import clean, keep_latest
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer

NOW = 1_710_000_000  # Saturday, 9 March 2024, 16:00 UTC
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def world(title: str = "Alpine Trek Boots", query: str = "winter boots") -> Dataset:
    """Two products and a song, a user in Oslo, one who is unknown, and a rated item."""
    items = pd.DataFrame(
        {
            "item_id": [30, 10, 20],  # the table's order must not matter
            "domain": ["music", "shop", None],
            "category": [None, "hiking boot", None],
            "title": pd.Series(["雪山之歌", title, None], dtype=object),
            "description": [None, "Warm.", None],
            "tags": [None, ["boots", "winter"], []],
            "creator": [None, "Aldermoor", None],
            "price": [np.nan, 129.5, np.nan],
        }
    )
    users = pd.DataFrame(
        {
            "user_id": [1, 2],
            "age_band": ["25-34", None],
            "gender": ["woman", None],
            "city": ["Oslo", None],
            "occupation": ["engineer", None],
        }
    )
    rows = pd.DataFrame(
        [
            (1, 30, NOW - 3 * DAY, "rate", 4.5),
            (1, 30, NOW + DAY, "rate", 1.0),
            (1, 10, NOW - 19 * MINUTE, "click", 1.0),
            (1, 20, NOW - 30, "purchase", 1.0),
        ],
        columns=["user_id", "item_id", "timestamp", "event", "value"],
    )
    queries = pd.DataFrame(
        {
            "user_id": [1, 1],
            "timestamp": [NOW - 10, NOW - 23 * MINUTE],
            "text": pd.Series(["late", query], dtype=object),
        }
    )
    weather = pd.DataFrame(
        {
            "city": ["Oslo"],
            "date": pd.to_datetime(["2024-03-09"]).astype("datetime64[s]"),
            "temperature": [-2.6],
            "condition": ["snow"],
        }
    )
    card = Card(title="", licence="", source="")
    return Dataset("world", rows, items, users, card, queries=queries, weather=weather)


def rows_of(dataset: Dataset, at: int = NOW) -> Histories:
    before = dataset.interactions[dataset.interactions["timestamp"] <= at]
    return Interactions.from_frame(before, item_ids=dataset.items["item_id"]).histories(at)


@pytest.fixture(scope="module")
def text(bazaar: Dataset) -> BehaviourText:
    return BehaviourText(bazaar)


@pytest.fixture(scope="module")
def histories(bazaar_split: Split) -> Histories:
    return bazaar_split.test.histories[:120]


@pytest.fixture(scope="module")
def tokenizer(bazaar: Dataset, text: BehaviourText) -> Tokenizer:
    texts = [text.item(item, parts=ALL_PARTS) for item in bazaar.items["item_id"]]
    return Tokenizer.train(texts, 2000)


# The sentences


def test_a_history_reads_as_the_paper_writes_it() -> None:
    document = BehaviourText(world()).history(rows_of(world()), 0)
    assert document.text.split("\n") == [
        "A woman, 25 to 34 years old, engineer, Oslo. Saturday. March. Snow, -3 degrees.",
        "gave a rating of 4.5 to a recording named “雪山之歌” 3 days ago",
        "searched “winter boots” 23 minutes ago",
        "clicked a product of category hiking boot named “Alpine Trek Boots” 19 minutes ago",
        "purchased an item without a title just now",
    ]
    assert document.marked.startswith("[USER]A woman")
    assert document.marked.count("[EVENT]") == 4
    assert document.truncated == 0


def test_terse_events_begin_with_the_title() -> None:
    lines = BehaviourText(world(), "terse", times="later").events(rows_of(world()))
    assert lines == [
        "“雪山之歌” rated at 4.5",
        "“winter boots” searched 2 days later",
        "“Alpine Trek Boots” clicked 4 minutes later",
        "untitled purchased 18 minutes later",
    ]


def test_items_say_the_parts_they_have_in_the_templates_order() -> None:
    text = BehaviourText(world())
    assert text.item(10, parts=("title", "price", "domain")) == (
        "a product named “Alpine Trek Boots” priced 129.50"
    )
    assert text.item(10, parts=ALL_PARTS) == (
        "a product of category hiking boot named “Alpine Trek Boots” by Aldermoor priced 129.50 "
        "about boots, winter described as “Warm.”"
    )
    assert text.item(20, parts=("creator", "price")) == "something unknown"
    assert text.title(10) == "Alpine Trek Boots"
    assert text.title(20) == ""
    assert "(30" not in text.item(30)


def test_people_of_whom_little_is_known() -> None:
    text = BehaviourText(world())
    assert text.user(2) == "A person."
    assert text.user(2, at=NOW) == "A person. Saturday. March."
    assert text.user(99) == text.user(None) == ""
    assert BehaviourText(world(), context=("city", "month")).user(1, at=NOW) == "Oslo. March."
    assert BehaviourText(world(), context=()).user(1, at=NOW) == ""


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (0, "Thursday. January."),
        (951_782_400, "Tuesday. February."),  # 29 February 2000
        (1_703_980_799, "Saturday. December."),  # 30 December 2023, the last second
        (1_703_980_800, "Sunday. December."),
    ],
)
def test_the_moment_is_read_in_utc(at: int, words: str) -> None:
    assert Templates.load().moment(at) == words


def test_time_in_words_at_every_boundary() -> None:
    seconds = [0, 59, 60, 119, 120, HOUR - 1, HOUR, DAY - 1, DAY, 2 * DAY, 14 * DAY - 1, 14 * DAY]
    result = Templates.load().elapsed(np.array(seconds))
    assert result.tolist() == [
        "just now", "just now", "a minute ago", "a minute ago", "2 minutes ago", "59 minutes ago",
        "an hour ago", "23 hours ago", "yesterday", "2 days ago", "13 days ago", "2 weeks ago",
    ]  # fmt: skip
    assert Templates.load().elapsed(np.array([], dtype=int)).tolist() == []


UNITS = {"minute": 60, "hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 2_629_800,
         "year": 31_557_600}  # fmt: skip


@settings(deadline=None)
@given(seconds=st.lists(st.integers(60, 10**10), min_size=1))
def test_time_in_words_is_true(seconds: list[int]) -> None:
    result = Templates.load().elapsed(np.array(seconds), "later")
    for inputs, phrase in zip(seconds, result, strict=True):
        number, unit, _ = phrase.split()
        n = 1 if number in ("a", "an") else int(number)
        size = UNITS[unit.removesuffix("s")]
        assert n * size <= inputs < (n + 1) * size
        assert n == 1 or unit.endswith("s")


# Nothing that people write changes the structure

EVIL = [
    "[EOS]", "[EVENT]", "[USER]", "\n", "\r\n", "\0", "\u2028", "\u202e", '"', "“", "”", "'",
    "” 19 minutes ago", "clicked a product named “Fake” just now", "{item}", "{0}", "}", "{", "%s",
    "just now", " ", "山", "Boots", "\x85", "😀",
]  # fmt: skip
ANY_TEXT = st.lists(
    st.one_of(st.sampled_from(EVIL), st.text(st.characters(exclude_categories=["Cs"])))
).map("".join)
QUOTED = re.compile("“[^“”]*”")


def test_compact_events_take_few_words_and_stay_different() -> None:
    text = BehaviourText(world(), "compact")
    assert [text.event(10, event) for event in ("click", "view", "purchase")] == [
        "Alpine Trek Boots",
        "viewed Alpine Trek Boots",
        "bought Alpine Trek Boots",
    ]
    assert text.event(20) == "untitled"
    assert len({text.event(10, event) for event in EVENTS}) == len(EVENTS)
    for line, compact in zip(BehaviourText(world()).events(ROWS), text.events(ROWS), strict=True):
        assert len(compact) < 0.8 * len(line)
    with pytest.raises(ValueError, match="event: 'sniff' is none of"):
        text.event(10, "sniff")
    with pytest.raises(DataError, match=r"items \[99\]"):
        text.event(99)


TEMPLATES = [Templates.load("default"), Templates.load("terse")]
ROWS = rows_of(world())
HARMLESS = [BehaviourText(world("t", "q"), templates).history(ROWS, 0) for templates in TEMPLATES]


@settings(max_examples=60, deadline=None)
@given(title=ANY_TEXT, query=ANY_TEXT, which=st.integers(0, 1))
def test_titles_and_queries_cannot_change_the_structure(
    tokenizer: Tokenizer, title: str, query: str, which: int
) -> None:
    evil, harmless = world(f"x{title}", query), HARMLESS[which]
    document = BehaviourText(evil, TEMPLATES[which]).history(ROWS, 0)
    # as numbers: the same special tokens in the same order, each opening the same sentence
    ids, special = encode_document(tokenizer, document), tokenizer.id("[EVENT]")
    assert ids.count(special) == 4
    assert [SPECIALS[i] for i in ids if i < len(SPECIALS)] == ["[USER]", *["[EVENT]"] * 4]
    starts = [position for position, i in enumerate(ids) if i == special]
    ends = [*starts[1:], len(ids)]
    lines = [tokenizer.decode(ids[a:b]) for a, b in zip(starts, ends, strict=True)]
    # as text: one line an event, and outside the quotation marks nothing differs
    assert document.text.split("\n")[1:] == lines
    assert [QUOTED.sub("“”", line) for line in lines] == [
        QUOTED.sub("“”", line) for line in harmless.text.split("\n")[1:]
    ]
    assert not any(re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e]", line) for line in lines)


@settings(max_examples=40, deadline=None)
@given(evil=ANY_TEXT)
def test_no_field_of_a_table_can_add_a_quotation_or_a_line(evil: str) -> None:
    plain = world()
    items = plain.items.assign(domain=evil, category=evil, creator=evil, tags=[[evil, evil]] * 3)
    users = plain.users.assign(city=evil, occupation=evil, gender=evil, age_band=evil)
    weather = plain.weather.assign(condition=evil, city=evil)
    dataset = dataclasses.replace(plain, items=items, users=users, weather=weather)
    document = BehaviourText(dataset, TEMPLATES[0], parts=ALL_PARTS).history(ROWS, 0)
    assert len(document.text.split("\n")) == 5
    assert document.text.count("“") == document.text.count("”") == 4  # query, titles, description
    assert [name for name, _ in document.pieces if name] == ["[USER]", *["[EVENT]"] * 4]


def test_titles_come_back_from_the_text() -> None:
    title = "Boots {item} “best” [EOS]\n'ever'"
    line = BehaviourText(world(title)).events(rows_of(world()))[2]
    assert QUOTED.findall(line) == ["“Boots {item} ‘best’ [EOS] 'ever'”"]


def test_lone_surrogates_name_the_item_and_the_column() -> None:
    with pytest.raises(DataError, match=r"item 10, column title has half a character .*position 2"):
        BehaviourText(world("ab\udc00"))
    with pytest.raises(DataError, match="queries, text has half a character"):
        BehaviourText(world(query="\ud800"))


def test_long_texts_are_cut_at_a_word_with_a_mark() -> None:
    assert clean("one two three", "x", max_chars=9) == "one two…"
    assert clean("one two three", "x", max_chars=8) == "one two…"
    assert clean("one two three", "x", max_chars=7) == "one…"
    assert clean("one two three", "x", max_chars=13) == "one two three"
    assert clean("一二三四五", "x", max_chars=4) == "一二三…"
    text = BehaviourText(world("word " * 500), max_chars=20)
    assert text.title(10) == "word word word word…"


# Whole events


@pytest.mark.parametrize("max_tokens", [120, 300])
def test_truncation_keeps_the_latest_whole_events_and_as_many_as_fit(
    text: BehaviourText, histories: Histories, tokenizer: Tokenizer, max_tokens: int
) -> None:
    whole = text.documents(histories)
    cut = text.documents(histories, tokenizer=tokenizer, max_tokens=max_tokens)
    assert any(document.truncated for document in cut)
    for full, kept in zip(whole, cut, strict=True):
        lines, left = full.text.split("\n"), kept.text.split("\n")
        n = kept.truncated
        assert left == lines[:1] + lines[1 + n :]
        assert len(encode_document(tokenizer, kept)) <= max_tokens
        if n:
            one_more = Document((full.pieces[0], *_events(full)[n - 1], *kept.pieces[1:]))
            assert one_more.text.split("\n") == lines[:1] + lines[n:]
            assert len(encode_document(tokenizer, one_more)) > max_tokens


def _events(document: Document) -> list[list[tuple[str | None, str]]]:
    events: list[list[tuple[str | None, str]]] = []
    for piece in document.pieces[1:]:
        if piece[0] == "[EVENT]":
            events.append([])
        events[-1].append(piece)
    return events


def test_an_event_that_does_not_fit_is_an_error_that_says_what_to_do(
    tokenizer: Tokenizer, text: BehaviourText, histories: Histories
) -> None:
    with pytest.raises(ValueError, match=r"max_tokens=20 is too few for \d+ tokens, \d+ of them"):
        text.documents(histories, tokenizer=tokenizer, max_tokens=20)
    with pytest.raises(ValueError, match="pass tokenizer="):
        text.documents(histories, max_tokens=200)
    empty = Histories.from_lists([[]], histories.item_ids, at=NOW, user_ids=[1])
    assert text.history(empty, 0, tokenizer=tokenizer, max_tokens=60).truncated == 0
    with pytest.raises(ValueError, match=r"max_tokens=3 is too few for \d+ tokens, in the doc"):
        text.documents(empty, tokenizer=tokenizer, max_tokens=3)


def test_other_pieces_are_never_dropped(tokenizer: Tokenizer) -> None:
    pieces = [("[USER]", "a"), ("[EVENT]", "old"), (None, " then"), ("[ITEM]", "candidate")]
    pieces += [(None, " more"), ("[EVENT]", "new")]
    for limit in range(1, 12):
        size = len(encode_document(tokenizer, Document(tuple(pieces))))
        if limit < size - len(encode_document(tokenizer, Document(tuple(pieces[1:3])))):
            continue
        (kept,) = keep_latest([Document(tuple(pieces))], tokenizer, limit)
        gone = [] if limit >= size else [1, 2]
        assert kept.pieces == tuple(p for position, p in enumerate(pieces) if position not in gone)
        assert kept.truncated == (limit < size)


# Batches, prefixes, what is known when


@pytest.mark.parametrize("times", ["ago", "later", None])
def test_all_rows_at_once_equal_row_by_row(
    bazaar: Dataset, histories: Histories, times: str | None
) -> None:
    some = histories[:40]
    text = BehaviourText(bazaar, times=times)
    together = text.documents(some)
    assert together == [text.history(some, row) for row in range(len(some))]
    for row, document in enumerate(together):
        assert text.events(some[row]) == document.text.split("\n")[1:]
        assert document.pieces[0][1] == text.user(some.user_ids[row], at=some.at[row])


def test_later_does_not_tell_the_future_and_ago_does(bazaar: Dataset, histories: Histories) -> None:
    some = histories[:40]
    for times, same in (("later", True), ("ago", False)):
        text = BehaviourText(bazaar, times=times, queries="none")
        for row in range(len(some)):
            lines = text.events(some[row])
            n = len(lines) - 3
            take = slice(some.offsets[row], some.offsets[row] + n)
            ids = some.item_ids[some.items[take]]
            before = Interactions.from_frame(
                pd.DataFrame(
                    {"user_id": 1, "item_id": ids, "timestamp": some.timestamps[take],
                     "event": pd.Categorical.from_codes(some.events[take], _EVENTS)}
                ), item_ids=some.item_ids,
            ).histories()  # fmt: skip
            assert (text.events(before) == lines[:n]) is same


_EVENTS = ["view", "click", "rate", "like", "cart", "purchase"]


def test_searches_after_the_latest_event_are_left_out_unless_asked_for() -> None:
    dataset = world()
    rows = rows_of(dataset)
    known = {q: BehaviourText(dataset, queries=q).events(rows) for q in ("none", "history", "now")}
    assert [line for line in known["none"] if "searched" in line] == []
    assert [line for line in known["history"] if "searched" in line] == [
        "searched “winter boots” 23 minutes ago"
    ]
    assert known["now"] == [*known["history"], "searched “late” just now"]
    other = dataclasses.replace(rows, user_ids=np.array([2]))
    assert not any("searched" in line for line in BehaviourText(dataset).events(other))


def test_the_bazaars_searches_would_name_the_target(bazaar: Dataset, histories: Histories) -> None:
    """Why ``queries="history"`` is the default: with "now" many rows end in one more search."""
    known = BehaviourText(bazaar).documents(histories)
    now = BehaviourText(bazaar, queries="now").documents(histories)
    last = [document.text.split("\n")[-1].startswith("searched") for document in known]
    assert not any(last)
    ends = [document.text.split("\n")[-1].startswith("searched") for document in now]
    assert np.mean(ends) > 0.03


def test_a_rating_is_the_first_one_never_a_later_one() -> None:
    assert "4.5" in BehaviourText(world()).events(rows_of(world()))[0]
    again = BehaviourText(world()).events(rows_of(world(), NOW + 2 * DAY))
    assert sum("rating of 4.5" in line for line in again) == 2
    plain = BehaviourText(world(), ratings=False).events(rows_of(world()))
    assert plain[0] == "rated a recording named “雪山之歌” 3 days ago"


def test_events_must_be_sorted_and_past() -> None:
    text = BehaviourText(world())
    mixed = Histories.from_lists([[10, 20]], np.array([10, 20, 30]), timestamps=[[9, 5]], at=20)
    with pytest.raises(DataError, match="not in the order of time"):
        text.documents(mixed)
    ahead = Histories.from_lists([[10, 20]], np.array([10, 20, 30]), timestamps=[[5, 9]], at=8)
    with pytest.raises(DataError, match=r"has an event at 9, later than now \(at=8\)"):
        text.documents(ahead)


def test_unknown_items_and_settings_are_named() -> None:
    text = BehaviourText(world())
    with pytest.raises(DataError, match=r"items \[11\] \(1 in all\) are not among the 3 items"):
        text.item(11)
    foreign = Histories.from_lists([[10, 77]], np.array([10, 77]), at=NOW)
    with pytest.raises(DataError, match=r"items \[77\]"):
        text.documents(foreign)
    for bad in ({"parts": ("name",)}, {"context": ("mood",)}, {"times": "soon"}, {"queries": "x"}):
        with pytest.raises(ValueError, match=r"is none of"):
            BehaviourText(world(), **bad)
    with pytest.raises(TypeError, match="several names"):
        BehaviourText(world(), parts="title")
    with pytest.raises(ValueError, match="max_chars must be at least 2"):
        BehaviourText(world(), max_chars=1)
    with pytest.raises(ValueError, match="one row of histories, got 0"):
        text.events(rows_of(world())[[]])
    assert text.documents(rows_of(world())[[]]) == []


# Statistics


def test_statistics_need_rows_and_say_where_an_item_stands() -> None:
    rows = [(user, item) for item in range(1, 21) for user in range(item - 1)]  # 0 to 19 users
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=5)
    train = Interactions.from_frame(frame, item_ids=np.arange(1, 22))
    items = pd.DataFrame({"item_id": np.arange(1, 23), "title": "x"})
    dataset = dataclasses.replace(world(), items=items)
    text = BehaviourText(dataset, train=train)
    assert text.statistics(20) == "among the top 5 % by visitors"
    assert text.statistics(19) == "among the top 10 % by visitors"
    assert text.statistics(16) == "in the upper quarter by visitors"
    assert text.statistics(11) == "in the upper half by visitors"
    assert text.statistics(2) == "in the lower half by visitors"
    assert text.statistics(1) == text.statistics(22) == "without visitors so far"
    assert text.statistics(20, ("any", "like")) == (
        "among the top 5 % by visitors, without likes so far"
    )
    with pytest.raises(ValueError, match="need rows to count"):
        BehaviourText(dataset).statistics(20)
    with pytest.raises(DataError, match=r"items \[23\]"):
        text.statistics(23)
    with pytest.raises(ValueError, match="'dance' is none of"):
        text.statistics(20, ("dance",))


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_top_shares_are_never_said_of_more(counts: list[int]) -> None:
    rows = [(user, item) for item, n in enumerate(counts) for user in range(n)] or [(0, 0)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=5)
    ids = np.arange(len(counts))
    dataset = dataclasses.replace(world(), items=pd.DataFrame({"item_id": ids, "title": "x"}))
    text = BehaviourText(dataset, train=Interactions.from_frame(frame, item_ids=ids))
    said = [text.statistics(item) for item in ids]
    for percent in (1, 5, 10):
        top = sum(f"top {p} %" in words for words in said for p in (1, 5, 10) if p <= percent)
        assert top <= percent / 100 * len(counts)


# Other data sets


def test_a_csv_with_titles_only(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text(
        "user_id,item_id,timestamp\nann,x,1000000000\nann,y,1000000600\nbob,x,1000000009\n"
    )
    (tmp_path / "items.csv").write_text('item_id,title\nx,"A ""fine"" thing"\ny,Other\n')
    dataset = load_dataset(tmp_path)
    documents = BehaviourText(dataset).documents(
        Interactions.from_frame(dataset.interactions).histories()
    )
    assert documents[0].text.split("\n") == [
        "Sunday. September.",
        'clicked an item named “A "fine" thing” 10 minutes ago',
        "clicked an item named “Other” just now",
    ]


def test_the_bazaar_reads_well_in_both_languages(
    bazaar: Dataset, text: BehaviourText, histories: Histories
) -> None:
    documents = text.documents(histories)
    everything = "\n".join(document.text for document in documents)
    assert not re.search(r"\bnan\b|\bNaN\b|None|<NA>|\{|\}|  ", everything)
    assert "reads Chinese" in everything
    assert re.search("named “[^”]*[一-鿿][^”]*”", everything)
    line = re.compile(
        "(viewed|clicked|liked|purchased|put) (an article|a product|a video|a recording|a course) "
        "of category [^“”]+ named “[^“”]+”( in the cart)? (just now|yesterday|.+ ago)"
        "|searched “[^“”]+” .+"
    )
    for document in documents:
        assert all(line.fullmatch(words) for words in document.text.split("\n")[1:])
        assert document.text.startswith(("A woman, ", "A man, ", "A person, "))


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["ml-100k", "ml-latest-small"])
def test_movielens_reads_well(name: str) -> None:
    try:
        dataset = load_dataset(name, download=False)
    except DataError as error:
        pytest.skip(str(error))
    text = BehaviourText(dataset, parts=("domain", "tags", "title"))
    rows = leave_one_out(dataset).test.histories[:50]
    for document in text.documents(rows):
        for line in document.text.split("\n")[1:]:
            assert re.fullmatch(
                r"gave a rating of [0-5](\.5)? to a film named “[^“”]+”( about [^“”]+)? .+", line
            ), line
    if name == "ml-100k":
        assert text.user(1) == "A man, 18 to 24 years old, technician."


# Documents


def test_documents_join_wrap_and_count_bytes(tokenizer: Tokenizer) -> None:
    first = Document((("[USER]", "Né"), ("[EVENT]", "clicked x"), (None, " now")), truncated=2)
    both = first + Document((("[ITEM]", ""),), truncated=1)
    assert both.truncated == 3
    assert both.text == "Né\nclicked x now"
    assert both.wrapped("[BOS']", None).marked == "[BOS'][USER]Né[EVENT]clicked x now[ITEM]"
    assert first.wrapped().marked == "[BOS][USER]Né[EVENT]clicked x now[EOS]"
    assert both.n_bytes == len("Néclicked x now".encode())
    ids = encode_document(tokenizer, first.wrapped())
    assert tokenizer.decode(ids, specials=True) == first.wrapped().marked
    assert tokenizer.n_bytes[ids].sum() == first.n_bytes


def test_encoding_all_equals_one_by_one_and_the_plain_sentences(
    text: BehaviourText, histories: Histories, tokenizer: Tokenizer
) -> None:
    documents = text.documents(histories[:30])
    rows = encode_documents(tokenizer, documents)
    for document, row in zip(documents, rows, strict=True):
        assert row.dtype == np.int32
        assert row.tolist() == encode_document(tokenizer, document)
        plain = [tokenizer.encode(line) for line in document.text.split("\n")]  # time not apart
        opened = [tokenizer.id("[USER]"), *[tokenizer.id("[EVENT]")] * (len(plain) - 1)]
        assert row.tolist() == [
            i for first, line in zip(opened, plain, strict=True) for i in (first, *line)
        ]


def test_an_unknown_special_token_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(KeyError, match=r"called \[NEWS\]; there are"):
        encode_document(tokenizer, Document((("[NEWS]", "text"),)))


# Templates


def test_templates_of_ones_own_extend_the_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    phrases = {**Templates.load().events, "click": "looked twice at {item}"}
    path.write_text(json.dumps({"extends": "default", "events": phrases}), encoding="utf-8")
    templates = Templates.load(path)
    assert templates.name == "mine"
    lines = BehaviourText(world(), templates).events(rows_of(world()))
    assert lines[2].startswith("looked twice at a product of category")
    assert BehaviourText(world(), str(path)).events(rows_of(world())) == lines


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"events": {}}, "events lacks .*'click'"),
        ({"item": {"title": "x"}}, "item lacks .*'category'"),
        ({"untitled": "no {title}"}, r"untitled uses \['title'\]; it may use no field"),
        ({"month": "{mouth}"}, r"month uses \['mouth'\]; it may use \['month'\]"),
        ({"weather": "{condition"}, "weather '{condition'"),
        ({"months": ["January"]}, "months must be 12 names"),
        ({"parts": ["colour"]}, r"parts has \['colour'\]"),
        ({"nouns": {"*": "a thing"}}, "nouns lacks ''"),
        ({"ago": []}, "ago must rise from 0"),
        ({"later": [{"from": 5, "unit": 1, "one": "", "many": ""}]}, "later must rise from 0"),
        ({"later": 3}, "not built like those"),
        ({"extends": "nothing"}, "extend 'nothing'; there are"),
        ({"extends": None}, "missing .*'ago'"),
        ({"colour": "red"}, r"unknown \['colour'\]"),
    ],
)
def test_templates_that_cannot_work_are_refused(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"extends": "default"} | change), encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        Templates.load(path)


def test_templates_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no templates are called 'verbose'; there are default"):
        Templates.load("verbose")
    with pytest.raises(FileNotFoundError):
        Templates.load(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("[1")
    with pytest.raises(ValueError, match="is not JSON"):
        Templates.load(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text("[1]")
    with pytest.raises(ValueError, match="must be one JSON object"):
        Templates.load(tmp_path / "bad.json")
