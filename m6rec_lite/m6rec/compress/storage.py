"""One file for a compressed model with its tokenizer and tasks, in which zeros cost little.

A matrix with enough zeros is stored as a bit for each weight and the values that are not zero,
shared weights once, quantized ones as codes and scales. It is a safetensors file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from m6rec_lite.data.files import new_file
from m6rec_lite.language.models.model_folder import ModelError
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.compress.early_exit import EarlyExitScoring
from m6rec_lite.m6rec.compress.late_interaction import LateInteractionScoring
from m6rec_lite.m6rec.compress.quantization import QuantizedWeight, quantize_weights
from m6rec_lite.m6rec.compress.sharing import (
    FactorizedEmbedding,
    RepeatedBlock,
    factorize_embedding,
    share_layers,
)
from m6rec_lite.m6rec.config import M6RecConfig
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks import TASKS, Task
from m6rec_lite.m6rec.tasks.multitask import MultiTaskModel

_ALL: tuple[type[Task], ...] = (*TASKS.values(), LateInteractionScoring, EarlyExitScoring)
KINDS = {kind.__name__: kind for kind in _ALL}
#: A bit for each weight is smaller than the zeros if their share is above 1 / 32.
LEAST_ZEROS = 1 / 32


def save_compressed(both: MultiTaskModel, tokenizer: Tokenizer, path: str | Path) -> int:
    """Write a model with its tasks and tokenizer to one file; return its size in bytes."""
    tensors: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    seen: set[int] = set()
    for name, value in both.state_dict().items():
        if value.numel() and value.data_ptr() in seen:  # the head is tied to the embedding
            continue
        seen.add(value.data_ptr())
        value = value.detach().cpu().contiguous()
        if value.is_floating_point() and float((value == 0).sum()) > LEAST_ZEROS * value.numel():
            flat = value.flatten()
            tensors[f"{name}#bits"] = torch.from_numpy(np.packbits((flat != 0).numpy()))
            tensors[f"{name}#values"] = flat[flat != 0]
            shapes[name] = list(value.shape)
        else:
            tensors[name] = value
    tasks = {name: both.task(name) for name in both.tasks}
    about: dict[str, Any] = {"shapes": shapes, "tokenizer": tokenizer.to_json()}
    about |= {"config": both.model.config.to_dict(), "structure": _structure(both.model)}
    about["tasks"] = {name: [type(task).__name__, task.settings()] for name, task in tasks.items()}
    about["sha256"] = _digest(tensors, about)
    with new_file(path) as file:
        file.write(save(tensors, {name: json.dumps(value) for name, value in about.items()}))
    return Path(path).stat().st_size


def _digest(tensors: dict[str, Tensor], about: dict[str, Any]) -> str:
    """Return the SHA-256 of the tensors and of their description."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {[*value.shape]}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
    return digest.hexdigest()


def load_compressed(path: str | Path) -> tuple[MultiTaskModel, Tokenizer]:
    """Read what ``save_compressed`` wrote, in ``eval`` mode.

    Raises:
        ModelError: if it is damaged or of another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = {name: json.loads(text) for name, text in file.metadata().items()}
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about.pop("sha256") != _digest(stored, about):
            raise LookupError("its checksum differs from that of what was written")
        model = _build(M6RecConfig.from_dict(about["config"]), about["structure"])
        tasks = {name: KINDS[kind](**settings) for name, (kind, settings) in about["tasks"].items()}
        weights = {name: value for name, value in stored.items() if "#" not in name}
        for name, shape in about["shapes"].items():
            flat = torch.zeros(int(np.prod(shape)), dtype=stored[f"{name}#values"].dtype)
            bits = np.unpackbits(stored[f"{name}#bits"].numpy(), count=len(flat))
            flat[torch.from_numpy(bits).bool()] = stored[f"{name}#values"]
            weights[name] = flat.reshape(shape)
        both = MultiTaskModel(model, tasks)
        missing, unexpected = both.load_state_dict(weights, strict=False)
    except (OSError, SafetensorError, AttributeError, RuntimeError, LookupError) as error:
        message = f"{path} cannot be read as a compressed model ({error}): write it again with"
        raise ModelError(f"{message} save_compressed") from error
    if unexpected or set(missing) - {"model.head.weight"}:
        raise ModelError(f"{path} lacks or does not know {[*missing, *unexpected][:5]}")
    return both.eval(), Tokenizer.from_json(about["tokenizer"])


def _structure(model: M6RecModel) -> dict[str, Any]:
    """Return how a model differs from a plain one."""
    embedding, shared = model.embedding, isinstance(model.blocks, RepeatedBlock)
    rank = embedding.proj.weight.shape[1] if isinstance(embedding, FactorizedEmbedding) else None
    codes = next((part for part in model.modules() if isinstance(part, QuantizedWeight)), None)
    bits = None if codes is None else [codes.bits, codes.block]
    return {"shared": shared, "rank": rank, "bits": bits}


def _build(config: M6RecConfig, structure: dict[str, Any]) -> M6RecModel:
    """Return a model of a structure, with any weights."""
    with torch.random.fork_rng():
        model = M6RecModel(config)
    if structure["shared"]:
        share_layers(model)
    if structure["rank"] is not None:
        factorize_embedding(model, structure["rank"])
    if structure["bits"] is not None:
        quantize_weights(model, *structure["bits"])
    return model
