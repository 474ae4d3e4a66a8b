"""Encode texts as vectors with any pretrained model: batching, masks and pooling.

A model computes a hidden state per token; a recommender needs one vector per text (``pooling``).

``model(**batch)[0]`` has the hidden states of all tokens of all texts, ``(texts, time,
hidden_size)``; ``model(**batch)[0][0]`` is the matrix of the *first* text, not a vector per text.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tokenizers
import torch
from torch import Tensor
from tqdm.auto import tqdm

from m6rec_lite.language.models.hub import ModelError, describe_model, load_model, load_tokenizer
from m6rec_lite.language.models.pooling import last_pooling, mean_pooling
from m6rec_lite.language.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

Pooling = Literal["mean", "cls", "last", "last4"]
POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "last", "last4")

#: Config entries for the number of positions; the name depends on the model family.
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length")


class TextEncoder:
    """Encode texts as vectors with a pretrained model.

    Args:
        name: a model for ``hub.find_model``: a folder, ``"bazaar-bert"``,
            ``"all-MiniLM-L6-v2"``, or a name on the hub.
        tokenizer: folder or name of the tokenizer; by default that of the model.
        max_length: maximum number of tokens of a text; None: the model's number of positions.
        batch_size: texts per batch.
        device: ``cpu``, ``cuda``, ...; None: a GPU if there is one.

    Attributes:
        name: as given.
        hidden_size: length of the vectors.
        max_length: maximum number of tokens of a text; None for no limit.
        truncated_: number of texts that were truncated in the last call.

    Raises:
        ModelError: if there is no such model, it cannot be read, or the tokenizer does not fit.
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        name: str | Path,
        *,
        tokenizer: str | Path | None = None,
        max_length: int | None = None,
        batch_size: int = 64,
        device: str | None = None,
    ) -> None:
        from transformers import AutoModel

        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size!r}")
        model, _ = load_model(AutoModel, name, may_lack=("pooler.",), dtype=torch.float32)
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        self.name = name
        self.tokenizer = load_tokenizer(name if tokenizer is None else tokenizer)
        self.batch_size = batch_size
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = model.to(self.device).requires_grad_(False)
        self.hidden_size = model.config.get_text_config().hidden_size
        self.truncated_ = 0
        _check_tokenizer(self.tokenizer, model, name)
        n_positions = _n_positions(model, self.tokenizer)
        least = self.tokenizer.num_special_tokens_to_add() + 1
        if max_length is not None and not least <= max_length <= (n_positions or max_length):
            raise ValueError(
                f"max_length must be from {least} (one token and what the tokenizer adds) to the "
                f"{n_positions} positions of {name}, got {max_length!r}"
            )
        self.max_length = max_length or n_positions

    def __repr__(self) -> str:
        return f"TextEncoder({describe_model(self.name)}; {self.hidden_size} dimensions)"

    def encode(
        self, texts: Sequence[str], pooling: Pooling = "mean", *, progress: bool = True
    ) -> np.ndarray:
        """Return one vector per text.

        Args:
            texts: any number of texts; a text without characters other than spaces gets a vector
                of 0.
            pooling: ``mean`` of all tokens' states (special tokens included, as in
                sentence-transformers); ``cls``: state of the first token, which represents the
                text only if the model was trained for that; ``last``: state of the last token, for
                causal models; ``last4``: mean of all tokens over the last four layers.
            progress: show a progress bar if it takes longer than two seconds.

        Returns:
            ``(n, hidden_size)`` float32, in the order of ``texts``.

        Raises:
            TypeError: if ``texts`` is a single string, or contains something else than strings.
            ValueError: if the pooling is unknown, a text contains a lone surrogate, or on ``cls``
                with a causal model, whose first token does not depend on the text.
        """
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}")
        if pooling == "cls" and not self.looks_ahead:
            raise ValueError(
                f"{self.name} reads from left to right: its first token has seen nothing of the "
                "text; use pooling='last' or 'mean'"
            )
        vectors = np.zeros((len(texts), self.hidden_size), dtype=np.float32)
        for rows, states, mask in self._batches(texts, progress, n_layers=4 * (pooling == "last4")):
            if pooling == "cls":
                pooled = states[:, 0]
            else:
                pooled = (last_pooling if pooling == "last" else mean_pooling)(states, mask)
            vectors[rows] = pooled.float().cpu().numpy()
        return vectors

    def states(self, texts: Sequence[str], *, progress: bool = True) -> tuple[Tensor, Tensor]:
        """Return the hidden states of all tokens, for trainable pooling.

        Args:
            texts: see ``encode``; all are padded to the longest, so use few or short texts.
            progress: see ``encode``.

        Returns:
            ``(n, time, hidden_size)`` float32 and the mask ``(n, time)`` bool, on the CPU.
        """
        parts = list(self._batches(texts, progress))
        time = max((mask.shape[1] for _, _, mask in parts), default=1)
        states = torch.zeros(len(texts), time, self.hidden_size)
        is_token = torch.zeros(len(texts), time, dtype=torch.bool)
        for rows, batch, mask in parts:
            states[rows, : mask.shape[1]] = batch.float().cpu() * mask.cpu()[:, :, None]
            is_token[rows, : mask.shape[1]] = mask.cpu()
        return states, is_token

    @cached_property
    def looks_ahead(self) -> bool:
        """Whether a token's state depends on later tokens, as in a BERT; tested by a run."""
        ids = torch.tensor([[0, 1], [0, 2]], device=self.device) % self.model.config.vocab_size
        with torch.no_grad():
            out = self.model(input_ids=ids, attention_mask=torch.ones_like(ids))
        first, second = out.last_hidden_state[:, 0]
        return not torch.allclose(first, second, atol=1e-6)

    def _batches(
        self, texts: Sequence[str], progress: bool, n_layers: int = 0
    ) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
        """Yield indices of texts, their states and mask; the longest first, without empty texts."""
        rows = self._tokenize(texts)
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        pad = self.tokenizer.pad_token_id or 0
        bar = tqdm(
            total=len(order),
            desc="encoding",
            unit="text",
            delay=2,
            leave=False,
            disable=not progress,
        )
        with bar:
            for start in range(0, len(order), self.batch_size):
                batch = order[start : start + self.batch_size]
                ids = torch.full((len(batch), int(lengths[batch[0]])), pad)
                mask = torch.zeros(ids.shape, dtype=torch.bool)
                for i, text in enumerate(batch):
                    ids[i, : lengths[text]] = torch.tensor(rows[text])
                    mask[i, : lengths[text]] = True
                yield batch, *self._run(ids.to(self.device), mask.to(self.device), n_layers)
                bar.update(len(batch))

    @torch.no_grad()
    def _run(self, ids: Tensor, mask: Tensor, n_layers: int) -> tuple[Tensor, Tensor]:
        """Return the last layer's states, or the mean over the last ``n_layers``; and the mask."""
        out = self.model(
            input_ids=ids, attention_mask=mask.long(), output_hidden_states=n_layers > 0
        )
        if not n_layers:
            return out.last_hidden_state, mask
        # hidden_states[0] is the input of the first layer
        return torch.stack(out.hidden_states[1:][-n_layers:]).mean(dim=0), mask

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the truncated token ids of each text; no ids for an empty text."""
        if isinstance(texts, str):
            raise TypeError("texts must be several texts, such as a list; got one string")
        for number, text in enumerate(texts):
            _check_text(number, text)
        texts, self.truncated_ = list(texts), 0
        if not texts:
            return []
        plain = self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        rows = self.tokenizer(texts, verbose=False)["input_ids"]
        empty = [
            not text.strip() or not content for text, content in zip(texts, plain, strict=True)
        ]
        rows = [[] if is_empty else row for row, is_empty in zip(rows, empty, strict=True)]
        long = [i for i, row in enumerate(rows) if self.max_length and len(row) > self.max_length]
        if long:
            self.truncated_ = len(long)
            cut = self.tokenizer(
                [texts[i] for i in long], truncation=True, max_length=self.max_length
            )["input_ids"]
            for i, row in zip(long, cut, strict=True):
                rows[i] = row
            logger.warning(
                "%d of %d texts are longer than the maximum of %d tokens: their ends were cut",
                len(long), len(texts), self.max_length,
            )  # fmt: skip
        return rows


def _check_text(number: int, text: Any) -> None:
    if not isinstance(text, str):
        raise TypeError(f"text {number} is {text!r}, not a string: write '' for what is missing")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text {number} holds half a character (a lone surrogate) at position {error.start}: "
            "read the file as UTF-8, or drop it with text.encode('utf-8', 'ignore').decode()"
        ) from error


def _n_positions(model: Any, tokenizer: Any) -> int | None:
    """Return the maximum number of tokens of a model; None for no limit."""
    config = model.config.get_text_config()
    known = [
        getattr(config, key) for key in _POSITIONS if isinstance(getattr(config, key, None), int)
    ]
    table: Any = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    if known and getattr(table, "padding_idx", None) is not None:
        known[0] -= table.padding_idx + 1  # RoBERTa's positions start after the padding index
    if tokenizer.model_max_length < 10**9:  # a very large number means that no limit is known
        known.append(tokenizer.model_max_length)
    return min(known, default=None)


def _check_tokenizer(tokenizer: Any, model: Any, name: str | Path) -> None:
    """Raise ``ModelError`` if the tokenizer is not the model's.

    Models of this course store their tokenizer's fingerprint. For others the sizes are compared:
    there must not be more tokens than embeddings, nor far fewer (some models round up, by 2 % or
    less).
    """
    rows, size = model.get_input_embeddings().weight.shape[0], len(tokenizer)
    if not 0.9 * rows <= size <= rows:
        raise ModelError(
            f"the tokenizer has {size:,} tokens and {name} has embeddings of {rows:,}: they do not "
            "belong together; give the tokenizer the model was trained with"
        )
    wanted = getattr(model.config, "tokenizer_fingerprint", None)
    if wanted is None:
        return
    try:
        backend = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        actual = Tokenizer(backend).fingerprint
    except (AttributeError, ValueError):
        actual = type(tokenizer).__name__
    if actual != wanted:
        raise ModelError(
            f"{name} reads the ids of the tokenizer {wanted}, and this is {actual}: give the one "
            "it was trained with"
        )
