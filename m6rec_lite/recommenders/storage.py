"""Saved models: a folder with ``config.json`` and ``arrays.npz``, written atomically.

The weights of a network are stored in an additional safetensors file, under the names of its
``state_dict``. ``SHA256SUMS`` detects damaged files. Pickle is not used, so that reading a model
never runs code.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse

from m6rec_lite.data.files import damage, new_folder, seal, settle
from m6rec_lite.data.tables import DataError

FORMAT = "m6rec_lite recommender 2"
_SPARSE = ("data", "indices", "indptr", "shape")


def write_model(path: Path, name: str, settings: dict[str, Any], state: dict[str, Any]) -> Path:
    """Write a model's class name, settings and arrays to the folder ``path``.

    The folder is written under a temporary name, flushed to disk, and renamed: after a crash or
    with a full disk the previous model stays unchanged.

    Args:
        path: the folder; replaced if it contains a saved model.
        name: name of the class.
        settings: values that JSON can represent.
        state: dense or sparse arrays by name; a dict of arrays, the weights of a network, is
            written to ``NAME.safetensors``.

    Returns:
        ``path``.

    Raises:
        DiskFullError: if the disk is full.
        FileExistsError: if ``path`` exists and is not a saved model.
        TypeError: if JSON cannot represent a setting.
    """
    if path.exists() and not (path / "config.json").is_file():
        raise FileExistsError(f"{path} exists and is not a saved model; choose another name")
    weights = {key: value for key, value in state.items() if isinstance(value, dict)}
    arrays = _flatten({key: value for key, value in state.items() if key not in weights})
    config = {"format": FORMAT, "class": name, "settings": settings}
    config |= {"arrays": sorted(arrays), "weights": sorted(weights)}
    text = json.dumps(config, indent=2, ensure_ascii=False, default=_plain)
    with new_folder(path) as folder:
        np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
        for key, value in weights.items():
            save_file({k: np.ascontiguousarray(v) for k, v in value.items()}, _file(folder, key))
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        seal(folder, [file.name for file in folder.iterdir()])
    return path


def read_model(path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Read what ``write_model`` wrote.

    Returns:
        The class name, the settings, and the state, as in ``write_model``.

    Raises:
        FileNotFoundError: if there is no folder.
        DataError: if a file is missing, damaged, or has another format.
    """
    settle(path)
    if not path.is_dir():
        raise FileNotFoundError(f"no saved model at {path}: it should be a folder")
    for file in ("config.json", "arrays.npz"):
        if not (path / file).is_file():
            raise DataError(f"{path} is not a whole saved model: {file} is missing")
    if fault := damage(path):
        raise DataError(f"{fault}; save the model again, or copy the folder again")
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path / 'config.json'} is damaged ({error}); save again") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise DataError(f"{path / 'config.json'} is not of the format {FORMAT!r}; save again")
    try:
        with np.load(path / "arrays.npz", allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path / 'arrays.npz'} is damaged ({error}); save again") from error
    if sorted(arrays) != config.get("arrays"):
        raise DataError(f"{path}: config.json and arrays.npz are of different models; save again")
    return config["class"], config["settings"], _unflatten(arrays) | _weights(path, config)


def _file(path: Path, name: str) -> Path:
    return path / f"{name}.safetensors"


def _weights(path: Path, config: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Read the weights of each network of a saved model, by its name."""
    weights = {}
    for name in config["weights"]:
        file = _file(path, name)
        if not file.is_file():
            raise DataError(f"{path} is not a whole saved model: {file.name} is missing")
        try:
            weights[name] = load_file(file)
        except (OSError, SafetensorError) as error:
            raise DataError(f"{file} is damaged ({error}); save again") from error
    return weights


def _flatten(state: dict[str, Any]) -> dict[str, np.ndarray]:
    """Replace each sparse matrix by its four arrays, such as ``weights.data``."""
    arrays: dict[str, np.ndarray] = {}
    for key, value in state.items():
        if sparse.issparse(value):
            value = value.tocsr()
            arrays |= {f"{key}.{part}": np.asarray(getattr(value, part)) for part in _SPARSE}
        else:
            arrays[key] = np.asarray(value)
    return arrays


def _unflatten(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Invert ``_flatten``."""
    state: dict[str, Any] = {}
    for key, value in arrays.items():
        name, _, part = key.rpartition(".")
        if part == "data":
            parts = (arrays[f"{name}.{p}"] for p in _SPARSE[:3])
            state[name] = sparse.csr_array(tuple(parts), shape=tuple(arrays[f"{name}.shape"]))
        elif not part or not name:
            state[key] = value
    return state


def _plain(value: Any) -> Any:
    """Convert a numpy scalar to a Python number, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        f"a setting of type {type(value).__name__} cannot be written to disk: {value!r}"
    )
