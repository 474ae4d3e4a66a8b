"""The stream of news: what it says, and when its mood changes."""

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.data import INTERESTS, MOODS, news
from tests.worlds import small


def world():
    return small().oracle.world


def test_a_stream_has_its_rows_and_is_the_same_again():
    stream = news(world(), days=7, per_day=5, seed=1)
    assert stream["day"].tolist() == np.repeat(np.arange(7), 5).tolist()
    assert set(stream["mood"]) <= set(MOODS)
    assert set(stream["topic"]) <= {interest.name for interest in INTERESTS}
    pd.testing.assert_frame_equal(stream, news(world(), days=7, per_day=5, seed=1))
    assert not stream["text"].equals(news(world(), days=7, per_day=5, seed=2)["text"])


def test_a_text_names_its_topic():
    stream = news(world(), days=20, per_day=10)
    words = {
        interest.name: [w for w, _ in interest.shared] + [w for own in interest.own for w, _ in own]
        for interest in INTERESTS
    }
    for row in stream.itertuples():
        assert any(word in row.text for word in words[row.topic])


def test_a_negation_turns_the_mood_of_a_verb():
    stream = news(world(), days=100, per_day=60)
    plain = stream[~stream["text"].str.contains("neither| or ")]
    falls = plain["text"].str.contains("fall|shrink|slip|weaken")
    denied = plain["text"].str.contains(" not ")
    positive = (plain["mood"] == "positive").groupby([falls, denied]).mean()
    assert positive[True, True] > 0.85
    assert positive[True, False] < 0.1


def test_the_shock_changes_the_mood_from_its_day_on():
    quiet, struck = (news(world(), days=100, per_day=60, shock=s, shift=0.3) for s in (None, 50))
    share = [(s["mood"] == "negative").groupby(s["day"] >= 50).mean() for s in (quiet, struck)]
    assert abs(share[1][False] - share[0][False]) < 0.04
    assert 0.2 < share[1][True] - share[0][True] < 0.36


@pytest.mark.parametrize("wrong", [{"shift": 0.8}, {"shift": -0.1}, {"days": 0}, {"per_day": 0}])
def test_bad_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        news(world(), **wrong)
