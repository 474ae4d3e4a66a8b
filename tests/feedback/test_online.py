"""Streams: nothing is asked after it was learned, and what each strategy learns from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from m6rec_lite.data import DataError, Interactions
from m6rec_lite.feedback import STRATEGIES, run_stream, stream_ndcg
from m6rec_lite.recommenders import Bigram, OnlineNextItem, next_events
from tests.worlds import small_split

ROWS: Interactions = small_split().train
CUTS = np.quantile(ROWS.timestamps, [0.6, 0.7, 0.8, 0.9]).astype(int).tolist()
BASE = ROWS.select(ROWS.timestamps < CUTS[0])


def fitted() -> OnlineNextItem:
    return OnlineNextItem(epochs=2).fit(BASE)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_first_period_is_asked_before_it_is_learned(strategy: str) -> None:
    expected = stream_ndcg(fitted(), ROWS, next_events(ROWS, *CUTS[:2]))
    table = run_stream(fitted(), ROWS, CUTS, strategy, most=10**6)
    assert list(table) == ["period", "ndcg@10"]
    assert table["period"].tolist() == [0, 1, 2]
    assert table["ndcg@10"][0] == pytest.approx(expected)


def test_each_strategy_ends_where_it_should() -> None:
    models = {name: fitted() for name in STRATEGIES}
    for name, model in models.items():
        run_stream(model, ROWS, CUTS, name, penalty=0.0)
    start, manual = fitted(), fitted()
    for since, until in pairwise(CUTS):
        manual.update(next_events(ROWS, since, until))
    again = OnlineNextItem(epochs=2).fit(ROWS.select(ROWS.timestamps < CUTS[-1]))
    np.testing.assert_array_equal(models["frozen"].inputs_, start.inputs_)
    np.testing.assert_array_equal(models["online"].inputs_, manual.inputs_)
    np.testing.assert_allclose(models["ewc"].inputs_, manual.inputs_)  # the penalty is 0
    np.testing.assert_array_equal(models["retrained"].inputs_, again.inputs_)
    assert not np.allclose(models["replay"].inputs_, manual.inputs_)


def test_a_period_is_asked_before_it_is_learned_and_any_model_can_be_refitted() -> None:
    questions = next_events(ROWS, *CUTS[:2])
    model = Bigram().fit(BASE)
    before = stream_ndcg(model, ROWS, questions)
    table = run_stream(model, ROWS, CUTS[:2], "retrained", most=len(questions))
    assert table["ndcg@10"].tolist() == pytest.approx([before])
    assert stream_ndcg(model, ROWS, questions) > before  # it has learned the answers


def test_candidates_limit_what_is_ranked() -> None:
    events = next_events(ROWS, *CUTS[:2])
    few = np.zeros(ROWS.n_items, dtype=bool)
    few[:40] = True
    model = fitted()
    assert stream_ndcg(model, ROWS, events, few) > stream_ndcg(model, ROWS, events)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy must be one of frozen, retrained"):
        run_stream(fitted(), ROWS, CUTS, "nightly")
    for cuts in ([], CUTS[:1], CUTS[::-1]):
        with pytest.raises(ValueError, match="two or more ascending"):
            run_stream(fitted(), ROWS, cuts, "online")
    with pytest.raises(TypeError, match="Bigram has no update"):
        run_stream(Bigram().fit(BASE), ROWS, CUTS, "online")
    with pytest.raises(DataError, match="period 0 has no event"):
        run_stream(fitted(), ROWS, [1, 2], "online")
