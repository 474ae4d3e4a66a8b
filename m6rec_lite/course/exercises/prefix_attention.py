"""Exercise ``prefix_attention``: attention with trained keys and values."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _softmax(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def _attend(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, pk: np.ndarray, pv: np.ndarray
) -> np.ndarray:
    keys, values = np.concatenate([pk, k]), np.concatenate([pv, v])
    return _softmax(q @ keys.T / np.sqrt(q.shape[1])) @ values


def _apart(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, pk: np.ndarray, pv: np.ndarray
) -> np.ndarray:
    scale = np.sqrt(q.shape[1])
    return _softmax(q @ k.T / scale) @ v + _softmax(q @ pk.T / scale) @ pv


def _as_tokens(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, pk: np.ndarray, pv: np.ndarray
) -> np.ndarray:
    return _attend(np.concatenate([pk, q]), k, v, pk, pv)


def _keys_only(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, pk: np.ndarray, pv: np.ndarray
) -> np.ndarray:
    return _attend(q, k, v, pk, np.zeros_like(pv))


_Z = np.zeros((1, 2))
_Q = np.array([[1.0, 0.5], [0.0, -1.0], [2.0, 1.0]])
_K = np.array([[0.5, 1.0], [1.0, -1.0], [0.0, 2.0]])
_V = np.array([[1.0, 0.0], [0.0, 3.0], [2.0, 2.0]])
_PK = np.array([[1.0, 1.0], [-1.0, 0.5]])
_PV = np.array([[4.0, -1.0], [0.0, 1.0]])

EXERCISE = Exercise(
    id="prefix_attention",
    title="Attention with trained keys and values",
    cases=(
        Case(
            (_Z, _Z, np.array([[3.0, 1.0]]), _Z, np.array([[1.0, 1.0]])),
            np.array([[2.0, 1.0]]),
            note="on paper: all scores are 0, so a plain mean",
        ),
        Case((_Q, _K, _V, _PK, _PV), _attend(_Q, _K, _V, _PK, _PV)),
        Case((_Q[:1], _K, _V, _PK[:1], _PV[:1]), _attend(_Q[:1], _K, _V, _PK[:1], _PV[:1])),
    ),
    known_wrong=(
        KnownWrong(
            _apart,
            "Two softmaxes, each summing to 1, are added: the prefix must compete with the tokens "
            "in *one* softmax.",
        ),
        KnownWrong(
            lambda q, k, v, pk, pv: _softmax(q @ k.T / np.sqrt(q.shape[1])) @ v,
            "The prefix is not used.",
        ),
        KnownWrong(
            _as_tokens,
            "The prefix asks too: it has keys and values, but no queries. The result has one row a "
            "token.",
        ),
        KnownWrong(
            lambda q, k, v, pk, pv: (
                _softmax(q @ np.concatenate([pk, k]).T) @ np.concatenate([pv, v])
            ),
            "The scores are not divided by the root of the number of dimensions.",
        ),
        KnownWrong(
            _keys_only,
            "The prefix's keys take weight and its values give nothing: use pv.",
        ),
        KnownWrong(
            lambda q, k, v, pk, pv: _attend(q, k, v, pv, pk),
            "Keys and values of the prefix are exchanged.",
        ),
    ),
    hints=(
        "Put pk before k, and pv before v.",
        "softmax(q keysᵀ / √d) values, over all keys at once.",
        "The queries are those of the row alone.",
    ),
    notice="No position runs through the network for the prefix, so a prefix costs keys and values "
    "only; a soft prompt of the same length costs a token of everything.",
)
