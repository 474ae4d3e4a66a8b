"""Export of SASRec to a file that runs without this package: ``torch.export`` or ONNX."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.sequential.sasrec import SASRec, SASRecNetwork

#: Suffixes of the two formats.
TORCH, ONNX = ".pt2", ".onnx"
#: Maps ``(n, t)`` int64 item indices, oldest first, to ``(n, n_items)`` float32 scores.
Scorer = Callable[[np.ndarray], np.ndarray]


class _Scores(nn.Module):
    """Scores of histories of one length: the network of SASRec without packing."""

    def __init__(self, network: SASRecNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, items: Tensor) -> Tensor:
        """Return ``(n, n_items)`` scores of ``(n, t)`` item indices."""
        network, t = self.network, items.shape[1]
        positions = network.positions.weight[:t].flip(0)  # 0 is the latest item
        x = network.items(items) * math.sqrt(network.items.embedding_dim) + positions
        mask = torch.ones(t, t, dtype=torch.bool).tril()  # causal, for any length
        return network.transformer(x, mask)[:, -1] @ network.items.weight.t()


def export_model(model: Recommender, path: str | Path) -> Path:
    """Write a fitted SASRec as a graph that scores histories of equal length; return the path.

    Args:
        model: fitted.
        path: ends in ``.pt2`` (``torch.export``), or ``.onnx`` (needs the extra ``compress``).

    Raises:
        TypeError: if the model is not SASRec.
        ValueError: if the path ends in something else.
        ImportError: if the packages for ONNX are missing.
    """
    path = Path(path)
    if not isinstance(model, SASRec):
        raise TypeError(f"only SASRec can be exported, got {model.name}")
    if path.suffix not in (TORCH, ONNX):
        raise ValueError(f"the file must end in {TORCH} or {ONNX}, got {path.name}")
    model._require_fitted()
    network = model._network
    assert isinstance(network, SASRecNetwork)
    graph = _Scores(network).cpu().eval()
    example = torch.zeros((2, min(3, model.max_length)), dtype=torch.int64)
    shapes: Any = {0: torch.export.Dim("n", min=1, max=65_536)}
    if model.max_length > 1:
        shapes[1] = torch.export.Dim("t", min=1, max=model.max_length)
    if path.suffix == TORCH:
        program = torch.export.export(graph, (example,), dynamic_shapes=(shapes,))
        torch.export.save(program, path)
        return path
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError("ONNX needs more: pip install 'm6rec-lite[compress]'") from error
    torch.onnx.export(
        graph,
        (example,),
        path,
        input_names=["items"],
        output_names=["scores"],
        dynamic_shapes=(shapes,),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return path


def load_exported(path: str | Path) -> Scorer:
    """Return the scoring function of a file that ``export_model`` wrote.

    An ``.onnx`` file is data only. Read a ``.pt2`` file only if it is your own: torch unpickles
    parts of it.
    """
    path = Path(path)
    if path.suffix == ONNX:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda items: session.run(["scores"], {"items": items.astype(np.int64)})[0]
    module = torch.export.load(path).module()

    def score(items: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(items.astype(np.int64))).numpy()

    return score
