"""Answers from past answers, with an item that exists, or none."""

import pytest

from m6rec_lite.data import DataError, NotFittedError
from m6rec_lite.m6rec import ServiceDesk
from tests.worlds import small


def talks():
    """All that the person said, the last turn, and its item, by number of the dialogue."""
    turns = small().dialogues.sort_values(["dialogue_id", "turn"])
    asked = turns[turns["speaker"] == "USER"].groupby("dialogue_id")["text"].agg(" ".join)
    ends = turns[turns["item_id"].notna()].set_index("dialogue_id").loc[asked.index]
    return asked.tolist(), ends["text"].tolist(), [int(item) for item in ends["item_id"]]


@pytest.fixture(scope="module")
def desk():
    asked, answers, items = talks()
    return ServiceDesk().fit(asked[:80], answers[:80], items[:80], small().items)


def test_an_answer_names_an_item_of_the_catalogue_and_its_maker(desk):
    items = small().items.set_index("item_id")
    replies = [reply for reply in desk.answer(talks()[0][80:]) if not reply.refused]
    assert len(replies) > 10
    for reply in replies:
        assert items.loc[reply.item_id, "title"] in reply.text
        assert items.loc[reply.item_id, "creator"] in reply.text
        assert "\0" not in reply.text


def test_the_item_is_mostly_of_the_domain_that_was_asked_for(desk):
    asked, _, wanted = talks()
    domain = small().items.set_index("item_id")["domain"]
    replies = desk.answer(asked[80:])
    right = [
        domain[reply.item_id] == domain[item]
        for reply, item in zip(replies, wanted[80:], strict=True)
        if not reply.refused
    ]
    assert sum(right) > 0.6 * len(right)


def test_what_resembles_no_past_question_is_refused(desk):
    strange = ["Where is my parcel?", "", "?!", "wo ist der Bahnhof", "I want my money back."]
    assert all(reply.refused and reply.text == "" for reply in desk.answer(strange))
    assert desk.answer([]) == []


def test_unknown_words_make_a_question_less_similar(desk):
    question = talks()[0][0]
    plain, longer = desk.answer([question, f"{question} zzz yyy xxx"])
    assert plain.similarity == pytest.approx(1.0)
    assert longer.similarity < 0.95


def test_the_threshold_refuses_the_share_of_past_questions():
    asked, answers, items = talks()
    strict, lax = (
        ServiceDesk(refuse).fit(asked[:80], answers[:80], items[:80], small().items)
        for refuse in (0.5, 0.0)
    )
    assert strict.threshold_ > lax.threshold_


def test_a_catalogue_without_makers_and_text_ids_will_do():
    asked, answers, items = talks()
    table = small().items[["item_id", "title", "domain"]]
    table = table.assign(item_id=[f"i{item}" for item in table["item_id"]])
    desk = ServiceDesk().fit(asked[:20], answers[:20], [f"i{item}" for item in items[:20]], table)
    assert str(desk.answer(asked[:1])[0].item_id).startswith("i")


def test_bad_input_is_refused():
    asked, answers, items = talks()
    with pytest.raises(ValueError, match="below 1"):
        ServiceDesk(1.0)
    with pytest.raises(NotFittedError, match="call fit"):
        ServiceDesk().answer(["hello"])
    with pytest.raises(ValueError, match="two pairs or more"):
        ServiceDesk().fit(asked[:1], answers[:1], items[:1], small().items)
    with pytest.raises(DataError, match="lacks \\['domain'\\]"):
        ServiceDesk().fit(asked, answers, items, small().items.drop(columns="domain"))
    with pytest.raises(DataError, match="which past answers name"):
        ServiceDesk().fit(asked[:2], answers[:2], [1, 2], small().items)
