"""Retrieval: two towers that do not see each other, the correction, unseen items, the contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from m6rec_lite.course.exercises.question import load_exercise
from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel
from m6rec_lite.m6rec.item_text import ItemText
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.retriever import M6RecRetriever
from m6rec_lite.m6rec.retriever_batches import EventBatches
from m6rec_lite.m6rec.retriever_network import gap_codes
from m6rec_lite.m6rec.tasks.retrieval import Retrieval, in_batch_softmax
from m6rec_lite.m6rec.tasks.task import collate
from m6rec_lite.recommenders import Recommender
from tests.contracts import test_recommenders as contract
from tests.worlds import shipped, shipped_split

DATASET = shipped()
SPLIT = shipped_split()
TOKENIZER = Tokenizer.train(DATASET.items["title"], 600)
PROMPTS = PromptBuilder(BehaviourText(DATASET), TOKENIZER, 200)
HISTORIES = SPLIT.train.histories()[:5].last(3)
TARGETS = np.array([4, 7, 4, 0, 90])
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
N = len(SPLIT.item_ids)


@pytest.fixture(scope="module")
def model() -> M6RecModel:
    torch.manual_seed(0)
    config = M6RecConfig.of_size("nano", TOKENIZER, **SHAPE, initializer_range=0.2)
    return M6RecModel(config).double().eval()


def a_task(**settings) -> Retrieval:
    torch.manual_seed(1)
    return Retrieval(32, N, **settings).double()


# The towers.


def test_each_tower_reads_its_region_alone(model) -> None:
    task = a_task()
    examples = task.encode(HISTORIES, TARGETS, PROMPTS)
    batch = collate(examples, np.arange(5))
    states = task.states(model, batch)
    for row in range(5):
        known, written = examples.known[row], examples.written[row]
        alone = model.states(torch.tensor(known[None].astype(np.int64)), prefix_length=len(known))
        torch.testing.assert_close(states[row, : len(known)], alone[0])
        item = model.states(torch.tensor(written[None].astype(np.int64)), prefix_length=0)
        torch.testing.assert_close(states[row, len(known) : len(known) + len(written)], item[0])


def test_changing_the_person_leaves_the_item_and_the_other_way(model) -> None:
    task = a_task()
    examples = task.encode(HISTORIES, TARGETS, PROMPTS)
    batch = collate(examples, np.arange(5))
    ids = batch.ids.clone()
    ids[0, 3] = 400  # a word of the person's
    changed = task.states(model, replace(batch, ids=ids))
    states = task.states(model, batch)
    end = int(batch.prefix[0])
    torch.testing.assert_close(batch.last(changed)[0], batch.last(states)[0])
    assert not torch.allclose(changed[0, 0], states[0, 0])  # read both ways
    ids = batch.ids.clone()
    ids[0, end + 2] = 400  # a word of the item's
    changed = task.states(model, replace(batch, ids=ids))
    torch.testing.assert_close(changed[0, :end], states[0, :end])
    torch.testing.assert_close(changed[0, end : end + 2], states[0, end : end + 2])
    assert not torch.allclose(batch.last(changed)[0], batch.last(states)[0])


def test_the_loss_is_the_softmax_over_the_batch_s_different_items(model) -> None:
    task = a_task(tau=0.1)
    examples = task.encode(HISTORIES, TARGETS, PROMPTS, fit=True)
    batch = collate(examples, np.array([3, 1, 0, 4, 2]))
    people = torch.from_numpy(task.user_vectors(model, examples)).double()
    items = torch.from_numpy(task.item_vectors(model, examples.written)).double()
    torch.testing.assert_close(people.norm(dim=1), torch.ones(5).double(), rtol=1e-5, atol=1e-6)
    q = {4: 2 / 5, 7: 1 / 5, 0: 1 / 5, 90: 1 / 5}
    value = 0.0
    for row in range(5):
        mass = dict.fromkeys(q, 0.0)
        for other in range(5):  # every place of the batch, its own item's included
            target = int(TARGETS[other])
            cosine = float(people[row] @ items[other])
            mass[target] += np.exp(cosine / 0.1) / (5 * q[target])
        value -= np.log(mass[int(TARGETS[row])] / sum(mass.values())) / 5
    assert task.loss(model, batch).item() == pytest.approx(value, rel=1e-5)


def test_predictions_do_not_depend_on_the_batch(model) -> None:
    task = a_task()
    examples = task.encode(HISTORIES, None, PROMPTS)
    items = task.item_vectors(model, PROMPTS.items(SPLIT.item_ids[:6]))
    whole = task.predict(model, examples, items=items)
    assert whole.shape == (5, 6)
    alone = task.predict(model, examples, items=items, batch_tokens=1)
    np.testing.assert_allclose(alone, whole, rtol=1e-5, atol=1e-6)
    assert (np.abs(whole) <= 1 + 1e-5).all()


# The correction.


def fit_scores(correct: bool) -> np.ndarray:
    """What free scores come to be when taught by in-batch softmax alone: ``(2 kinds, 3 items)``.

    People of two kinds; items 0, 1, 2 with chances .7, .2, .1 of the one and .7, .1, .2 of the
    other. Item 0 is seven targets of ten.
    """
    chances = np.array([[0.7, 0.2, 0.1], [0.7, 0.1, 0.2]])
    share = torch.from_numpy(np.log(chances.mean(axis=0)))
    scores = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.02)
    draw, eye = np.random.default_rng(0), torch.eye(3, dtype=torch.float64)
    late = []
    for step in range(600):
        kind = draw.integers(0, 2, 64)
        drawn = (draw.random(64)[:, None] > chances[kind].cumsum(axis=1)).sum(axis=1).clip(max=2)
        used, right = torch.unique(torch.from_numpy(drawn), return_inverse=True)
        # the products of a row of scores with unit vectors are the scores themselves
        loss = in_batch_softmax(
            scores[torch.from_numpy(kind)], eye[used], right, tau=1.0,
            log_share=share[used] if correct else None,
        )  # fmt: skip
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step >= 400:
            late.append(scores.detach().softmax(dim=1).numpy())
    return np.mean(late, axis=0)


def test_only_with_the_correction_do_scores_come_to_be_the_chances() -> None:
    wanted = [[0.7, 0.2, 0.1], [0.7, 0.1, 0.2]]
    np.testing.assert_allclose(fit_scores(correct=True), wanted, atol=0.05)
    # Without it popularity is divided out: the item that everybody takes is nothing special.
    np.testing.assert_allclose(fit_scores(correct=False)[:, 0], 1 / 3, atol=0.06)


@pytest.mark.parametrize(
    ("sign", "slope", "low", "high"),
    # without the correction scores are level, and which ten come first is chance
    [(1, 1.0, 2.0, 3.0), (-1, -1.0, 0.2, 0.4), (None, 0.0, None, None)],
    ids=["off", "added", "no correction"],
)
def test_the_sign_of_the_correction_decides_whether_popular_or_rare_items_come_first(
    sign: int | None, slope: float, low: float | None, high: float | None
) -> None:
    """No user has a preference: scores are to be ln p; with ln q added they are ln p - 2 ln q."""
    draw, n = np.random.default_rng(0), 40
    q = 1 / np.arange(1, n + 1)
    log_q = torch.tensor(np.log(q / q.sum()))
    scores = torch.zeros(n, 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.05)
    for _ in range(400):
        targets = torch.tensor(draw.choice(n, 32, p=q / q.sum()))
        used, right = torch.unique(targets, return_inverse=True)
        share = None if sign is None else (sign * log_q)[used]
        people = torch.ones(32, 1, dtype=torch.float64)
        loss = in_batch_softmax(people, scores[used], right, tau=1.0, log_share=share)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    learnt = scores.detach().numpy()[:, 0]
    assert np.polyfit(log_q.numpy(), learnt, 1)[0] == pytest.approx(slope, abs=0.1)
    if low is not None:
        popularity = n * (q / q.sum())[np.argsort(-learnt)[:10]].mean()  # 1 is the catalogue's
        assert low < popularity < high


def test_the_exercise_asks_for_the_loss_of_the_package_and_the_chapter() -> None:
    cases = load_exercise("in_batch_loss").all_cases()
    for case in cases:
        scores, item, q = case.args
        used, first, right = np.unique(item, return_index=True, return_inverse=True)
        loss = in_batch_softmax(
            torch.tensor(scores[:, first]),
            torch.eye(len(used), dtype=torch.float64),
            torch.tensor(right),
            tau=1.0,
            log_share=torch.tensor(np.log(q[used])),
        )
        assert float(loss) == pytest.approx(case.expected)
    assert cases[1].expected == pytest.approx(np.log(2))


def test_an_item_is_no_wrong_answer_to_who_else_has_it() -> None:
    people = F.normalize(torch.randn(4, 3, dtype=torch.float64), dim=1).requires_grad_()
    items = F.normalize(torch.randn(1, 3, dtype=torch.float64), dim=1)
    value = in_batch_softmax(people, items, torch.zeros(4, dtype=torch.long), tau=0.07)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert people.grad.abs().max() < 1e-12


# Bad input.


def test_bad_input_is_said() -> None:
    task = a_task()
    with pytest.raises(DataError, match="indices from 0"):
        task.encode(HISTORIES, np.array([0, 1, 2, 3, N]), PROMPTS)
    with pytest.raises(DataError, match="as many targets"):
        task.encode(HISTORIES, TARGETS[:2], PROMPTS)
    with pytest.raises(DataError, match="made for 3"):
        Retrieval(32, 3).encode(HISTORIES, TARGETS, PROMPTS)
    with pytest.raises(ValueError, match="needs items"):
        task.predict(M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **SHAPE)),
                     task.encode(HISTORIES, None, PROMPTS))  # fmt: skip
    for wrong in ({"tau": 0.0}, {"dimensions": 0}):
        with pytest.raises(ValueError, match="above 0"):
            Retrieval(32, N, **wrong)
    train = contract.TRAIN
    with pytest.raises(DataError, match="reads items"):
        M6RecRetriever().fit(train, progress=False)
    with pytest.raises(DataError, match="lacks 1 of the items"):
        M6RecRetriever().fit(train, items=contract.ITEMS.iloc[1:], progress=False)
    for wrong in ({"item_input": "tea"}, {"parts": ("smell",)}, {"tau": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            M6RecRetriever(**wrong)
    with pytest.raises(ValueError, match="size must be one of"):
        M6RecRetriever(item_input="ids", size="huge").fit(train, progress=False)


# The recommender.

SMALL = {"max_length": 8, "lr": 3e-3, "batch_size": 32, "epochs": 12, "vocab_size": 400,
         "dropout": 0.1}  # fmt: skip


@pytest.fixture(scope="module", params=["both", "text", "ids"])
def fitted(request) -> M6RecRetriever:
    return M6RecRetriever(**SMALL, item_input=request.param).fit(
        contract.TRAIN, items=contract.ITEMS, progress=False
    )


@pytest.mark.parametrize(
    "check",
    [
        contract.test_held_out_item_of_a_planted_pattern_ranks_first,
        contract.test_seen_items_are_excluded_and_ranks_have_no_gap,
        contract.test_k_beyond_the_catalogue_gives_what_there_is,
        contract.test_scores_are_finite_and_in_the_order_of_item_ids,
        contract.test_asking_changes_nothing,
        contract.test_unknown_items_raise,
        contract.test_unknown_users_are_welcome,
        contract.test_empty_history_is_answered_by_popularity,
        contract.test_no_history_at_all_gives_an_empty_table,
    ],
    ids=lambda check: check.__name__.removeprefix("test_"),
)
def test_the_contract_of_every_recommender_holds(fitted, check) -> None:
    check(fitted)


def test_batch_equals_one_by_one(fitted) -> None:
    queries = contract.histories([*contract.WALKS, [], contract.WALKS[2][:2]])
    alone = np.concatenate([fitted.score(queries[i : i + 1]) for i in range(len(queries))])
    np.testing.assert_allclose(fitted.score(queries), alone, rtol=1e-4, atol=1e-4)


def test_save_and_load_are_equal(fitted, tmp_path) -> None:
    path = fitted.save(tmp_path / "model")
    queries = contract.histories([*contract.WALKS, []])
    for loaded in (M6RecRetriever.load(path), Recommender.load(path)):
        np.testing.assert_array_equal(loaded.score(queries), fitted.score(queries))
        assert (loaded.variant, loaded.n_params) == (fitted.variant, fitted.n_params)


def test_in_another_catalogue_known_items_keep_their_scores(fitted, tmp_path) -> None:
    """Some items are gone and one is new; the model is saved and loaded in between."""
    old, new = fitted.item_ids, max(fitted.item_ids) + 1
    ids = np.append(old[3:], new)
    table = contract.ITEMS.assign()
    table.loc[len(table)] = table.iloc[5].to_dict() | {"item_id": new}
    if fitted.item_input == "ids":
        with pytest.raises(DataError, match=r"1 items are not in the catalogue.*knows no others"):
            fitted.for_catalogue(ids)
        ids = old[3:]
    model = M6RecRetriever.load(fitted.save(tmp_path / "model")).for_catalogue(ids, items=table)
    walks = [[item for item in walk if item in ids] for walk in contract.WALKS]
    scores = model.score(Histories.from_lists(walks, ids))
    before = fitted.score(Histories.from_lists(walks, old))
    read = [row for row, walk in enumerate(walks) if walk]
    known = ids[: len(old) - 3]
    np.testing.assert_allclose(scores[read][:, : len(known)], before[read][:, 3:], rtol=1e-4,
                               atol=1e-5)  # fmt: skip
    again = M6RecRetriever.load(model.save(tmp_path / "other"))
    np.testing.assert_array_equal(again.score(Histories.from_lists(walks, ids)), scores)
    if fitted.item_input == "text":  # the new item has the text of another one
        twin = int(np.flatnonzero(ids == table.iloc[5]["item_id"])[0])
        np.testing.assert_allclose(scores[:, -1], scores[:, twin], rtol=1e-4, atol=1e-5)
    if fitted.item_input != "ids":
        with pytest.raises(DataError, match="lacks 1 of the items"):
            fitted.for_catalogue(ids, items=contract.ITEMS)
    rows = Interactions.from_frame(
        pd.DataFrame({"user_id": [1, 1, 1], "item_id": ids[:3], "timestamp": [1, 2, 3]}),
        item_ids=ids,
    )
    model.adapt(rows, epochs=1, progress=False)
    assert not np.array_equal(model.score(Histories.from_lists(walks, ids)), scores)


def test_same_seed_same_scores_and_next_to_nothing_is_enough() -> None:
    queries = contract.histories(contract.WALKS)
    options = SMALL | {"epochs": 1}
    first, second, third = (
        M6RecRetriever(**options, seed=seed)
        .fit(contract.TRAIN, items=contract.ITEMS, progress=False)
        .score(queries)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)
    frame = pd.DataFrame({"user_id": [1], "item_id": [7], "timestamp": [5]})
    tiny = M6RecRetriever(**options).fit(
        Interactions.from_frame(frame), items=contract.ITEMS, progress=False
    )
    assert len(tiny.recommend(Histories.from_lists([[]], np.array([7])))) == 1


def test_an_item_without_training_rows_is_recommended_for_its_words() -> None:
    """Kinds of items; after one of a kind comes another of it. One item has words and no rows."""
    rng = np.random.default_rng(0)
    kinds = ["boots", "jazz", "bread", "chess", "stars", "roses"]
    ids = np.arange(6 * 8).reshape(6, 8)
    titles = [f"{kind} {kind} {name}" for kind in kinds for name in "abcdefgh"]
    items = pd.DataFrame({"item_id": ids.ravel(), "title": titles})
    cold = ids[:, -1]
    rows = [
        (user, item, 1000 * user + step)
        for user in range(150)
        for step, item in enumerate(rng.permutation(ids[user % 6, :-1])[:4])
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    train = Interactions.from_frame(frame, item_ids=ids.ravel())
    queries = Histories.from_lists([row[:7].tolist() for row in ids], train.item_ids)
    for reads, wanted in (("text", True), ("both", True), ("ids", False)):
        options = SMALL | {"item_input": reads, "epochs": 8, "use_time_gaps": False}
        model = M6RecRetriever(**options).fit(train, items=items, progress=False)
        best = model.recommend(queries, k=1)["item_id"].to_numpy()
        assert (np.mean(best == cold) > 0.8) == wanted, (reads, best)


@pytest.mark.parametrize(("gaps", "now"), [(False, False), (True, False), (False, True)])
def test_only_a_model_given_the_moment_reads_it(gaps, now) -> None:
    """What a split calls now is the target's own timestamp: a time-blind model must not see it."""
    model = M6RecRetriever(**SMALL | {"epochs": 1}, use_time_gaps=gaps, use_query_time=now)
    model.fit(contract.TRAIN, items=contract.ITEMS, progress=False)
    queries = contract.histories(contract.WALKS)
    lasts = queries.offsets[1:] - 1
    queries = replace(queries, at=queries.timestamps[lasts] + 30)
    late = replace(queries, at=queries.at + 40 * 86_400)
    moved = queries.timestamps.copy()
    moved[lasts] += 40 * 86_400  # a longer pause before the last event, and the same one after it
    paused = replace(late, timestamps=moved)
    assert np.array_equal(model.score(queries), model.score(late)) == (not now)
    assert np.array_equal(model.score(queries), model.score(paused)) == (not gaps and not now)


def test_words_weigh_by_rarity_and_no_text_is_nothing() -> None:
    texts = ["a dog", "a fox", "a dog fox", "a"]
    tokenizer = Tokenizer.train([*texts, "a dog a fox"], 300)
    text = ItemText.fit(texts, tokenizer)
    shares = text.shares(texts).toarray()
    np.testing.assert_allclose((shares**2).sum(axis=1), 1)
    a, dog = tokenizer.encode("a")[0], tokenizer.encode(" dog")[0]
    assert shares[0, dog] > 20 * shares[0, a]
    assert not text.shares(["", "a dog"]).toarray()[0].any()
    again = ItemText.from_state(text.state())
    assert (again.shares(["a fox dog"]) != text.shares(["a fox dog"])).nnz == 0


def test_batches_say_how_much_time_lies_between_events() -> None:
    hour = 3600
    histories = Histories.from_lists([[7, 20, 23], [26]], contract.TRAIN.item_ids, at=10 * hour)
    when = np.array([0, 30, 2 * hour, 9 * hour])
    histories = replace(histories, timestamps=when)
    before, after = gap_codes(histories)
    # none, up to a minute, up to six hours; up to a minute, six hours, a day (to now), an hour
    assert before.tolist() == [0, 4, 7, 0]
    assert after.tolist() == [4, 7, 8, 6]
    at_once = gap_codes(replace(histories, timestamps=np.array([0, 0, 1, 36_000])))
    assert at_once[0].tolist() == [0, 1, 2, 0]  # ratings of one second are distinguished
    assert at_once[1].tolist() == [1, 2, 8, 1]
    batch = EventBatches(histories, batch_size=4, max_length=5).epoch(0, 0)[0]
    assert batch["items"].tolist() == histories.items[:2].tolist()
    assert batch["targets"].tolist() == histories.items[1:3].tolist()
    assert batch["before"].tolist() == [0, 4]
    assert batch["after"].tolist() == [4, 7]
