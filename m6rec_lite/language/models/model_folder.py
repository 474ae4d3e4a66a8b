"""Folders of models in the format of ``transformers``: checks, reading and writing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m6rec_lite.data.files import SUMS, damage, sealed_files

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from m6rec_lite.language.text.tokenizer import Tokenizer

#: Files with a model's weights, or with an index of such files.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


class ModelError(ValueError):
    """A pretrained model could not be found or read; the message says what was tried."""


def check_folder(folder: Path) -> Path:
    """Return the folder if it holds a model in the format of ``transformers``.

    Raises:
        ModelError: if it does not; says what is missing.
    """
    files = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
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


def check_sums(folder: Path, names: Collection[str] | None = None) -> None:
    """Compare the files of a model's folder with its ``SHA256SUMS``, where it has one.

    Args:
        folder: the folder.
        names: compare only these.

    Raises:
        ModelError: if one is missing, damaged or was changed.
    """
    if fault := damage(folder, names):
        raise ModelError(
            f"{fault}: copy the folder again, or save the model again. After a change on purpose "
            f"by another program delete {folder / SUMS}"
        )


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """Read a JSON object from a model's folder.

    Args:
        path: the file.
        advice: what to do where it is damaged.

    Raises:
        ModelError: if it is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} is missing or damaged ({error}): {advice}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is damaged: it holds no JSON object; {advice}")
    return content


@contextmanager
def quiet() -> Iterator[None]:
    """Silence progress bars and reports of ``transformers`` while a model is read or written."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def save_model_files(
    folder: Path, model: PreTrainedModel, tokenizer: Tokenizer | None = None
) -> Path:
    """Write ``config.json``, ``model.safetensors`` and, where one is passed, a tokenizer's files.

    Each file replaces an older one as a whole, once all are written; ``SHA256SUMS`` comes last.

    Args:
        folder: created if missing; other files in it are kept.
        model: a model of ``transformers``; its dtype is kept.
        tokenizer: the model's tokenizer.

    Raises:
        DiskFullError: if the disk is full.
        NotADirectoryError: if there is a file of that name.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: name a folder to save the model in")
    with sealed_files(folder) as fresh:
        with quiet():
            model.save_pretrained(fresh)
        if tokenizer is not None:
            tokenizer.save(fresh)
    return folder
