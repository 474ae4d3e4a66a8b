"""Export to ONNX: the same answers for rows of any length, without torch."""

from __future__ import annotations

import pytest

from m6rec_lite.m6rec import EarlyExitScoring, OnnxScorer, export_onnx
from tests.m6rec.compress.small import a_model, rows, scorer


def test_only_plain_scoring_is_exported(tmp_path):
    pytest.importorskip("onnx")
    with pytest.raises(TypeError, match="got EarlyExitScoring: a cache and an exit need Python"):
        export_onnx(scorer(a_model(3), EarlyExitScoring(32)), tmp_path / "model.onnx")
    with pytest.raises(TypeError, match="rotary positions"):
        export_onnx(scorer(a_model(2, positions="learned")), tmp_path / "model.onnx")


@pytest.mark.extra
def test_the_exported_graph_gives_the_same_answers(tmp_path):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    both, examples = scorer(a_model(2)), rows(6)
    task = both.task("scoring")
    task.negative_share = 0.25
    answer = OnnxScorer(export_onnx(both, tmp_path / "model.onnx"))
    assert len(set(examples.lengths.tolist())) > 1
    wanted = task.predict(both.model, examples)
    for i, probability in enumerate(wanted):
        got = answer(examples.known[i], examples.written[i])
        assert got == pytest.approx(probability, abs=1e-5)
