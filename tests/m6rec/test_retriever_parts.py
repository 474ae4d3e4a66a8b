"""The retriever's optional parts: long memory, attributes of the user, linear path."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.m6rec.retriever_network import RetrieverNetwork, gap_codes
from m6rec_lite.m6rec.retriever_parts import LINEAR_DECAY, MEMORY_DECAY
from m6rec_lite.m6rec.user_attributes import UserAttributes
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders import EASE, Recommender
from tests.contracts import test_recommenders as contract

TRAIN = contract.TRAIN
#: Every third training user is missing; one city is that of a single user.
USERS = pd.DataFrame({"user_id": TRAIN.user_ids})
USERS["city"] = pd.Series(np.array(["Rome", "Lima"])[np.arange(len(USERS)) % 2], dtype="category")
USERS["age_band"] = np.array(["18-24", "25-34", "35-44", None])[np.arange(len(USERS)) % 4]
USERS.loc[1, "age_band"] = "99"
USERS["height"] = 1.7
USERS = USERS[np.arange(len(USERS)) % 3 != 2]

SMALL: dict[str, Any] = {
    "item_input": "ids", "size": "1x32", "max_length": 3, "batch_size": 32, "epochs": 2,
    "dropout": 0.0, "device": "cpu",
}  # fmt: skip
PARTS = {"long_memory": True, "use_attributes": True, "linear": True}


def fit(**settings: Any) -> M6RecRetriever:
    model = M6RecRetriever(**SMALL | settings)
    return model.fit(TRAIN, items=contract.ITEMS, users=USERS, progress=False)


def network_of(model: M6RecRetriever) -> RetrieverNetwork:
    network = model._network
    assert isinstance(network, RetrieverNetwork)
    return network


def with_large_weights(model: M6RecRetriever) -> RetrieverNetwork:
    """The network in float64, with weights large enough for every part to matter."""
    network = network_of(model).double().eval()
    torch.manual_seed(0)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.3)
    assert network.profile is not None
    for table in network.profile.tables:
        assert isinstance(table, nn.Embedding)
        nn.init.zeros_(table.weight[0])  # code 0 has no embedding
    assert network.linear is not None
    nn.init.constant_(network.linear.scale, 0.7)
    return network


def dense_scores(
    network: RetrieverNetwork, state: torch.Tensor, history: list[int], codes: list[int]
) -> torch.Tensor:
    """``(n_items,)`` scores after a whole history, event by event, from the state of the blocks."""
    vectors, retrieval = network.catalogue(), network.retrieval
    assert network.memory is not None
    assert network.profile is not None
    assert network.linear is not None
    weights = [MEMORY_DECAY**back for back in range(len(history))][::-1]
    bag = torch.stack([w * vectors[i] for w, i in zip(weights, history, strict=True)]).sum(dim=0)
    bag = bag / math.sqrt(sum(w * w for w in weights)) * math.sqrt(vectors.shape[1])
    person = retrieval.person(state) + network.memory.proj.weight @ bag
    for table, code in zip(network.profile.tables, codes, strict=True):
        assert isinstance(table, nn.Embedding)
        if code:
            person = person + table.weight[code] * math.sqrt(retrieval.dimensions)
    ease = torch.zeros(len(vectors), dtype=torch.float64)
    for item in history:
        ease = network.linear.weights[item] + LINEAR_DECAY * ease
    cosines = retrieval.items(vectors) @ F.normalize(person, dim=-1)
    return cosines / retrieval.tau + network.linear.scale * ease


@pytest.mark.parametrize("window", ["latest", "random"])
def test_loss_and_gradients_equal_a_dense_reference(window: str) -> None:
    model = fit(**PARTS, window=window, epochs=1)
    network = with_large_weights(model)
    histories = TRAIN.histories()
    batch = model._batches(histories).epoch(0, 0)[0]
    assert batch["n_earlier"].max() > 2
    states = network(network.catalogue(), batch, Packing(batch["lengths"]))
    counts = torch.bincount(batch["targets"], minlength=TRAIN.n_items)
    rows = zip(
        batch["items"].split(batch["lengths"].tolist()),
        batch["earlier"].split(batch["n_earlier"].tolist()),
        batch["profiles"].tolist(),
        strict=True,
    )
    losses: list[torch.Tensor] = []
    for window_items, earlier, codes in rows:
        for t in range(1, len(window_items) + 1):
            history = [*earlier.tolist(), *window_items[:t].tolist()]
            token = len(losses)
            target = int(batch["targets"][token])
            scores = dense_scores(network, states[token], history, codes)
            scores = scores + counts.log() - network.retrieval.log_share - math.log(len(states))
            out = sorted(set(window_items[:t].tolist()) - {target})
            scores = scores.index_fill(0, torch.tensor(out, dtype=torch.int64), -torch.inf)
            losses.append(torch.logsumexp(scores, 0) - scores[target])
    expected, loss = torch.stack(losses).mean(), network.loss(batch)
    torch.testing.assert_close(loss, expected)
    names = ["memory.proj.weight", "profile.tables.0.weight", "profile.tables.1.weight",
             "linear.scale", "ids.weight"]  # fmt: skip
    weights = [network.get_parameter(name) for name in names]
    for name, ours, plain in zip(
        names,
        torch.autograd.grad(loss, weights, retain_graph=True),
        torch.autograd.grad(expected, weights),
        strict=True,
    ):
        assert plain.abs().max() > 1e-6, name
        torch.testing.assert_close(ours, plain, msg=name)


def test_a_batch_has_the_events_before_its_windows_and_the_users_profiles() -> None:
    model = fit(**PARTS, epochs=1)
    histories = TRAIN.histories()
    batch = model._batches(histories).epoch(0, 0)[0]
    assert model._attributes is not None
    profiles = model._attributes.profiles(histories.user_ids)
    bounds = zip(histories.offsets[:-1], histories.offsets[1:], strict=True)
    known = {
        (*histories.items[start:end].tolist(), *profile)
        for (start, end), profile in zip(bounds, profiles.tolist(), strict=True)
    }
    lengths = batch["lengths"].tolist()
    for earlier, items, targets, profile in zip(
        batch["earlier"].split(batch["n_earlier"].tolist()),
        batch["items"].split(lengths),
        batch["targets"].split(lengths),
        batch["profiles"].tolist(),
        strict=True,
    ):
        assert len(items) == min(len(earlier) + len(items), 3)
        assert (*earlier.tolist(), *items.tolist(), int(targets[-1]), *profile) in known
    assert [0, 0] in batch["profiles"].tolist()  # a user without a row
    assert set(model._batches(histories).epoch(0, 0)[0]) == {
        "lengths", "items", "targets", "before", "after", "n_earlier", "earlier", "profiles"
    }  # fmt: skip


def test_scores_equal_the_dense_reference() -> None:
    model = fit(**PARTS, epochs=1)
    network = with_large_weights(model)
    queries = TRAIN.histories()[:12]
    queries = replace(queries, user_ids=np.append(queries.user_ids[:11], 999_999))
    scores = network.score(queries, 3)
    assert model._attributes is not None
    profiles = model._attributes.profiles(queries.user_ids)
    assert profiles[0].all()
    assert not profiles[-1].any()
    assert not profiles[2].any()  # not in the table
    latest = queries.last(3)  # what the blocks read
    for row in range(len(queries)):
        start, end = queries.offsets[row : row + 2]
        one = latest[row : row + 1]
        batch = {
            "items": torch.from_numpy(one.items.astype(np.int64)),
            "before": torch.from_numpy(gap_codes(queries[row : row + 1])[0][-3:]),
            "lengths": torch.from_numpy(one.lengths),
        }
        packing = Packing(batch["lengths"])
        state = network(network.catalogue(), batch, packing)[-1]
        history = queries.items[start:end].tolist()
        expected = dense_scores(network, state, history, profiles[row].tolist())
        np.testing.assert_allclose(scores[row], expected.detach(), rtol=1e-5)


def test_off_adds_nothing() -> None:
    network = network_of(fit(epochs=1))
    assert not [name for name in network.state_dict() if "memory" in name or "linear" in name]
    batch = fit(epochs=1)._batches(TRAIN.histories()).epoch(0, 0)[0]
    assert set(batch) == {"lengths", "items", "targets", "before", "after"}


@pytest.mark.parametrize("part", ["long_memory", "use_attributes"])
def test_a_part_starts_without_effect_and_learns(part: str) -> None:
    before, plain = (
        M6RecRetriever(**SMALL | settings | {"lr": 1e-30}).fit(TRAIN, users=USERS, progress=False)
        for settings in ({part: True}, {})
    )
    queries = TRAIN.histories()
    np.testing.assert_array_equal(before.score(queries), plain.score(queries))
    after = network_of(fit(**{part: True})).state_dict()
    learned = [w for name, w in after.items() if name.startswith(("memory", "profile"))]
    assert learned
    for weight in learned:
        assert weight.abs().max() > 1e-4


def test_the_weight_of_the_linear_path_learns_and_its_scores_are_those_of_ease() -> None:
    network = network_of(fit(linear=True))
    assert network.linear is not None
    assert abs(float(network.linear.scale.detach()) - 1) > 1e-4
    ease, queries = EASE(decay=LINEAR_DECAY).fit(TRAIN), TRAIN.histories()
    items, lengths = (
        torch.from_numpy(a.astype(np.int64)) for a in (queries.items, queries.lengths)
    )
    ours = (network.linear.after_all(items, lengths) / network.linear.scale).detach().numpy()
    scores = ease.score(queries)
    np.testing.assert_allclose(ours, scores / scores.std(), rtol=1e-4, atol=1e-5)


def test_only_parts_that_read_all_events_see_those_before_the_window() -> None:
    ids = TRAIN.item_ids
    rows = [[*ids[1:9], *ids[10:13]], [*ids[20:28], *ids[10:13]]]
    queries = Histories.from_lists([[int(i) for i in row] for row in rows], ids)
    for settings, sees in (({}, False), ({"long_memory": True}, True), ({"linear": True}, True)):
        first, second = fit(**settings, use_time_gaps=False).score(queries)
        assert np.allclose(first, second, rtol=1e-5, atol=1e-6) != sees, settings


def test_attributes_tell_apart_users_of_one_history() -> None:
    """Users of Rome take the second half of the catalogue, those of Lima the first."""
    draws = np.random.default_rng(0)
    rows = [
        (user, item, step)
        for user in range(120)
        for step, item in enumerate([0, *draws.permutation(np.arange(1, 9))[:4] + 8 * (user % 2)])
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    train = Interactions.from_frame(frame)
    users = pd.DataFrame({"user_id": np.arange(120), "city": np.array(["Lima", "Rome"] * 60)})
    settings = SMALL | {"epochs": 30, "lr": 0.01, "use_attributes": True}
    model = M6RecRetriever(**settings).fit(train, users=users, progress=False)
    histories = Histories.from_lists([[0]] * 3, train.item_ids, user_ids=[10, 11, 5000])
    lima, rome, unknown = (row.argsort()[::-1] for row in model.score(histories))
    assert set(lima[:8]) <= set(range(9))
    assert set(rome[:8]) <= {0, *range(9, 17)}
    assert not np.array_equal(unknown, lima)
    other = model.for_catalogue(
        train.item_ids, users=pd.DataFrame({"user_id": ["a", "b"], "city": ["Rome", "Oslo"]})
    )
    named = Histories.from_lists([[0]] * 3, train.item_ids, user_ids=["a", "b", "c"])
    scores = other.score(named)
    np.testing.assert_allclose(scores[0], model.score(histories)[1], rtol=1e-5)
    np.testing.assert_array_equal(scores[1], scores[2])  # Oslo was not learned


def test_values_that_one_user_has_and_numbers_are_no_attributes() -> None:
    found = UserAttributes.fit("model", TRAIN.user_ids, USERS)
    assert found.values == {"city": ["Lima", "Rome"], "age_band": ["18-24", "25-34", "35-44"]}
    ids = USERS["user_id"].to_numpy()
    assert found.profiles(ids[:2]).tolist() == [[2, 1], [1, 0]]  # "99" is that of one user
    again = UserAttributes.from_state(found.state())
    np.testing.assert_array_equal(again.profiles(ids), found.profiles(ids))


@pytest.mark.parametrize(
    ("users", "message"),
    [
        (None, r"use_attributes=True\) reads users: call fit\(train, users=dataset.users\)"),
        (USERS.drop(columns="user_id"), "has no column 'user_id'"),
        (USERS[["user_id", "height"]], r"no attribute.*\['user_id', 'height'\].*=False"),
        (USERS.assign(age_band=None)[["user_id", "age_band"]], "no attribute"),
        (USERS.assign(user_id=USERS["user_id"] + 9000), "none of the 120 users of train"),
        (USERS.assign(user_id=USERS["user_id"].astype(str)), "cannot be matched"),
    ],
)
def test_a_table_of_users_that_does_not_serve_is_refused(
    users: pd.DataFrame | None, message: str
) -> None:
    model = M6RecRetriever(**SMALL, use_attributes=True)
    with pytest.raises(DataError, match=message):
        model.fit(TRAIN, users=users, progress=False)
    assert not model.is_fitted


# All parts at once.


@pytest.fixture(scope="module")
def fitted() -> M6RecRetriever:
    return fit(**PARTS, item_input="both", size="nano", max_length=8, epochs=12, vocab_size=400)


@pytest.mark.parametrize(
    "check",
    [
        contract.test_held_out_item_of_a_planted_pattern_ranks_first,
        contract.test_seen_items_are_excluded_and_ranks_have_no_gap,
        contract.test_seen_items_come_back_on_demand,
        contract.test_k_beyond_the_catalogue_gives_what_there_is,
        contract.test_scores_are_finite_and_in_the_order_of_item_ids,
        contract.test_asking_changes_nothing,
        contract.test_unknown_items_raise,
        contract.test_empty_history_is_answered_by_popularity,
        contract.test_no_history_at_all_gives_an_empty_table,
        contract.test_similar_items,
    ],
    ids=lambda check: check.__name__.removeprefix("test_"),
)
def test_the_contract_of_every_recommender_holds(fitted, check) -> None:
    check(fitted)


def test_unknown_users_of_any_kind_of_id_are_answered_alike(fitted) -> None:
    known, number, text = (
        fitted.score(contract.histories(contract.WALKS[:2], user_ids=ids))
        for ids in ([1000, 1002], [999_998, 999_999], ["ada", "bob"])
    )
    np.testing.assert_array_equal(number, text)
    assert not np.array_equal(known, number)


def test_batch_equals_one_by_one(fitted) -> None:
    queries = TRAIN.histories()[:20]
    alone = np.concatenate([fitted.score(queries[i : i + 1]) for i in range(len(queries))])
    np.testing.assert_allclose(fitted.score(queries), alone, rtol=1e-4, atol=1e-4)


def test_save_and_load_are_equal(fitted, tmp_path) -> None:
    path = fitted.save(tmp_path / "model")
    queries = TRAIN.histories()
    for loaded in (M6RecRetriever.load(path), Recommender.load(path)):
        np.testing.assert_array_equal(loaded.score(queries), fitted.score(queries))
        assert (loaded.variant, loaded.n_params) == (fitted.variant, fitted.n_params)
    pairs = np.count_nonzero(network_of(fitted).state_dict()["linear.weights"])
    assert fitted.n_params == pairs + sum(w.numel() for w in network_of(fitted).parameters())


def test_in_another_catalogue_known_items_keep_their_scores(fitted, tmp_path) -> None:
    """Three items are gone, and a new one, which the linear path does not know, has their text."""
    old, new = fitted.item_ids, max(fitted.item_ids) + 1
    ids, table = np.append(old[3:], new), contract.ITEMS.assign()
    table.loc[len(table)] = table.iloc[5].to_dict() | {"item_id": new}
    model = M6RecRetriever.load(fitted.save(tmp_path / "model")).for_catalogue(ids, items=table)
    walks = [[int(i) for i in walk if i in ids] for walk in contract.WALKS[1:]]
    users = [int(user) for user in TRAIN.user_ids[: len(walks)]]
    scores = model.score(Histories.from_lists(walks, ids, user_ids=users))
    before = fitted.score(Histories.from_lists(walks, old, user_ids=users))
    np.testing.assert_allclose(scores[:, :-1], before[:, 3:], rtol=1e-4, atol=1e-5)
    weights = network_of(model).state_dict()["linear.weights"]
    assert not weights[-1].any()
    assert not weights[:, -1].any()
    again = M6RecRetriever.load(model.save(tmp_path / "other"))
    queries = Histories.from_lists(walks, ids, user_ids=users)
    np.testing.assert_array_equal(again.score(queries), scores)


def test_an_adapted_model_trains_its_parts_further(fitted, tmp_path) -> None:
    model = M6RecRetriever.load(fitted.save(tmp_path / "model"))
    weights = {name: w.clone() for name, w in network_of(model).state_dict().items()}
    model.adapt(TRAIN, epochs=1, progress=False)
    after = network_of(model).state_dict()
    for name in ("memory.proj.weight", "profile.tables.0.weight", "linear.scale"):
        assert not torch.equal(after[name], weights[name]), name
    assert torch.equal(after["linear.weights"], weights["linear.weights"])
