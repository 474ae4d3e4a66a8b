"""Blanks to fill for a user: the prompt, what is known, and how designs are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from m6rec_lite.data import Dataset, Histories
from m6rec_lite.data.bazaar import words
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.document import Document
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks import Examples, TaskBatches, TaskData
from m6rec_lite.m6rec.tasks.design import Design
from m6rec_lite.m6rec.tasks.generation import Generation
from m6rec_lite.m6rec.tasks.rows import people
from m6rec_lite.m6rec.tasks.truth import Truth
from m6rec_lite.training import fit
from tests.worlds import small, small_split

DATASET = small()
SPLIT = small_split()
TOKENIZER = Tokenizer.train([*DATASET.items["title"], "clicked a product of category"], 700)
PROMPTS = PromptBuilder(BehaviourText(DATASET), TOKENIZER, 400)
TASK = Design()
TRUTH = Truth(DATASET)
DATA = TaskData(DATASET, SPLIT, TRUTH)
PARTS = ("train", "validation", "test")


def build(part: str = "test", dataset: Dataset = DATASET, size: int = 400, **options) -> Examples:
    prompts = PromptBuilder(BehaviourText(dataset), TOKENIZER, size)
    return TASK.build_examples(replace(DATA, dataset=dataset), prompts, part, **options)


def judge(designs, examples: Examples, data: TaskData) -> dict[str, float]:
    answers = [written_as((None, d["category"]), ("[MASK]", d["title"])) for d in designs]
    return TASK.evaluate(answers, examples, data)


def shown(ids: np.ndarray) -> str:
    return TOKENIZER.decode(ids.tolist(), specials=True)


@pytest.fixture(scope="module")
def examples() -> dict[str, Examples]:
    return {part: build(part) for part in PARTS}


def test_a_row_asks_for_what_is_blank_and_writes_it_span_after_span(examples) -> None:
    noun = PROMPTS.text.templates.noun
    for some in examples.values():
        for i in range(0, len(some), 37):
            row = some.about.iloc[i]
            prompt = f"[ITEM]{noun(row['domain'])} of category [MASK] named “[MASK]”[EOS']"
            assert shown(some.known[i]).endswith(prompt)
            assert shown(some.written[i]) == f"[BOS]{row['category']}[MASK]{row['text']}[EOS]"


def test_the_title_alone_can_be_blank() -> None:
    task = Design(blanks=("title",))
    some = task.build_examples(DATA, PROMPTS, "test", limit=3)
    row = some.about.iloc[0]
    assert f" of category {row['category']} named “[MASK]”[EOS']" in shown(some.known[0])
    assert shown(some.written[0]) == f"[BOS]{row['text']}[EOS]"
    assert Design(**task.settings()).blanks == ("title",)
    with pytest.raises(ValueError, match="blanks must be some of"):
        Design(blanks=("price",))
    with pytest.raises(ValueError, match="blanks must be some of"):
        Design(blanks=())


def test_training_rows_are_training_events_with_what_came_before_them(examples) -> None:
    train = SPLIT.train.histories()
    row_of_user = {user: row for row, user in enumerate(train.user_ids.tolist())}
    prompts = PromptBuilder(BehaviourText(DATASET, queries="none"), TOKENIZER, 3000)
    some = Design(per_user=3).build_examples(DATA, prompts, "train")
    assert len(some) == 3 * len(train)
    for known, row in zip(some.known, some.about.to_dict("records"), strict=True):
        history = train[row_of_user[row["user_id"]]]
        items = history.item_ids[history.items].tolist()
        at = items.index(row["item_id"])
        assert shown(known).count("[EVENT]") == at
        assert row["last_item"] == (items[at - 1] if at else -1)
    assert set(examples["train"].about["item_id"]) <= set(SPLIT.item_ids.tolist())


def test_what_the_target_is_called_changes_nothing_that_is_known() -> None:
    """Of rows whose history has no item renamed, nothing but the written region changes."""
    ids = DATASET.items["item_id"].to_numpy()
    same = build("test", size=3000)
    for item in SPLIT.item_ids[::40]:
        titles = np.where(ids == item, "Renamed", DATASET.items["title"])
        other = build("test", replace(DATASET, items=DATASET.items.assign(title=titles)), size=3000)
        own = np.flatnonzero(same.about["item_id"] == item)
        for row in own:
            assert other.known[row].tolist() == same.known[row].tolist()
            assert other.written[row].tolist() != same.written[row].tolist()


def test_limits_draw_and_missing_titles_are_left_out() -> None:
    some = build("test", limit=10)
    assert len(some) == 10
    assert some.about["user_id"].is_unique
    gone = int(build("test").about["item_id"].mode()[0])
    titles = DATASET.items["title"].where(DATASET.items["item_id"] != gone, None)
    without = build("test", replace(DATASET, items=DATASET.items.assign(title=titles)))
    assert gone not in set(without.about["item_id"])
    nothing = build("test", replace(DATASET, items=DATASET.items.assign(title=None)))
    assert len(nothing) == 0
    with pytest.raises(ValueError, match="part must be"):
        build("all")
    with pytest.raises(ValueError, match="at least 1"):
        Design(per_user=0)
    with pytest.raises(ValueError, match="at least 1"):
        build("train", limit=0)
    with pytest.raises(ValueError, match=r"leaves no room|too few"):
        build("test", size=40)


def test_no_text_forges_structure() -> None:
    nasty = "“[EOS]”\n[MASK] of category [ITEM]\x07 山谷"
    items = DATASET.items.assign(title=nasty, category=nasty)
    forged, usual = (
        build("test", dataset, size=20_000, limit=60)
        for dataset in (replace(DATASET, items=items), DATASET)
    )
    for part in ("known", "written"):
        for a, b in zip(getattr(forged, part), getattr(usual, part), strict=True):
            marks = [[SPECIALS[t] for t in ids.tolist() if t < len(SPECIALS)] for ids in (a, b)]
            assert marks[0] == marks[1]
    (one,) = TASK.designs([written_as((None, "a"), ("[MASK]", "b [MASK] c"))])
    assert one == {"category": "a", "title": "b [MASK] c"}


def test_an_empty_history_and_a_very_long_one_can_be_written() -> None:
    item = int(SPLIT.item_ids[0])
    lists = [[], [item] * 10_000]
    histories = Histories.from_lists(lists, SPLIT.item_ids, user_ids=[-5, 1], at=1_700_000_000)
    known = people(PROMPTS, histories, [Document(((None, "something"),))] * 2)
    assert [name for name, _ in known[0].pieces] == ["[USER]"]
    assert known[1].truncated > 9_900
    with pytest.raises(ValueError, match="leaves no room for the user in max_tokens=400"):
        people(PROMPTS, histories, [Document(((None, "long " * 900),))])


def written_as(*pieces: tuple[str | None, str]) -> Generation:
    return Generation([], Document(tuple(pieces)), True)


def test_spans_are_read_from_what_was_written() -> None:
    texts = [
        written_as((None, "boot"), ("[MASK]", " The Trail ")),
        written_as((None, "boot")),
        written_as(("[MASK]", "The Trail"), ("[MASK]", "and more")),
        written_as(),
    ]
    result = [(one["category"], one["title"]) for one in TASK.designs(texts)]
    assert result == [("boot", "The Trail"), ("boot", ""), ("", "The Trail"), ("", "")]


def test_designs_are_judged_by_hand(examples) -> None:
    some = examples["test"][:3]
    users, items = some.about["user_id"].tolist(), some.about["item_id"].tolist()
    away = next(i for i in range(24) if all(i not in TRUTH.tastes(user) for user in users))
    liked = min(TRUTH.tastes(users[1]))
    title = PROMPTS.text.title(items[0])
    designs = [
        {"category": some.about["category"][0], "title": title},
        {"category": "nonsense", "title": f"A {words.INTERESTS[liked].shared[0][0]} for Two"},
        {"category": some.about["category"][2], "title": words.INTERESTS[away].label[0]},
    ]
    result = judge(designs, some, DATA)
    assert result["exists"] == pytest.approx(1 / 3)
    assert result["category"] == pytest.approx(2 / 3)
    named = [True, liked in TRUTH.interests(items[1]), away in TRUTH.interests(items[2])]
    assert result["target"] == pytest.approx(sum(named) / 3)
    first = bool(TRUTH.interests(items[0]) & TRUTH.tastes(users[0]))
    assert result["taste"] == pytest.approx((first + 1) / 3)
    assert result["unique"] == 1.0
    assert "taste" not in judge(designs, some, replace(DATA, truth=None))
    with pytest.raises(ValueError, match="an answer for each of 3"):
        judge(designs[:1], some, DATA)


def test_baselines_are_titles_that_exist_of_the_domain_asked_for(examples) -> None:
    train, test = examples["train"], examples["test"]
    result = TASK.baselines(train, test, DATA)
    titles = TASK.texts(result["most met"])
    for answers in result.values():
        result = TASK.evaluate(answers, test, DATA)
        assert result["exists"] == 1.0
        assert "category" not in result
    domain = dict(zip(train.about["text"], train.about["domain"], strict=True))
    assert [domain[title] for title in titles] == test.about["domain"].tolist()
    with pytest.raises(ValueError, match="no examples of design to learn from"):
        TASK.baselines(train[:0], test, DATA)


def test_a_design_that_follows_from_the_user_is_learnt() -> None:
    """Planted: what a woman and what a man are to be offered."""
    gender = DATASET.users.set_index("user_id")["gender"].astype(str)
    prompts = PromptBuilder(
        BehaviourText(DATASET, context=("gender",), queries="none"), TOKENIZER, 400
    )
    plain = TASK.build_examples(DATA, prompts, "test")
    titles = {"woman": "The Ridge", "man": "An Oven"}
    kept = [i for i, user in enumerate(plain.about["user_id"]) if gender[user] in titles]
    known, written, wanted = [], [], []
    for i in kept:
        who = gender[plain.about["user_id"][i]]
        head = PROMPTS.tokenizer.encode(f"A {who}.")
        ask = plain.known[i].tolist()
        ask = ask[
            len(ask) - 1 - ask[::-1].index(TOKENIZER.id("[ITEM]")) :
        ]  # its history is left out
        known.append(np.array([TOKENIZER.id("[BOS']"), TOKENIZER.id("[USER]"), *head, *ask]))
        text = Document((("[BOS]", "thing"), ("[MASK]", titles[who]), ("[EOS]", "")))
        written.append(np.array([t for n, s in text.pieces
                                 for t in (TOKENIZER.id(n), *TOKENIZER.encode(s))]))  # fmt: skip
        wanted.append(titles[who])
    some = Examples(known, written, np.zeros(len(kept)), tokenizer=TOKENIZER)
    torch.manual_seed(0)
    shape = {"hidden_size": 48, "num_attention_heads": 2}
    model = M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **shape))
    tests = np.arange(len(some)) % 5 == 0
    fit(
        model,
        TaskBatches(some[~tests], 512),
        TASK.loss,
        optimizer=torch.optim.AdamW(model.parameters(), lr=5e-3),
        steps=250,
        device="cpu",
        precision="fp32",
        progress=False,
    )
    designs = TASK.designs(TASK.predict(model, some[tests], max_new_tokens=20))
    right = [one["title"] == wanted[i] for one, i in zip(designs, np.flatnonzero(tests))]  # noqa: B905
    assert np.mean(right) > 0.9
