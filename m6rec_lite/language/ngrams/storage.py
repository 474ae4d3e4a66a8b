"""An n-gram model on disk: one ``.npz`` file, written all or nothing, read without pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np

from m6rec_lite.data.files import new_file
from m6rec_lite.language.ngrams.counts import Counts
from m6rec_lite.language.ngrams.smoothing import Estimate

FORMAT = "m6rec_lite n-grams 1"


def pack(settings: dict[str, Any], counts: Counts, estimate: Estimate) -> dict[str, np.ndarray]:
    """Settings, tables and numbers as one dictionary of arrays.

    Args:
        settings: what JSON can hold; becomes an array of bytes.
        counts: the tables.
        estimate: their numbers.
    """
    kept = {"format": FORMAT, "floor": estimate.floor, "recursive": estimate.recursive}
    text = json.dumps({**settings, **kept}, ensure_ascii=False)
    arrays = {"settings": np.frombuffer(text.encode(), dtype=np.uint8)}
    lists = {"keys": counts.keys, "values": counts.values}
    lists |= {"alphas": estimate.alphas, "gammas": estimate.gammas}
    for name, parts in lists.items():
        arrays |= {f"{name}_{place}": part for place, part in enumerate(parts)}
    return arrays | {f"details_{key}": part for key, part in estimate.details.items()}


def unpack(arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], Counts, Estimate]:
    """What ``pack`` was given.

    Raises:
        ValueError: if the arrays are not a model's.
    """
    try:
        settings = json.loads(arrays["settings"].tobytes().decode())
        if settings.pop("format") != FORMAT:
            raise ValueError(f"these arrays are not of the format {FORMAT!r}; save the model again")
        floor, recursive = settings.pop("floor"), settings.pop("recursive")
        parts = {
            name: [arrays[f"{name}_{place}"] for place in range(settings["order"])]
            for name in ("values", "alphas", "gammas")
        }
        keys = [arrays[f"keys_{place}"] for place in range(settings["order"] - 1)]
    except (KeyError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"these arrays are not an n-gram model's: {error!r}") from error
    n_words = len(parts["values"][0]) - 1
    details = {k.removeprefix("details_"): v for k, v in arrays.items() if k[:8] == "details_"}
    estimate = Estimate(parts["alphas"], parts["gammas"], floor, recursive, details)
    return settings, Counts(n_words, keys, parts["values"]), estimate


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write under a temporary name beside ``path``, flush, rename: never half a file."""
    with new_file(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
    return path


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what ``write_arrays`` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or of another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged, or no file of arrays ({error})") from error


def token_to_json(token: Hashable) -> Any:
    """A token as JSON can hold it; a tuple becomes a list.

    Raises:
        TypeError: if it is none of str, int, float, bool, None and tuples of them.
    """
    token = token.item() if isinstance(token, np.generic) else token
    if isinstance(token, tuple):
        return [token_to_json(part) for part in token]
    if token is None or isinstance(token, str | int | float | bool):
        return token
    raise TypeError(
        f"a token of type {type(token).__name__} cannot be written to disk: {token!r}; use words, "
        "numbers or tuples of them"
    )


def token_from_json(token: Any) -> Hashable:
    """What ``token_to_json`` wrote down."""
    return tuple(token_from_json(part) for part in token) if isinstance(token, list) else token
