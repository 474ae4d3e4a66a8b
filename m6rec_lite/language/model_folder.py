"""What a model on disk is: a folder in the format of ``transformers``."""

from __future__ import annotations

import json
from pathlib import Path

#: Any of these holds a model's weights, or says which files do.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


class ModelError(ValueError):
    """A pretrained model could not be found or read; the message says what was tried."""


def check_folder(folder: Path) -> Path:
    """The folder, if it holds a model in the format of ``transformers``.

    Raises:
        ModelError: if it does not; says what is missing.
    """
    files = sorted(path.name for path in folder.iterdir())
    holds = (
        f"it holds {', '.join(files[:8])}{', ...' * (len(files) > 8)}" if files else "it is empty"
    )
    wanted = "a model's folder has config.json, model.safetensors and, for most, tokenizer.json"
    if "config.json" not in files:
        raise ModelError(f"{folder} is not a model: no config.json ({holds}); {wanted}")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{folder / 'config.json'} is damaged ({error}): copy it again") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelError(
            f"{folder} is not a language model: its config.json names no model_type ({holds}); "
            "recommenders that this package saved are read by Recommender.load"
        )
    if not any(file in files for file in WEIGHTS):
        raise ModelError(f"{folder} has no weights, such as model.safetensors ({holds}); {wanted}")
    return folder
