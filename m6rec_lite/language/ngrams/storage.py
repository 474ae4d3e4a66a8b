"""Save and load n-gram models: one ``.npz`` file, written atomically, without pickle."""

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
    """Return a model as one dictionary of arrays.

    Args:
        settings: a JSON object; stored as an array of bytes.
        counts: the tables.
        estimate: parameters estimated from them.
    """
    scalars = {"format": FORMAT, "floor": estimate.floor, "recursive": estimate.recursive}
    text = json.dumps({**settings, **scalars}, ensure_ascii=False)
    arrays = {"settings": np.frombuffer(text.encode(), dtype=np.uint8)}
    lists = {"keys": counts.keys, "values": counts.values}
    lists |= {"alphas": estimate.alphas, "gammas": estimate.gammas}
    for name, parts in lists.items():
        arrays |= {f"{name}_{i}": part for i, part in enumerate(parts)}
    return arrays | {f"details_{key}": part for key, part in estimate.details.items()}


def unpack(arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], Counts, Estimate]:
    """Return the arguments of ``pack``.

    Raises:
        ValueError: if the arrays are not those of a model.
    """
    try:
        settings = json.loads(arrays["settings"].tobytes().decode())
        if settings.pop("format") != FORMAT:
            raise ValueError(f"these arrays are not of the format {FORMAT!r}; save the model again")
        floor, recursive = settings.pop("floor"), settings.pop("recursive")
        parts = {
            name: [arrays[f"{name}_{i}"] for i in range(settings["order"])]
            for name in ("values", "alphas", "gammas")
        }
        keys = [arrays[f"keys_{i}"] for i in range(settings["order"] - 1)]
    except (KeyError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"these arrays are not an n-gram model's: {error!r}") from error
    n_words = len(parts["values"][0]) - 1
    details = {k.removeprefix("details_"): v for k, v in arrays.items() if k[:8] == "details_"}
    estimate = Estimate(parts["alphas"], parts["gammas"], floor, recursive, details)
    return settings, Counts(n_words, keys, parts["values"]), estimate


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write arrays to an ``.npz`` file, atomically."""
    with new_file(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
    return path


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read arrays that ``write_arrays`` wrote.

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
    """Return a token as a JSON value; a tuple becomes a list.

    Raises:
        TypeError: if it is not a str, int, float, bool, None or tuple of them.
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
    """Return the token for a value from ``token_to_json``."""
    return tuple(token_from_json(part) for part in token) if isinstance(token, list) else token
