"""The Bayes filter: equal to exact enumeration, calibrated, and below the log loss of models."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from m6rec_lite.data import Histories, Interactions, bazaar
from m6rec_lite.data.bazaar import FIRST_ITEM, BayesFilter
from m6rec_lite.data.bazaar.choice import Choice
from m6rec_lite.data.bazaar.world import N_INTERESTS
from m6rec_lite.data.tables import EVENTS, DataError
from m6rec_lite.evaluation import evaluate
from m6rec_lite.recommenders import EASE, Markov
from tests.worlds import shipped, shipped_split

TINY = bazaar.generate(users=12, items=60, seed=1, slates=0, repeats=0.2, text=False,
                       progress=False)  # fmt: skip


def first_events(n: int) -> Histories:
    """The first ``n`` events of each shopper, asked at the moment of the next one."""
    groups = TINY.interactions.groupby("user_id")
    frame = groups.head(n)
    following = groups.nth(n).set_index("user_id")["timestamp"]
    frame = frame[frame["user_id"].isin(following.index)]
    rows = Interactions.from_frame(frame, item_ids=TINY.oracle.item_ids)
    return rows.histories(following.loc[rows.user_ids].to_numpy())


def enumerate_states(choice: Choice, shopper: int, history: Histories) -> np.ndarray:
    """Return P(next item | events) by a sum over all hidden states, in the simulator's terms."""
    who, dials, items = np.array([shopper]), choice.dials, choice.world.items
    every = np.arange(choice.n_items)[None]
    own, second = choice.world.cells.astype(int), items.second.astype(int)
    # a state: the current intent, then cell, last item and time of intent 0 and of intent 1
    states = Counter({(0, -1, -1, 0, -1, -1, 0): 1.0})
    seen, bought = np.zeros((1, choice.n_items), bool), []
    last_at = int(choice.world.shoppers.joined[shopper])

    def outcomes(state: tuple, at: int) -> dict[tuple[int, int], np.ndarray]:
        """P(intent served, its cell; item): cell -1 is the unchanged one."""
        moment = np.array([at])
        odds = choice.item_odds(who, moment, every, seen)
        free = ~seen & (odds > 0)
        switch = choice.switch_probability(moment - last_at)[0]
        new = choice.intent_distribution(who, moment)[0]
        result = {}
        for intent in (0, 1):
            cell, last, served = state[1 + 3 * intent : 4 + 3 * intent]
            p = switch if intent != state[0] else 1 - switch
            stays = 0.0
            if cell >= 0:
                stays = choice.unchanged_probability(moment - served)[0]
                among = choice.item_distribution(
                    who, np.array([last]), every, choice.member[[cell]], odds, free
                )
                result[intent, -1] = p * stays * among[0]
            for c in np.flatnonzero(new > 0):
                among = choice.item_distribution(
                    who, np.array([-1]), every, choice.member[[c]], odds, free
                )
                result[intent, int(c)] = p * (1 - stays) * new[c] * among[0]
        return result

    def chance(at: int) -> tuple[np.ndarray, np.ndarray, float]:
        """P of a uniform draw and of a repeated purchase of each item; the share of the rest."""
        released = items.released <= at
        stray = dials.noise * released / max(released.sum(), 1)
        repeat = np.bincount(bought[-4:], minlength=choice.n_items) / max(len(bought[-4:]), 1)
        share = dials.repeats * bool(bought)
        return stray, share * repeat, 1 - dials.noise - share

    for index, at, code in zip(
        history.item_ids[history.items] - FIRST_ITEM, history.timestamps, history.events,
        strict=True,
    ):  # fmt: skip
        x, at, purchase = int(index), int(at), code == EVENTS.index("purchase")
        rate = choice.purchase_rate[x] if purchase else 1 - choice.purchase_rate[x]
        stray, repeat, rest = chance(at)
        following: Counter = Counter()
        for state, weight in states.items():
            following[state] += weight * (stray[x] * rate + repeat[x] * purchase)
            for (intent, cell), among in outcomes(state, at).items():
                slots = list(state)
                slots[0] = intent
                slots[1 + 3 * intent] = state[1 + 3 * intent] if cell < 0 else cell
                slots[2 + 3 * intent], slots[3 + 3 * intent] = x, at
                following[tuple(slots)] += weight * rest * rate * among[x]
        total = sum(following.values())
        states = Counter({s: w / total for s, w in following.items() if w > 0})
        seen[0, x], last_at = True, at
        if purchase and choice.purchase_rate[x] > 0:
            bought.append(x)
    assert own.max() < N_INTERESTS * 5 > second.max()
    at = int(history.at[0])
    stray, repeat, rest = chance(at)
    expected = sum(weight * sum(outcomes(state, at).values()) for state, weight in states.items())
    return stray + repeat + rest * expected


@pytest.mark.parametrize("n", [0, 1, 4, 6])
def test_it_equals_exact_enumeration_for_a_known_shopper(n: int) -> None:
    histories = first_events(n) if n else first_events(1)
    if n == 0:
        histories = replace(
            histories[: len(histories)],
            offsets=np.zeros(len(histories) + 1, dtype=np.int64),
            items=histories.items[:0], events=histories.events[:0],
            timestamps=histories.timestamps[:0],
        )  # fmt: skip
    exact = BayesFilter(
        TINY.oracle, histories.item_ids, know_shopper=True, know_time=True, states=5000
    )
    scores = exact.score(histories)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    choice = TINY.oracle.choice
    for row in range(min(len(histories), 5)):
        expected = enumerate_states(choice, int(histories.user_ids[row]) - 1, histories[row])
        np.testing.assert_allclose(scores[row], expected, rtol=1e-4, atol=1e-8)


def test_few_states_are_nearly_as_good_as_many() -> None:
    histories = first_events(6)
    few, many = (
        BayesFilter(TINY.oracle, histories.item_ids, states=states).score(histories)
        for states in (16, 512)
    )
    assert np.abs(few - many).sum(axis=1).mean() < 0.02


def test_it_reads_no_hidden_state() -> None:
    """Other latents of the shoppers and other hidden states leave an unknown shopper as it was."""
    histories = first_events(5)
    world, trail = TINY.oracle.world, TINY.oracle.trail
    order = np.arange(len(world.shoppers))[::-1]
    others = world.shoppers[order]
    keep = {name: getattr(world.shoppers, name) for name in ("locale", "city", "age", "joined")}
    oracle = bazaar.Oracle(
        replace(world, shoppers=replace(others, **keep)),
        replace(trail, hidden=np.zeros_like(trail.hidden)),
    )
    for know_time in (False, True):
        first, second = (
            BayesFilter(each, histories.item_ids, know_time=know_time).score(histories)
            for each in (TINY.oracle, oracle)
        )
        np.testing.assert_array_equal(first, second)


def test_an_unknown_time_is_not_read() -> None:
    histories = first_events(5)
    later = replace(histories, at=histories.at + 10**7)
    blind = BayesFilter(TINY.oracle, histories.item_ids)
    np.testing.assert_array_equal(blind.score(histories), blind.score(later))
    aware = BayesFilter(TINY.oracle, histories.item_ids, know_time=True)
    assert not np.array_equal(aware.score(histories), aware.score(later))


def test_bad_arguments_are_refused() -> None:
    ids = TINY.oracle.item_ids
    with pytest.raises(ValueError, match=r"without= takes context, .*, not 'weather'"):
        BayesFilter(TINY.oracle, ids, without=["weather"])
    with pytest.raises(ValueError, match="states must be at least 1, got 0"):
        BayesFilter(TINY.oracle, ids, states=0)
    with pytest.raises(DataError, match="other item_ids"):
        BayesFilter(TINY.oracle, ids[:-1]).score(first_events(2))


def new_items(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scores of the items that are new to each user of the shipped test set, and the target.

    Returns:
        ``(n, n_items)`` scores, -inf for items of the history; ``(n,)`` indices of the targets.
    """
    test = shipped_split().test
    histories = test.histories[test.target_rows]
    scores = scores[test.target_rows].astype(np.float64)
    scores[histories.rows, histories.items] = -np.inf
    return scores, test.targets


@pytest.fixture(scope="module")
def probabilities() -> np.ndarray:
    """P(item | the next event is new to the user), by the filter of what a model may observe."""
    split = shipped_split()
    blind = BayesFilter(shipped().oracle, split.item_ids, know_time=True)
    scores, _ = new_items(np.log(blind.score(split.test.histories) + 1e-12))
    return np.exp(log_softmax(scores, axis=1))


@pytest.mark.slow
def test_probabilities_are_calibrated(probabilities: np.ndarray) -> None:
    """Of the items with about one probability, that share is the next item."""
    _, targets = new_items(probabilities)
    hits = np.zeros_like(probabilities, dtype=bool)
    hits[np.arange(len(targets)), targets] = True
    bins = np.digitize(probabilities, [1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3])
    for number in np.unique(bins):
        inside = bins == number
        expected, happened = probabilities[inside].sum(), hits[inside].sum()
        assert happened == pytest.approx(expected, abs=4 * np.sqrt(expected) + 0.15 * expected)


@pytest.mark.slow
def test_the_log_loss_is_below_that_of_models_at_their_best_temperature(
    probabilities: np.ndarray,
) -> None:
    split = shipped_split()
    _, targets = new_items(probabilities)
    rows = np.arange(len(targets))
    loss = -np.log(probabilities[rows, targets]).mean()
    for model in (Markov(), EASE(decay=0.8)):
        scores, _ = new_items(model.fit(split.train, progress=False).score(split.test.histories))
        scores -= scores.max(axis=1, keepdims=True)

        def log_loss(log_temperature: float, scores: np.ndarray = scores) -> float:
            chances = log_softmax(scores * np.exp(log_temperature), axis=1)
            return float(-chances[rows, targets].mean())

        best = minimize_scalar(log_loss, bounds=(-8, 8), method="bounded").fun
        assert loss < best - 0.2


@pytest.mark.slow
def test_what_is_known_and_the_parts_of_the_world_order_the_rankings() -> None:
    """More knowledge ranks better, the oracle best; each part that is left out costs."""
    data, split = shipped(), shipped_split()

    def ndcg(**options) -> float:
        model = BayesFilter(data.oracle, split.item_ids, **options)
        return evaluate(model, split, progress=False, bootstrap=10)["ndcg@10"]

    oracle = evaluate(data.oracle.recommender(split.item_ids), split, progress=False)["ndcg@10"]
    best = ndcg(know_shopper=True, know_time=True)
    unknown = ndcg()
    assert oracle > best + 0.02
    assert best > ndcg(know_time=True) + 0.01
    assert 0.27 < unknown < 0.32
    for part in bazaar.bayes_filter.PARTS:
        assert ndcg(without=[part]) < unknown - 0.01
