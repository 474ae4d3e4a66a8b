"""Early exit: weights of the losses, where rows leave, and exits that do not exist."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from m6rec_lite.m6rec import EarlyExitCTR, EarlyExitScoring, exit_weights
from m6rec_lite.m6rec.tasks.task import collate
from tests.m6rec.compress.small import a_model, rows, scorer


def a_task(**changes) -> EarlyExitScoring:
    torch.manual_seed(2)
    return EarlyExitScoring(32, **({"exits": (1, 2)} | changes))


def test_the_printed_weights_fall_and_the_normalized_ones_grow_and_sum_to_1():
    np.testing.assert_allclose(exit_weights(4, "printed"), [1, 2 / 3, 1 / 2, 2 / 5])
    np.testing.assert_allclose(exit_weights(4, "normalized"), [0.1, 0.2, 0.3, 0.4])
    for n_layers in (1, 2, 24):
        assert exit_weights(n_layers).sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="'printed' or 'normalized'; got 4 and 'equal'"):
        exit_weights(4, "equal")


@pytest.mark.parametrize("weighting", ["printed", "normalized"])
def test_the_loss_is_the_weighted_sum_over_exits(weighting):
    model, task = a_model(3), a_task(exits=(2,), weighting=weighting)
    batch = collate(rows(6), np.arange(6))
    logits = task.exit_logits(model, batch)
    assert list(logits) == [2, 3]
    weights = exit_weights(3, weighting)
    wanted = sum(weights[k - 1] * F.cross_entropy(logits[k], batch.target) for k in (2, 3))
    torch.testing.assert_close(task.loss(model, batch), wanted.to(torch.float32))


def test_rows_leave_at_the_first_exit_that_reaches_the_threshold():
    model, task, examples = a_model(4), a_task(exits=(1, 3)), rows(40)
    for head in task.exit_heads.values():  # far from .5, so that thresholds separate the rows
        torch.nn.init.normal_(head[1].weight, std=0.5)
    scorer(model, task)
    exits = {k: task.predict_early(model, examples, exit=k).probability for k in (1, 3, 4)}
    assert (task.predict_early(model, examples, exit=3).layers == 3).all()
    sure = {k: np.maximum(p, 1 - p) for k, p in exits.items()}
    threshold = float(np.quantile(sure[1], 0.6))
    answers = task.predict_early(model, examples, threshold)
    wanted = np.where(sure[1] >= threshold, 1, np.where(sure[3] >= threshold, 3, 4))
    np.testing.assert_array_equal(answers.layers, wanted)
    assert {1} < set(wanted.tolist())
    picked = np.choose(np.searchsorted([1, 3, 4], wanted), [exits[1], exits[3], exits[4]])
    np.testing.assert_allclose(answers.probability, picked, atol=1e-6)
    assert 1 < answers.layers.mean() < 4
    task.threshold = threshold
    np.testing.assert_array_equal(task.predict(model, examples), answers.probability)


def test_all_layers_equal_plain_scoring():
    model, task, examples = a_model(3), a_task(), rows(9)
    both = scorer(model, task)
    wanted = super(EarlyExitScoring, task).predict(both.model, examples)
    answers = task.predict_early(model, examples)
    np.testing.assert_allclose(answers.probability, wanted, atol=1e-6)
    assert (answers.layers == 3).all()
    assert len(task.predict(model, examples[:0])) == 0


def test_exits_that_were_not_trained_and_bad_settings_are_refused():
    model, task, examples = a_model(4), a_task(exits=(1, 3)), rows(2)
    with pytest.raises(ValueError, match=r"layer 2 was not trained as an exit.* are 1, 3, 4"):
        task.predict_early(model, examples, exit=2)
    for threshold in (0.5, 1.5):
        with pytest.raises(ValueError, match=r"threshold must be above \.5"):
            task.predict_early(model, examples, threshold)
    with pytest.raises(ValueError, match=r"below the model's last layer, 3"):
        task.predict(a_model(3), examples)
    with pytest.raises(ValueError, match=r"below the model's last layer, 2"):
        EarlyExitCTR(exits=(2,))._scoring(a_model(2))
    for exits in ((), (2, 1), (0, 1), (1, 1)):
        with pytest.raises(ValueError, match="increasing layers from 1"):
            a_task(exits=exits)
    with pytest.raises(ValueError, match="between 2 classes"):
        EarlyExitScoring(32, 3)
