"""An exported SASRec gives the scores of the model, for other lengths than that of the example."""

from __future__ import annotations

import numpy as np
import pytest

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.recommenders import EASE, SASRec
from m6rec_lite.serving import export_model, load_exported
from tests.serving.models import LOG

TRAIN = Interactions.from_frame(LOG)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_the_exported_scores_are_those_of_the_model(suffix, tmp_path) -> None:
    if suffix == ".onnx":
        for name in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(name)
    model = SASRec(hidden_size=8, max_length=6, epochs=2, device="cpu").fit(TRAIN, progress=False)
    score = load_exported(export_model(model, tmp_path / f"model{suffix}"))
    for lists in ([[10, 20], [30, 40]], [[60]], [[10, 20, 30, 40, 50, 60]] * 5):
        histories = Histories.from_lists(lists, model.item_ids)
        scores = score(histories.items.reshape(len(lists), -1))
        np.testing.assert_allclose(scores, model.score(histories), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_exported_is_refused(tmp_path) -> None:
    with pytest.raises(TypeError, match="only SASRec"):
        export_model(EASE().fit(TRAIN, progress=False), tmp_path / "model.pt2")
    with pytest.raises(ValueError, match=r"\.pt2 or \.onnx"):
        export_model(SASRec(), tmp_path / "model.bin")
