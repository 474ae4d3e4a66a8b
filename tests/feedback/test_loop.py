"""The loop: what is logged, seeds, batches, and a ranker trained on its own slates."""

from __future__ import annotations

import numpy as np
import pytest

from m6rec_lite.feedback import EpsilonGreedy, LinUCB, RetrainedRanker, run_loop
from tests.feedback.worlds import environment, requests


class Recorder:
    """A policy that shows one slate and keeps what it is told."""

    def __init__(self, slate):
        self.slate, self.answers = np.asarray(slate), []

    def select(self, features, k, rng):
        return np.tile(self.slate, (len(features), 1))

    def update(self, answers):
        self.answers.append(answers)


class Oracle(Recorder):
    """Shows the best slates, in the order of the requests."""

    def __init__(self, live):
        super().__init__([0])
        self.live = live

    def select(self, features, k, rng):
        seen = sum(len(answers.slates) for answers in self.answers)
        return self.live.best_slates(np.arange(seen, seen + len(features)))


def test_the_policy_is_told_what_happened():
    live, policy = environment(), Recorder([4, 1, 9])
    log = run_loop(live, policy, batch=100)
    assert [len(answers.slates) for answers in policy.answers] == [100, 100, 40]
    rewards = np.concatenate([answers.rewards for answers in policy.answers])
    np.testing.assert_array_equal(rewards, log.accepted)
    np.testing.assert_array_equal(policy.answers[1].features, requests().features[100:200])
    np.testing.assert_array_equal(policy.answers[0].examination, live.examination)
    shown = policy.answers[0].features[:, [4, 1, 9]]
    np.testing.assert_array_equal(policy.answers[0].shown, shown)
    np.testing.assert_allclose(log.expected, live.expected(np.arange(240), log.slates))
    assert log.never_shown() == pytest.approx(9 / 12)
    assert len(log) == 240


def test_regret_is_zero_for_the_oracle_and_grows_for_others():
    live = environment()
    assert np.abs(run_loop(live, Oracle(live), batch=7).regret).max() < 1e-9
    fixed = run_loop(live, Recorder(live.best_fixed_slate()))
    assert (np.diff(fixed.regret) >= -1e-12).all()
    np.testing.assert_allclose(fixed.expected, fixed.best_fixed)
    assert fixed.rate(0.25) == pytest.approx(fixed.expected[-60:].mean())


def test_one_seed_one_loop():
    def slates(seed):
        return run_loop(environment(), EpsilonGreedy(12, 0.3), seed=seed).slates

    np.testing.assert_array_equal(slates(0), slates(0))
    assert (slates(0) != slates(1)).any()


def test_two_policies_meet_the_same_shoppers():
    """The same slates get the same answers, whatever the policy drew before."""
    one = run_loop(environment(), Recorder([0, 1, 2]), seed=3)

    class Drawing(Recorder):
        def select(self, features, k, rng):
            rng.random(17)
            return super().select(features, k, rng)

    other = run_loop(environment(), Drawing([0, 1, 2]), seed=3)
    np.testing.assert_array_equal(one.accepted, other.accepted)


def test_slates_that_cannot_be_shown_end_the_loop():
    with pytest.raises(ValueError, match="unknown in a slate"):
        run_loop(environment(), Recorder([0, 1, 99]))
    with pytest.raises(ValueError, match="batch"):
        run_loop(environment(), Recorder([0, 1, 2]), batch=0)


def test_a_retrained_ranker_shows_random_slates_and_then_its_own():
    policy = RetrainedRanker(warmup=60, every=60)
    log = run_loop(environment(), policy, batch=20)
    assert len({tuple(slate) for slate in log.slates[:60].tolist()}) > 50
    n_rows = sum(len(x) for x, _, _ in policy._rows)
    assert n_rows == 240 * 3
    predicted = policy.ranker.predict(requests().features[-20:])
    assert predicted.shape == (20, 12)
    once = RetrainedRanker(warmup=60, every=1000)
    run_loop(environment(), once, batch=20)
    assert not np.allclose(once.ranker.weights_, policy.ranker.weights_)


def test_learning_beats_a_random_slate():
    live = environment(slate_size=4)
    d = len(requests().names)
    chance = run_loop(live, EpsilonGreedy(12, 1.0), seed=0).rate()
    assert run_loop(live, LinUCB(d, alpha=0.3), seed=0).rate(0.5) > chance
    assert run_loop(live, RetrainedRanker(60, 60), seed=0).rate(0.5) > chance


@pytest.mark.parametrize("settings", [{"warmup": 0}, {"every": 0}, {"epsilon": 2}, {"l2": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        RetrainedRanker(**settings)
