"""Export a scorer to ONNX, and run it without torch; both need the extra ``compress``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from m6rec_lite.m6rec.tasks.multitask import MultiTaskModel

_SHARE = "negative_share"


def export_onnx(both: MultiTaskModel, path: str | Path) -> Path:
    """Write a model with the task ``scoring`` as an ONNX graph of one row; return the path.

    Raises:
        TypeError: unless the task is a plain ``Scoring`` of two classes, on rotary positions.
    """
    import onnx
    import torch
    from torch import Tensor, nn

    from m6rec_lite.m6rec.tasks.scoring import Scoring

    task = both.task("scoring")
    if type(task) is not Scoring or task.classes != 2 or both.model.positions is not None:
        raise TypeError(
            "only Scoring of two classes on a model with rotary positions can be exported, got "
            f"{type(task).__name__}: a cache and an exit need Python between the layers"
        )

    head = task.head

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList([both.model, head])

        def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
            positions = torch.arange(ids.shape[1])[None]
            return head(both.model.states(ids, mask, position_ids=positions)[:, -1])

    ids = torch.full((1, 12), 20)
    time = torch.export.Dim("time", min=2, max=both.model.config.max_position_embeddings)
    program = torch.onnx.export(
        Network().eval(),
        (ids, torch.from_numpy(_mask(6, 12))),
        input_names=["ids", "mask"],
        output_names=["logits"],
        dynamic_shapes=({1: time}, {2: time, 3: time}),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    proto: Any = program.model_proto
    onnx.helper.set_model_props(proto, {_SHARE: repr(task.negative_share)})
    onnx.save(proto, str(path))
    return Path(path)


class OnnxScorer:
    """Probability of a click of one row, by a file of ``export_onnx``, on one thread."""

    def __init__(self, path: str | Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._share = float(self._session.get_modelmeta().custom_metadata_map[_SHARE])

    def __call__(self, known: Sequence[int], written: Sequence[int]) -> float:
        """Return the probability of class 1 of one row."""
        ids = np.concatenate([known, written]).astype(np.int64)[None]
        inputs = {"ids": ids, "mask": _mask(len(known), ids.shape[1])}
        a, b = self._session.run(["logits"], inputs)[0][0].astype(np.float64)
        odds = np.exp(b - a) * self._share  # corrected for the sampling of negatives
        return float(odds / (1 + odds))


def _mask(known: int, time: int) -> np.ndarray:
    """Return the attention mask of a prefix language model, ``(1, 1, time, time)`` bool."""
    index = np.arange(time)
    return ((index < known) | (index <= index[:, None]))[None, None]
