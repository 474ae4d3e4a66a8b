"""Scoring: what is known of an impression, that it is read, and that the future is not in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from m6rec_lite.ctr.impressions import known_at
from m6rec_lite.data import Card, DataError, Dataset, validate
from m6rec_lite.evaluation.ctr import auc
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel
from m6rec_lite.m6rec.click_model import M6RecCTR
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.joint import Weights, train_jointly
from m6rec_lite.m6rec.tasks.multitask import MultiTaskModel
from m6rec_lite.m6rec.tasks.scoring import Scoring, correct_for_sampling
from m6rec_lite.m6rec.tasks.task import TaskBatches, collate
from m6rec_lite.m6rec.tasks.verbalizer import StatisticsVerbalizer
from m6rec_lite.recommenders import NotFittedError

START = 1_700_000_000
WORDS = ["boots", "jazz", "bread", "chess"]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def world(n_users: int = 1300, seed: int = 0) -> Dataset:
    """A user clicks an item if its word occurs among the words of what was met before."""
    rng = np.random.default_rng(seed)
    n_items = 4 * len(WORDS)
    items = pd.DataFrame(
        {
            "item_id": 100 + np.arange(n_items),
            "title": [WORDS[i % len(WORDS)] for i in range(n_items)],
        }
    )
    rows, shown = [], []
    for user in range(1, n_users + 1):
        tastes = rng.permutation(len(WORDS))[:2]
        now = START + 1000 * user
        for step, taste in enumerate(tastes):
            item = 100 + taste + len(WORDS) * rng.integers(4)
            rows.append((user, item, now + step, "click"))
        liked = rng.random() < 0.5
        others = np.setdiff1d(np.arange(len(WORDS)), tastes)
        word = rng.choice(tastes if liked else others)
        item = 100 + word + len(WORDS) * rng.integers(4)
        shown.append((user, user, item, now + 500, 0, liked))
        if liked:  # in the second of the click itself the log says so: it must not be read
            rows.append((user, item, now + 500, "click"))
    interactions = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "event"])
    columns = ["slate_id", "user_id", "item_id", "timestamp", "position", "clicked"]
    impressions = pd.DataFrame(shown, columns=columns)
    impressions = impressions.assign(propensity=1.0, examination=1.0, purchased=False)
    users = pd.DataFrame({"user_id": np.arange(1, n_users + 1)})
    tables = {"interactions": interactions.assign(value=1.0), "items": items, "users": users,
              "impressions": impressions}  # fmt: skip
    checked = {name: validate(name, table) for name, table in tables.items()}
    return Dataset(name="words", card=Card("words", "none", "a test"), **checked)


DATASET = world()
SHOWN = DATASET.impressions
TEXT = BehaviourText(DATASET)
TOKENIZER = Tokenizer.train(
    [TEXT.item(int(i)) for i in DATASET.items["item_id"]]
    + StatisticsVerbalizer(("counts",)).examples(),
    500,
)
PROMPTS = PromptBuilder(TEXT, TOKENIZER, 256)


def a_model(**changes) -> M6RecModel:
    torch.manual_seed(0)
    return M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **(SHAPE | changes)))


def text_of(row: np.ndarray) -> str:
    return TOKENIZER.decode(row.tolist(), specials=True)


# What is known.


def test_a_row_tells_the_past_the_item_and_what_was_known_of_it() -> None:
    scoring = Scoring(32, feature_groups=("context", "counts"))
    examples = scoring.encode(SHOWN[:200], DATASET, PROMPTS, fit=True)
    known, written = text_of(examples.known[0]), text_of(examples.written[0])
    first = SHOWN.iloc[0]
    past = DATASET.interactions[
        (DATASET.interactions["user_id"] == first["user_id"])
        & (DATASET.interactions["timestamp"] < first["timestamp"])
    ]
    assert known.startswith("[BOS'][USER]")
    assert known.count("[EVENT]clicked") == len(past) == 2
    assert written.startswith(f"[BOS][ITEM]{TEXT.item(int(first['item_id']))}[SEP]place 0, ")
    assert written.endswith("[EOS]")
    assert examples.target.tolist() == SHOWN["clicked"][:200].astype(int).tolist()


def test_nothing_of_the_impressions_own_second_or_later_is_used() -> None:
    kept = DATASET.interactions.merge(
        SHOWN[["user_id", "timestamp"]].rename(columns={"timestamp": "shown"}), on="user_id"
    )
    earlier = kept[kept["timestamp"] < kept["shown"]].drop(columns="shown")
    queries = SHOWN.iloc[-1:]
    rows = []
    for log in (DATASET.interactions, earlier[earlier["timestamp"] < queries["timestamp"].iloc[0]]):
        known = replace(DATASET, interactions=log, impressions=SHOWN.iloc[:-1])
        scoring = Scoring(32, feature_groups=("matches",))
        scoring.verbalizer.fit(known_at(SHOWN, DATASET, groups=("matches",)))
        examples = scoring.encode(queries, known, PROMPTS)
        rows.append((text_of(examples.known[0]), text_of(examples.written[0])))
    # the log's own second holds clicks of others' slates; its words must be the same without them
    assert rows[0][0] == rows[1][0]


def test_each_group_can_be_switched_off() -> None:
    for groups, wanted in (((), None), (("context",), "place"), (("matches",), "words")):
        scoring = Scoring(32, feature_groups=groups, events=0)
        examples = scoring.encode(SHOWN[:50], DATASET, PROMPTS, fit=True)
        assert "[EVENT]" not in text_of(examples.known[0])
        written = text_of(examples.written[0])
        assert (f"[SEP]{wanted}" in written or f", {wanted}" in written) if wanted else (
            "[SEP]" not in written
        )  # fmt: skip
    with pytest.raises(ValueError, match="groups must be some of"):
        Scoring(32, feature_groups=("weather",))


def test_levels_unknown_or_of_another_kind_of_data_are_said() -> None:
    with pytest.raises(DataError, match="fit=True"):
        Scoring(32, feature_groups=("counts",)).encode(SHOWN[:5], DATASET, PROMPTS)
    scoring = Scoring(32, feature_groups=("counts",))
    scoring.encode(SHOWN, DATASET, PROMPTS, fit=True)
    with pytest.raises(DataError, match="item_click_rate"):
        scoring.encode(SHOWN[:5], replace(DATASET, impressions=None), PROMPTS)


def test_an_event_too_long_for_the_row_is_left_out_and_a_user_too_long_is_said() -> None:
    scoring, text = Scoring(32, feature_groups=(), events=5), BehaviourText(DATASET, context=())
    whole = scoring.encode(SHOWN[:3], DATASET, PromptBuilder(text, TOKENIZER, 256))
    assert all("[EVENT]" in text_of(row) for row in whole.known)
    longest = int(max(len(row) for row in whole.written))
    limit = longest + -longest % 8 + 6
    short = scoring.encode(SHOWN[:3], DATASET, PromptBuilder(text, TOKENIZER, limit))
    assert (short.lengths <= limit).all()
    assert [text_of(row) for row in short.known] == ["[BOS'][USER][EOS']"] * 3
    with pytest.raises(ValueError, match=r"too few|no room"):
        scoring.encode(SHOWN[:3], DATASET, PromptBuilder(text, TOKENIZER, 9))


# Bad labels.


def test_bad_labels_are_refused() -> None:
    scoring = Scoring(32, feature_groups=())
    with pytest.raises(DataError, match="no column 'bought'"):
        scoring.encode(SHOWN, DATASET, PROMPTS, label="bought")
    stars = SHOWN.assign(stars=[2, *[0] * (len(SHOWN) - 1)])
    with pytest.raises(DataError, match=r"classes 0 to 1.*got \[2\]"):
        scoring.encode(stars, DATASET, PROMPTS, label="stars")
    with pytest.raises(DataError, match=r"all .* rows have clicked = True"):
        scoring.encode(SHOWN[SHOWN["clicked"]], DATASET, PROMPTS, fit=True)
    with pytest.raises(DataError, match="no rows"):
        scoring.encode(SHOWN[:0], DATASET, PROMPTS)
    with pytest.raises(DataError, match="missing among"):
        scoring.encode(SHOWN.drop(columns="user_id"), DATASET, PROMPTS)
    for wrong in ({"classes": 1}, {"events": -1}):
        with pytest.raises(ValueError, match="at least"):
            Scoring(32, **wrong)


# The loss and the answers.


def test_the_loss_is_the_cross_entropy_of_the_state_at_the_last_token() -> None:
    model = a_model().double().eval()
    scoring = Scoring(32, classes=3, feature_groups=()).double()
    graded = SHOWN.assign(grade=np.arange(len(SHOWN)) % 3)
    examples = scoring.encode(graded[:6], DATASET, PROMPTS, label="grade")
    value, chances = 0.0, []
    for i in range(6):
        row = np.concatenate([examples.known[i], examples.written[i]]).astype(np.int64)
        states = model.states(torch.from_numpy(row)[None], prefix_length=len(examples.known[i]))
        chance = scoring.head(states[0, -1]).softmax(dim=0)
        chances.append(chance.detach().numpy())
        value -= chance[i % 3].log().item() / 6
    result = scoring.loss(model, collate(examples, np.array([3, 1, 2, 0, 5, 4])))
    assert result.item() == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(scoring.predict(model, examples), np.stack(chances), rtol=1e-9)
    np.testing.assert_allclose(  # one at a time
        scoring.predict(model, examples, batch_tokens=1), np.stack(chances), rtol=1e-9
    )


def test_two_classes_are_answered_by_the_chance_of_the_second() -> None:
    scoring, model = Scoring(32, feature_groups=()), a_model()
    examples = scoring.encode(SHOWN[:4], DATASET, PROMPTS, label=None)
    assert scoring.predict(model, examples).shape == (4,)
    assert scoring.predict(model, examples[:0]).shape == (0,)
    assert model.training


# The click model.


def learnt(events: int, epochs: int) -> float:
    """AUC on later impressions of a small model that learnt from the earlier ones."""
    text = BehaviourText(DATASET, parts=("title",), context=(), times=None)
    said = [text.item(int(i)) for i in DATASET.items["item_id"]]
    said += [text.templates.events["click"].format(item=words) for words in said]
    tokenizer = Tokenizer.train(said * 2, 400)  # short rows: a word is a token
    torch.manual_seed(0)
    scoring = Scoring(32, feature_groups=(), events=events)
    config = M6RecConfig.of_size("nano", tokenizer, **SHAPE, initializer_range=0.1)
    model = M6RecModel(
        config
    )  # far from 0 at the start, or to see that two words are equal is slow
    parts = SHOWN[:1000], SHOWN[1000:]
    prompts = PromptBuilder(text, tokenizer, 64)
    train, test = (scoring.encode(part, DATASET, prompts) for part in parts)
    train_jointly(
        MultiTaskModel(model, {"scoring": scoring}),
        {"scoring": TaskBatches(train, 2048)},
        Weights(finetune={"scoring": 1.0}),
        epochs=epochs,
        lr=5e-3,
        progress=False,
    )
    return auc(test.target, scoring.predict(model, test))


def test_a_click_that_depends_on_a_word_of_the_history_is_learnt() -> None:
    """No word is clicked more than another, and no user: only the pair of both tells."""
    assert learnt(events=2, epochs=20) > 0.9
    assert learnt(events=0, epochs=6) < 0.65


def fitted(**settings) -> M6RecCTR:
    options = {
        "feature_groups": ("counts",),
        "events": 1,
        "vocab_size": 400,
        "tokens": 2048,
        "epochs": 1,
    }
    model = M6RecCTR(**(options | {"negatives": None} | settings))
    return model.fit(SHOWN[:48], DATASET, progress=False)


@pytest.fixture(scope="module")
def clicks() -> M6RecCTR:
    return fitted()


def test_save_and_load_are_equal(clicks, tmp_path) -> None:
    again = M6RecCTR.load(clicks.save(tmp_path / "clicks"))
    np.testing.assert_array_equal(
        again.predict(SHOWN[40:60], DATASET), clicks.predict(SHOWN[40:60], DATASET)
    )
    assert again.n_params == clicks.n_params
    with pytest.raises(NotFittedError):
        M6RecCTR().predict(SHOWN, DATASET)


def test_same_seed_same_chances() -> None:
    first, second, third = (fitted(seed=seed) for seed in (3, 3, 4))
    queries = SHOWN[:20]
    np.testing.assert_array_equal(first.predict(queries, DATASET), second.predict(queries, DATASET))
    assert not np.array_equal(first.predict(queries, DATASET), third.predict(queries, DATASET))


def test_probabilities_are_corrected_for_the_rows_left_out() -> None:
    # 10 clicks among 1,000: with one other of ten kept, odds of 10 : 99 stand for 10 : 990
    corrected = correct_for_sampling(np.array([10 / 109]), 0.1)
    assert corrected[0] == pytest.approx(10 / 1000, rel=1e-12)
    labels = np.array([1.0] * 10 + [0.0] * 990)
    kept, share = Scoring(8, negatives=3).sample_negatives(labels)
    assert (len(kept), share) == (40, 30 / 990)
    assert kept[:10].tolist() == list(range(10))
    kept, share = Scoring(8, negatives=None).sample_negatives(labels)
    assert len(kept) == 1000
    assert share == 1
    kept, share = Scoring(8, negatives=3).sample_negatives(labels, limit=20)
    assert labels[kept].sum() == 5
    assert (len(kept), share) == (20, pytest.approx(15 / 990 / (5 / 10)))


def test_weights_saved_under_the_former_name_are_read() -> None:
    scoring = Scoring(8)
    weights = scoring.state_dict()
    weights["telling.edges"] = torch.ones_like(weights.pop("verbalizer.edges"))
    other = MultiTaskModel(a_model(hidden_size=8), {"scoring": Scoring(8)})
    other.tasks.load_state_dict({f"scoring.{key}": value for key, value in weights.items()})
    assert (other.tasks["scoring"].verbalizer.edges == 1).all()


def test_the_average_of_the_weights_answers_where_it_is_asked_for(clicks) -> None:
    averaged = fitted(averaging=0.9)
    queries = SHOWN[:20]
    assert not np.allclose(averaged.predict(queries, DATASET), clicks.predict(queries, DATASET))
    assert averaged.history["scoring"] == clicks.history["scoring"]  # learning goes on unchanged


def test_the_dropout_named_is_that_of_a_pretrained_model_too(tmp_path) -> None:
    fresh = fitted(epochs=1)
    fresh.together_.model.save_pretrained(tmp_path / "model")
    fresh.tokenizer_.save(tmp_path / "model")
    options = {"model": str(tmp_path / "model"), "dropout": 0.25}
    assert fitted(**options).together_.model.config.dropout == 0.25


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="decay must be above 0"):
        M6RecCTR(averaging=1.5)
    for wrong in ({"epochs": 0}, {"negatives": 0}, {"lr": -1}, {"max_tokens": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            M6RecCTR(**wrong)


def test_any_column_of_booleans_is_a_label_and_no_slates_are_needed() -> None:
    liked = SHOWN.rename(columns={"clicked": "liked"}).drop(columns=["position", "slate_id"])
    dataset = replace(DATASET, impressions=None)
    model = M6RecCTR(label="liked", events=1, vocab_size=400, epochs=1, tokens=2048)
    model.fit(liked[:30], dataset, validation=liked[30:50], progress=False)
    chances = model.predict(liked[50:55], dataset)
    assert chances.shape == (5,)
    assert ((chances > 0) & (chances < 1)).all()
    assert {"auc", "log_loss"} <= model.history.records[-1].keys()
    assert model.predict(liked[:0], dataset).shape == (0,)
