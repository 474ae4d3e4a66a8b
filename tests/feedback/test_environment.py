"""Requests and the slate environment: what is known, answers, true values, the Gymnasium API."""

from __future__ import annotations

import builtins
from dataclasses import replace

import numpy as np
import pytest

from m6rec_lite.data import DataError, Interactions, load_dataset
from m6rec_lite.feedback import SlateEnvironment, gymnasium_environment, live_requests
from m6rec_lite.recommenders import EASE
from tests.feedback.worlds import environment, requests
from tests.worlds import small


def test_requests_come_from_late_events_in_order():
    drawn = requests()
    log = small().interactions
    assert (np.diff(drawn.at) >= 0).all()
    assert drawn.at.min() > log["timestamp"].quantile(0.8)
    pairs = set(zip(log["user_id"], log["timestamp"], strict=True))
    assert set(zip(drawn.user_ids.tolist(), drawn.at.tolist(), strict=True)) <= pairs
    assert drawn.features.shape == (240, 12, len(drawn.names))
    assert (drawn.features[..., drawn.column["bias"]] == 1).all()
    assert np.isfinite(drawn.features).all()


def test_true_values_are_those_of_the_oracle():
    drawn, oracle = requests(), small().oracle
    items = np.broadcast_to(drawn.item_ids, drawn.click.shape)
    np.testing.assert_allclose(
        drawn.click, oracle.click_probability(drawn.user_ids, items, drawn.at)
    )
    np.testing.assert_allclose(drawn.purchase, oracle.purchase_probability(drawn.user_ids, items))
    for row, column in ((0, 0), (17, 5), (200, 11)):
        weights = oracle.world.shoppers.aspects[drawn.user_ids[row] - 1]
        quality = oracle.latents.quality[drawn.item_ids[column] - 10_001]
        assert drawn.wanted[row, column] == (quality[weights.argmax()] > 0)


def test_no_feature_reads_the_future():
    """Rows of the log at or after the last request change nothing."""
    dataset = small()
    last = int(requests().at.max())
    rows = dataset.interactions
    late = rows["timestamp"] >= last
    assert late.sum() > 1
    other = rows.copy()
    other.loc[late, "item_id"] = np.roll(other.loc[late, "item_id"].to_numpy(), 1)
    changed = live_requests(replace(dataset, interactions=other), n=240, candidates=12, seed=1)
    np.testing.assert_array_equal(changed.at, requests().at)
    np.testing.assert_allclose(changed.features, requests().features, atol=1e-5)


def test_features_do_not_depend_on_the_size_of_a_batch(monkeypatch):
    monkeypatch.setattr("m6rec_lite.feedback.requests.ROWS", 500)
    batches = live_requests(small(), n=240, candidates=12, seed=1)
    assert batches.names == requests().names
    np.testing.assert_allclose(batches.features, requests().features, atol=1e-5)


def test_the_score_is_the_recommenders_at_the_moment_of_the_request():
    dataset = small()
    log = Interactions.from_frame(dataset.interactions)
    model = EASE().fit(log)
    drawn = live_requests(dataset, n=40, candidates=12, recommender=model, seed=1)
    scores = []
    for user, at in zip(drawn.user_ids, drawn.at, strict=True):
        before = log.select((log.user_ids[log.users] == user) & (log.timestamps < at))
        row = np.flatnonzero(log.user_ids == user)
        score = model.score(before.histories()[row])[0]
        score = (score - score.mean()) / score.std()
        scores.append(score[np.searchsorted(log.item_ids, drawn.item_ids)])
    expected = (np.array(scores) - np.mean(scores)) / np.std(scores, ddof=1)
    found = drawn.features[..., drawn.column["score"]]
    np.testing.assert_allclose(found, expected.clip(-4, 4), atol=1e-3)


def test_answers_are_the_draws_of_the_oracle():
    live, drawn = environment(), requests()
    rows = np.arange(len(drawn))
    slates = np.argsort(np.random.default_rng(3).random(drawn.click.shape), axis=1)[:, :3]
    answers = live.respond(rows, slates, np.random.default_rng(5))
    oracle = drawn.oracle.respond(
        drawn.user_ids, drawn.item_ids[slates], drawn.at, np.random.default_rng(5)
    )
    np.testing.assert_array_equal(answers.clicked, oracle.clicked)
    np.testing.assert_array_equal(answers.purchased, oracle.purchased)
    assert answers.clicked.any()
    np.testing.assert_array_equal(
        answers.wanted, answers.clicked & drawn.wanted[rows[:, None], slates]
    )


@pytest.mark.parametrize("satisfaction", ["clicks", "purchases", "ratings"])
def test_expected_acceptance_is_the_mean_of_answers(satisfaction):
    live = environment(satisfaction=satisfaction)
    rows, slates = np.zeros(40_000, dtype=int), np.tile([3, 0, 7], (40_000, 1))
    answers = live.satisfaction(live.respond(rows, slates, np.random.default_rng(0)))
    mean, error = answers.sum(axis=1).mean(), answers.sum(axis=1).std() / 200
    assert abs(mean - live.expected(rows[:1], slates[:1])[0]) < 4 * error + 1e-9


def test_no_slate_is_better_than_the_best():
    live = environment()
    rows = np.arange(len(live))
    best = live.expected(rows, live.best_slates(rows))
    fixed = live.expected(rows, np.tile(live.best_fixed_slate(), (len(live), 1)))
    draw = np.random.default_rng(0)
    for _ in range(20):
        slate = draw.permutation(12)[:3]
        everyone = live.expected(rows, np.tile(slate, (len(live), 1)))
        assert (best >= everyone - 1e-12).all()
        assert fixed.mean() >= everyone.mean() - 1e-12
    assert best.mean() > fixed.mean()


def test_an_episode_visits_each_request_once():
    live = environment()
    observation, info = live.reset(seed=0)
    rewards, seen = [], [info["user_id"]]
    for row in range(len(live)):
        np.testing.assert_array_equal(observation, requests().features[row])
        observation, reward, terminated, truncated, info = live.step(np.array([0, 1, 2]))
        assert reward == info["accepted"].sum()
        assert terminated == (row == len(live) - 1)
        assert not truncated
        rewards.append(reward)
        seen.append(info["user_id"])
    assert seen[:-1] == requests().user_ids.tolist()
    with pytest.raises(RuntimeError, match=r"reset\(\)"):
        live.step(np.array([0, 1, 2]))
    live.reset(seed=0)
    again = [live.step(np.array([0, 1, 2]))[1] for _ in range(len(live))]
    assert again == rewards


@pytest.mark.parametrize(
    ("slate", "message"),
    [
        ([], "a slate holds 3"),
        ([0, 1], "a slate holds 3"),
        ([0, 1, 12], r"unknown in a slate: \[12\]"),
        ([0, -1, 2], r"unknown in a slate: \[-1\]"),
        ([0, 1, 1], "repeats one"),
        ([0.0, 1.0, 2.0], "indices of candidates, not float64"),
    ],
)
def test_a_slate_that_cannot_be_shown_is_refused(slate, message):
    live = environment()
    live.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        live.step(np.array(slate))


def test_empty_slates_are_refused():
    with pytest.raises(ValueError, match="k at least 1"):
        environment().respond(np.arange(4), np.zeros((4, 0), dtype=int), np.random.default_rng(0))


def test_wrong_arguments_say_what_is_possible():
    with pytest.raises(ValueError, match="12 candidates"):
        SlateEnvironment(requests(), slate_size=13)
    with pytest.raises(ValueError, match="clicks, purchases, ratings; got 'likes'"):
        SlateEnvironment(requests(), satisfaction="likes")
    with pytest.raises(DataError, match="candidates were asked for"):
        live_requests(small(), n=10, candidates=10_000)
    with pytest.raises(DataError, match="requests were asked for"):
        live_requests(small(), n=10_000_000)


def test_a_log_cannot_answer():
    frame = small().interactions[["user_id", "item_id", "timestamp"]].head(500)
    with pytest.raises(DataError, match="needs a world"):
        live_requests(load_dataset(frame), n=10, candidates=5)


def test_without_gymnasium_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def no_gymnasium(name, *args, **kwargs):
        if name == "gymnasium":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_gymnasium)
    with pytest.raises(ImportError, match=r"m6rec-lite\[feedback\]"):
        gymnasium_environment(environment())


@pytest.mark.extra
def test_the_wrapper_passes_the_checks_of_gymnasium():
    checker = pytest.importorskip("gymnasium.utils.env_checker")
    live = gymnasium_environment(environment())
    checker.check_env(live, skip_render_check=True)
    live.reset(seed=1)
    live.action_space.seed(0)
    total, terminated = 0.0, False
    while not terminated:
        _, reward, terminated, _, info = live.step(live.action_space.sample())
        total += reward
        assert len(info["accepted"]) == 3
    assert total > 0


@pytest.mark.extra
def test_an_action_of_the_wrapper_is_a_score_for_each_candidate():
    pytest.importorskip("gymnasium")
    inner = environment()
    live = gymnasium_environment(inner)
    live.reset(seed=2)
    scores = np.linspace(-1, 1, 12, dtype=np.float32)
    _, _, _, _, by_scores = live.step(scores)
    inner.reset(seed=2)
    _, _, _, _, by_slate = inner.step(np.array([11, 10, 9]))
    np.testing.assert_array_equal(by_scores["accepted"], by_slate["accepted"])


def test_some_of_the_requests_are_requests():
    drawn = requests()
    part = drawn[200:]
    assert len(part) == 40
    np.testing.assert_array_equal(part.features, drawn.features[200:])
    np.testing.assert_array_equal(part.item_ids, drawn.item_ids)
    rows, slates = np.arange(40), np.tile([2, 5, 1], (40, 1))
    np.testing.assert_array_equal(
        SlateEnvironment(part, slate_size=3).expected(rows, slates),
        environment().expected(rows + 200, slates),
    )
