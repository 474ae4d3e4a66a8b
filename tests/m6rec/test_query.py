"""Searches to come: what is known before them, how guesses are judged, and that they are learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from m6rec_lite.data import DataError, Dataset, leave_one_out
from m6rec_lite.data.bazaar import words
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.corpora import held_out
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks import Examples, TaskBatches, TaskData
from m6rec_lite.m6rec.tasks.generation import Generation
from m6rec_lite.m6rec.tasks.query import PARTS, SOON, Query
from m6rec_lite.m6rec.tasks.truth import Truth
from m6rec_lite.training import fit
from tests.worlds import small, small_split

DATASET = small()
SPLIT = small_split()
TOKENIZER = Tokenizer.train([*DATASET.items["title"], *DATASET.queries["text"]], 700)
TASK = Query()
TRUTH = Truth(DATASET)
SHARE = {"share": 0.2}
DATA = TaskData(DATASET, SPLIT, TRUTH, held_out=0.2)


def build(part: str, dataset: Dataset = DATASET, size: int = 400, **options) -> Examples:
    prompts = PromptBuilder(BehaviourText(dataset, **options), TOKENIZER, size)
    return TASK.build_examples(replace(DATA, dataset=dataset), prompts, part)


def judge(texts, examples: Examples, truth: Truth | None = None) -> dict[str, float]:
    answers = [Generation.of((None, text)) for text in texts]
    return TASK.evaluate(answers, examples, replace(DATA, truth=truth))


def baselines(train: Examples, examples: Examples, data: TaskData = DATA) -> dict[str, list[str]]:
    result = TASK.baselines(train, examples, data)
    return {name: [one.text for one in some] for name, some in result.items()}


def shown(ids: np.ndarray) -> str:
    return TOKENIZER.decode(ids.tolist(), specials=True)


@pytest.fixture(scope="module")
def examples() -> dict[str, Examples]:
    return {part: build(part) for part in PARTS}


def test_ids_of_users_may_be_text(examples: dict[str, Examples]) -> None:
    tables = {
        name: getattr(DATASET, name).assign(
            user_id=[f"u{user:04d}" for user in getattr(DATASET, name)["user_id"]]
        )
        for name in ("interactions", "users", "queries")
    }
    dataset = replace(DATASET, oracle=None, impressions=None, reviews=None, **tables)
    data = replace(DATA, dataset=dataset, split=leave_one_out(dataset), truth=None)
    prompts = PromptBuilder(BehaviourText(dataset), TOKENIZER, 400)
    for part in ("validation", "test"):  # the others hold users out by their ids
        texts = TASK.build_examples(data, prompts, part)
        assert texts.about["text"].tolist() == examples[part].about["text"].tolist()


@pytest.mark.parametrize("queries", ["history", "now", "none"])
def test_the_search_and_all_later_ones_are_never_known(queries: str) -> None:
    """Each search gets a word of its own: none stands in a row that asks for it or an earlier."""
    table = DATASET.queries.assign(text=[f"mark{i}mark" for i in range(len(DATASET.queries))])
    dataset = replace(DATASET, queries=table)
    when = dict(zip(table["text"], table["timestamp"], strict=True))
    for part in PARTS:
        some = build(part, dataset, size=3000, queries=queries)
        for known, row in zip(some.known, some.about.to_dict("records"), strict=True):
            text = shown(known)
            assert row["text"] not in text
            words = [word for word in text.replace("”", " ").replace("“", " ").split()
                    if word.startswith("mark")]  # fmt: skip
            assert all(when[word] < row["timestamp"] for word in words)
            assert not words or queries != "none"


def test_all_events_before_the_search_are_known_and_no_later_one() -> None:
    train, test = SPLIT.train.histories(), SPLIT.test.histories
    for part, histories in (("train", train), ("test", test)):
        rows = {user: row for row, user in enumerate(histories.user_ids.tolist())}
        some = build(part, size=3000, queries="none")
        for known, row in zip(some.known, some.about.to_dict("records"), strict=True):
            times = histories[rows[row["user_id"]]].timestamps
            assert shown(known).count("[EVENT]") == (times < row["timestamp"]).sum()


def test_parts_are_apart_and_of_whom_they_say(examples) -> None:
    pairs = {
        part: set(zip(each.about["user_id"], each.about["timestamp"], strict=True))
        for part, each in examples.items()
    }
    assert sum(map(len, pairs.values())) == len(set().union(*pairs.values()))
    away = examples["people"].about["user_id"].to_numpy()
    assert held_out(away, **SHARE).all()
    assert not held_out(examples["train"].about["user_id"], **SHARE).any()
    at = dict(zip(SPLIT.test.histories.user_ids, SPLIT.test.histories.at, strict=True))
    for row in examples["test"].about.to_dict("records"):
        assert 0 <= at[row["user_id"]] - row["timestamp"] <= SOON
        assert row["item_id"] >= 0


def test_what_is_met_next_is_found_by_its_time(examples) -> None:
    rows = DATASET.interactions
    for row in examples["train"].about.head(40).to_dict("records"):
        own = rows[rows["user_id"] == row["user_id"]]
        if row["item_id"] >= 0:
            met = own[(own["timestamp"] >= row["timestamp"])
                       & (own["timestamp"] <= row["timestamp"] + SOON)]  # fmt: skip
            assert row["item_id"] in set(met["item_id"])
        if row["last_item"] >= 0:
            before = own[own["timestamp"] < row["timestamp"]]
            assert row["last_item"] in set(before["item_id"])


def test_people_s_own_searches_name_what_they_met(examples) -> None:
    some = examples["test"]
    result = judge(some.about["text"].tolist(), some, TRUTH)
    assert result["exact"] == 1.0
    assert result["target"] == 1.0  # the search says the intent that the item serves
    guesses = baselines(examples["train"], some)
    judged = {name: judge(texts, some, TRUTH) for name, texts in guesses.items()}
    assert all(each["exact"] < 0.2 for each in judged.values())


def test_guesses_are_judged_by_hand(examples) -> None:
    some = examples["test"][:2]
    some.about["text"] = ["Trail Gear", "oven clip"]
    ours, other = (
        words.INTERESTS[interest].label[0]
        for interest in (
            TRUTH.interest(some.about["item_id"][0]),
            next(i for i in range(24) if i not in TRUTH.tastes(some.about["user_id"][1])),
        )
    )
    result = judge(["  trail gear ", "oven"], some)
    assert result["exact"] == 0.5
    assert "target" not in result
    result = judge([ours, other], some, TRUTH)
    assert result["target"] == 0.5
    assert result["taste"] == (0.5 if TRUTH.interest(some.about["item_id"][0])
                              in TRUTH.tastes(some.about["user_id"][0]) else 0.0)  # fmt: skip
    with pytest.raises(ValueError, match="an answer for each of 2"):
        judge(["x"], some)


def test_no_text_forges_structure_and_long_histories_lose_their_oldest_events() -> None:
    nasty = "a “[EOS]”\n[EVENT] the user now searches\x00 b"
    dataset = replace(DATASET, queries=DATASET.queries.assign(text=nasty))
    some = build("train", dataset, size=300)
    assert some.lengths.max() <= 300
    for known, written in zip(some.known[:50], some.written[:50], strict=True):
        marks = [t for t in written.tolist() if t < len(SPECIALS)]
        assert [SPECIALS[t] for t in marks] == ["[BOS]", "[EOS]"]
        assert "\n" not in shown(known)
    with pytest.raises(ValueError, match="leaves no room"):
        build("train", size=30)


def test_a_search_before_any_event_is_asked_of_the_user_alone() -> None:
    train = SPLIT.train.histories()
    starts = train.timestamps[train.offsets[:-1]]
    first = dict(zip(train.user_ids.tolist(), starts.tolist(), strict=True))
    user = int(train.user_ids[0])
    table = pd.DataFrame({"user_id": [user, 10**9], "timestamp": [first[user] - 5] * 2,
                          "text": ["早上好 trail", "nobody's"]})  # fmt: skip
    dataset = replace(DATASET, queries=table)
    prompts = PromptBuilder(BehaviourText(dataset), TOKENIZER, 400)
    data = TaskData(dataset, SPLIT)
    some = TASK.build_examples(replace(data, held_out=0.0), prompts)
    assert len(some) == 1
    assert "[EVENT]" not in shown(some.known[0])
    assert shown(some.written[0]) == "[BOS]the user now searches 早上好 trail[EOS]"
    assert some.about["last_item"][0] == -1
    assert baselines(some, some, data)["last item"] == ["早上好 trail"]


def test_what_is_missing_is_said(examples) -> None:
    with pytest.raises(DataError, match="has no queries"):
        build("train", replace(DATASET, queries=None))
    with pytest.raises(ValueError, match="part must be one of train"):
        build("all")
    with pytest.raises(ValueError, match="no examples of query to learn from"):
        baselines(examples["train"][:0], examples["test"])


def test_a_search_that_follows_from_the_last_event_is_learnt() -> None:
    """Planted: everybody types what names the domain of the item that they met last."""
    said = {"shop": "gear", "posts": "to read", "videos": "clip", "music": "songs",
            "courses": "lessons"}  # fmt: skip
    domain = DATASET.items.set_index("item_id")["domain"].astype(str)
    last = {}
    for part in ("train", "people"):
        about = build(part).about
        for row in about[about["last_item"] >= 0].to_dict("records"):
            last[row["user_id"], row["timestamp"]] = said[domain[row["last_item"]]]
    table = DATASET.queries
    pairs = zip(table["user_id"], table["timestamp"], strict=True)
    planted = table.assign(text=[last.get(pair, "gone") for pair in pairs])
    dataset = replace(DATASET, queries=planted[planted["text"] != "gone"].reset_index(drop=True))
    prompts = PromptBuilder(
        BehaviourText(dataset, context=(), parts=("domain",), queries="none", times=None),
        TOKENIZER,
        40,
    )
    train, test = (
        TASK.build_examples(replace(DATA, dataset=dataset), prompts, part)
        for part in ("train", "people")
    )
    torch.manual_seed(0)
    shape = {"hidden_size": 48, "num_attention_heads": 2}
    model = M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **shape))
    fit(
        model,
        TaskBatches(train, 1024),
        TASK.loss,
        optimizer=torch.optim.AdamW(model.parameters(), lr=5e-3),
        steps=150,
        device="cpu",
        precision="fp32",
        progress=False,
    )
    texts = [one.text for one in TASK.predict(model, test, max_new_tokens=8)]
    guess = judge(baselines(train, test)["most frequent"], test)["exact"]
    assert judge(texts, test)["exact"] > max(0.8, guess + 0.2)
