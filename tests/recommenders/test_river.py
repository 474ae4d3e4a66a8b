"""The streaming baseline of ``river`` against scikit-learn's naive Bayes."""

from __future__ import annotations

import numpy as np
import pytest

from m6rec_lite.recommenders import RiverNextItem, next_events
from tests.worlds import small_split


@pytest.mark.extra
def test_river_counts_what_naive_bayes_counts() -> None:
    pytest.importorskip("river")
    from sklearn.naive_bayes import MultinomialNB

    train = small_split().train
    few = train.select(np.arange(len(train)) < 400)
    model = RiverNextItem().fit(few)
    events = next_events(few)
    recent = events.histories.last(5)
    x = recent.matrix(0.7**recent.steps_back).toarray()
    expected = MultinomialNB(alpha=1.0).fit(x[:, x.sum(0) > 0], events.targets)
    scores = model.score(events.histories)
    known = expected.classes_
    logs = expected.predict_joint_log_proba(x[:, x.sum(0) > 0])
    np.testing.assert_allclose(scores[:, known], logs, rtol=1e-6)
    before = model.score(events.histories[:1])
    model.update(events)
    assert not np.allclose(model.score(events.histories[:1]), before)


@pytest.mark.extra
def test_all_histories_are_scored_as_river_scores_one() -> None:
    pytest.importorskip("river")
    train = small_split().train
    half = train.timestamps < np.median(train.timestamps)
    later = next_events(train, int(np.median(train.timestamps)))
    model = RiverNextItem().fit(train.select(half)).update(later[:50])
    scores = model.score(later.histories)
    for row, counts in enumerate(model._counts(later.histories[:50])):
        logs = model.bayes_.joint_log_likelihood(counts)
        np.testing.assert_allclose(scores[row, list(logs)], list(logs.values()), rtol=1e-9)
        assert (np.delete(scores[row], list(logs)) == -1e9).all()


def test_settings_are_checked_and_river_is_named_where_it_is_missing() -> None:
    for wrong in ({"decay": 0.0}, {"latest": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RiverNextItem(**wrong)
    try:
        import river  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"m6rec-lite\[stream\]"):
            RiverNextItem().fit(small_split().train)
