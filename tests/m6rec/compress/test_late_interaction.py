"""Late interaction: segments, the cache, and that both ways of running it agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.m6rec import (
    LateInteractionCTR,
    LateInteractionScoring,
    PromptBuilder,
    SegmentCache,
    Weights,
    train_jointly,
)
from m6rec_lite.m6rec.compress.late_interaction import cut_segments, segment_layout
from m6rec_lite.m6rec.tasks.task import TaskBatches, collate
from tests.contracts import clicks
from tests.m6rec.compress.small import BOS, BOS_USER, EOS, EVENT, a_model, rows, scorer


def a_task(joint_layers: int = 1) -> LateInteractionScoring:
    torch.manual_seed(2)
    return LateInteractionScoring(32, joint_layers=joint_layers)


def test_segments_start_at_position_0_and_embeddings_count_from_the_end():
    ids = torch.tensor([[1, 8, 50, 51, 9, 60, 2, 3, 10, 70, 7, 80, 4]])
    number, position, index = segment_layout(ids, torch.tensor([7]))
    assert number.tolist() == [[0, 1, 1, 1, 2, 2, 3, 4, 4, 4, 5, 5, 5]]
    assert position.tolist() == [[0, 0, 1, 2, 0, 1, 0, 0, 1, 2, 0, 1, 2]]
    assert index.tolist() == [[5, 4, 4, 4, 3, 3, 2, 0, 0, 0, 1, 1, 1]]
    parts = cut_segments(ids[0].numpy())
    assert [part.tolist() for part in parts][:3] == [[1], [8, 50, 51], [9, 60]]


def test_the_layers_below_read_their_own_segment_alone():
    model, task, examples = a_model(3), a_task(), rows(1, n_events=2)
    batch = collate(examples, np.array([0]))
    alone = task.split_layers(model)[0]
    seen = []
    hook = alone[-1].register_forward_hook(lambda block, inputs, out: seen.append(out))
    task.states(model, batch)
    changed = batch.ids.clone()
    changed[0, 2] = 99  # a token of the user's segment, 1 to 4
    task.states(model, replace(batch, ids=changed))
    hook.remove()
    differs = (seen[0] != seen[1]).any(-1)[0]
    number = segment_layout(batch.ids, batch.prefix)[0][0]
    assert set(number[differs].tolist()) == {1}


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("joint_layers", [1, 2])
def test_cached_equals_uncached_exactly_and_the_training_path_closely(joint_layers, positions):
    model, task, examples = a_model(3, positions=positions), a_task(joint_layers), rows(8)
    both, cache = scorer(model, task), SegmentCache()
    together = task.predict(both.model, examples)
    for _ in range(2):
        for i, wanted in enumerate(together):
            row = examples.known[i], examples.written[i]
            cached = task.answer(model, *row, cache)
            assert cached == task.answer(model, *row)
            assert cached == pytest.approx(wanted, abs=1e-5)
    n_segments = sum(len(cut_segments(part)) for part in [*examples.known, *examples.written])
    assert cache.hits + cache.misses == 2 * n_segments
    assert cache.misses == len(cache) < n_segments  # [BOS'] and [EOS'] occur in every row


def test_the_cache_is_bounded_and_drops_the_least_recently_used():
    cache, computed = SegmentCache(2), []

    def get(name):
        return cache.states(("w", True, name), lambda: computed.append(name) or torch.zeros(1))

    for name in (b"a", b"b", b"a", b"c", b"a", b"b"):
        get(name)
    assert computed == [b"a", b"b", b"c", b"b"]
    assert (len(cache), cache.hits, cache.misses) == (2, 2, 4)
    with pytest.raises(ValueError, match="at least 1 segment"):
        SegmentCache(0)


def test_a_change_of_weights_is_noticed():
    model, task, examples = a_model(3), a_task(), rows(1)
    cache, row = SegmentCache(), (examples.known[0], examples.written[0])
    before = task.answer(model, *row, cache)
    fingerprint = cache.fingerprint(model)
    with torch.no_grad():
        model.blocks[0].up_proj.weight.mul_(3)
    assert cache.fingerprint(model) != fingerprint
    assert task.answer(model, *row, cache) == task.answer(model, *row) != before


def test_the_order_of_events_matters():
    model, task = a_model(3), a_task()
    written = np.array([BOS, 50, EOS], dtype=np.int32)
    a, b = [EVENT, 60, 61], [EVENT, 70, 71]
    one, other = (np.array([BOS_USER, *x, *y, 2], dtype=np.int32) for x, y in ((a, b), (b, a)))
    assert task.answer(model, one, written) != task.answer(model, other, written)


def test_training_reaches_every_layer_and_the_segment_embedding():
    both, examples = scorer(a_model(3), a_task()), rows(24)
    before = {name: weight.detach().clone() for name, weight in both.named_parameters()}
    train_jointly(
        both, {"scoring": TaskBatches(examples, 4096)}, Weights(finetune={"scoring": 1.0}),
        steps=40, lr=5e-3, weight_decay=0.0, device="cpu", progress=False,
    )  # fmt: skip
    same = [name for name, weight in both.named_parameters() if (weight == before[name]).all()]
    assert same == []
    right = (both.task("scoring").predict(both.model, examples) > 0.5) == examples.target
    assert right.mean() > 0.8


def test_bad_settings_are_refused():
    for joint_layers in (0, 4):
        with pytest.raises(ValueError, match=rf"joint_layers must be 1 to 3, got {joint_layers}"):
            LateInteractionScoring(32, joint_layers=joint_layers)
    examples = rows(1)
    for call in (
        lambda: a_task(3).predict(a_model(3), examples),
        lambda: a_task(2).answer(a_model(2), examples.known[0], examples.written[0]),
        lambda: LateInteractionCTR(joint_layers=2)._scoring(a_model(2)),
    ):
        with pytest.raises(ValueError, match=r"leave none to cache: take fewer joint layers"):
            call()


def test_attributes_events_and_times_are_segments_and_an_event_is_found_again():
    dataset = clicks.world()
    model = LateInteractionCTR(events=2, feature_groups=(), vocab_size=600)
    text = BehaviourText(dataset)
    start, tokenizer = model._start(text, dataset)
    task = model._scoring(start)
    shown = dataset.impressions.iloc[[40, 41]]
    examples = task.encode(shown, dataset, PromptBuilder(text, tokenizer), fit=False)
    first = [tokenizer.decode(part.tolist(), specials=True)
             for part in cut_segments(examples.known[0])]  # fmt: skip
    assert first[0] == "[BOS']"
    assert first[-1] == "[EOS']"
    assert any(part.startswith("[USER]A") or "Oslo" in part or "Madrid" in part for part in first)
    assert any(part.startswith("[EVENT]clicked") for part in first)
    assert any(part.startswith("[SEP]") and "ago" in part for part in first)
    cache = SegmentCache()
    for known, written in zip(examples.known, examples.written, strict=True):
        task.answer(start, known, written, cache)
    assert cache.hits >= len(first) - 1  # two impressions of one slate share the user region


@pytest.mark.slow
def test_the_click_model_is_trained_saved_and_loaded(tmp_path):
    train, validation, test = clicks.parts()
    model = LateInteractionCTR(
        feature_groups=("matches",), events=1, vocab_size=600, negatives=1, epochs=1
    ).fit(train, clicks.world(), validation=validation, progress=False)
    again = LateInteractionCTR.load(model.save(tmp_path / "model"))
    wanted = model.predict(test, clicks.world())
    np.testing.assert_array_equal(again.predict(test, clicks.world()), wanted)
