"""Texts as vectors, by any pretrained model: batches, masks and poolings.

A model gives a state for each token; a recommender wants one vector a text (``pooling``).

``model(**batch)[0]`` holds the states of all tokens of all texts, ``(texts, time, hidden_size)``;
``model(**batch)[0][0]`` is the token matrix of the *first* text, not a vector of each.
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
from m6rec_lite.language.models.pooling import AttentionPooling, last_pooling, mean_pooling
from m6rec_lite.language.text.tokenizer import Tokenizer

__all__ = ["POOLINGS", "AttentionPooling", "TextEncoder", "last_pooling", "mean_pooling"]

logger = logging.getLogger(__name__)

Pooling = Literal["mean", "cls", "last", "last4"]
POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "last", "last4")

#: Config entries that say how many positions a model has, by the families' names for it.
_CONTEXTS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length")


class TextEncoder:
    """A pretrained model that turns texts into vectors.

    Args:
        name: of a model, as ``hub.find_model`` takes it: a folder, ``"bazaar-bert"``,
            ``"all-MiniLM-L6-v2"``, or a name on the hub.
        tokenizer: where the tokenizer is, if not beside the model.
        max_length: tokens of a text that are read; None is all that the model has positions for.
        batch_size: texts at a time.
        device: ``cpu``, ``cuda``, ...; None takes the best there is.

    Attributes:
        name: as given.
        hidden_size: length of the vectors.
        max_length: tokens that are read of a text; None for no limit.
        truncated_: how many texts of the last call were longer, so that their ends were not read.

    Raises:
        ModelError: if there is no such model, it cannot be read, or the tokenizer is another's.
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
        room = _context(model, self.tokenizer)
        least = self.tokenizer.num_special_tokens_to_add() + 1
        if max_length is not None and not least <= max_length <= (room or max_length):
            raise ValueError(
                f"max_length must be from {least} (one token and what the tokenizer adds) to the "
                f"{room} positions of {name}, got {max_length!r}"
            )
        self.max_length = max_length or room

    def __repr__(self) -> str:
        return f"TextEncoder({describe_model(self.name)}; {self.hidden_size} dimensions)"

    def encode(
        self, texts: Sequence[str], pooling: Pooling = "mean", *, progress: bool = True
    ) -> np.ndarray:
        """A vector for each text.

        Args:
            texts: any number; an empty one, and one of spaces only, gives a vector of 0: nothing
                is known of it, whatever the model makes of its own special tokens.
            pooling: ``mean`` of all tokens' states (special ones included, as
                sentence-transformers does); ``cls``, the first token's, which a BERT learns to
                speak for the text only where training asks for it; ``last``, the last token's, for
                causal models; ``last4``, the mean of all tokens over the last four layers.
            progress: show a bar if it takes longer than two seconds.

        Returns:
            ``(n, hidden_size)`` float32, in the order of ``texts``.

        Raises:
            TypeError: if ``texts`` is one string, or one of them is none.
            ValueError: if the pooling is unknown, or a text holds a lone surrogate; or on ``cls``
                of a causal model, whose first token has seen nothing of the text.
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
                found = states[:, 0]
            else:
                found = (last_pooling if pooling == "last" else mean_pooling)(states, mask)
            vectors[rows] = found.float().cpu().numpy()
        return vectors

    def states(self, texts: Sequence[str], *, progress: bool = True) -> tuple[Tensor, Tensor]:
        """The states of all tokens, for poolings that learn.

        Args:
            texts: as of ``encode``; all are filled up to the longest, so keep them few or short.
            progress: see ``encode``.

        Returns:
            ``(n, time, hidden_size)`` float32 and the mask ``(n, time)`` bool, on the CPU.
        """
        parts = list(self._batches(texts, progress))
        time = max((mask.shape[1] for _, _, mask in parts), default=1)
        states = torch.zeros(len(texts), time, self.hidden_size)
        real = torch.zeros(len(texts), time, dtype=torch.bool)
        for rows, found, mask in parts:
            states[rows, : mask.shape[1]] = found.float().cpu() * mask.cpu()[:, :, None]
            real[rows, : mask.shape[1]] = mask.cpu()
        return states, real

    @cached_property
    def looks_ahead(self) -> bool:
        """Whether a token's state depends on later tokens: so in a BERT, not in a GPT. Tried."""
        ids = torch.tensor([[0, 1], [0, 2]], device=self.device) % self.model.config.vocab_size
        with torch.no_grad():
            out = self.model(input_ids=ids, attention_mask=torch.ones_like(ids))
        one, other = out.last_hidden_state[:, 0]
        return not torch.allclose(one, other, atol=1e-6)

    def _batches(
        self, texts: Sequence[str], progress: bool, n_layers: int = 0
    ) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
        """Places among the texts, their states and mask; the longest first, empty texts never."""
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
                some = order[start : start + self.batch_size]
                ids = torch.full((len(some), int(lengths[some[0]])), pad)
                mask = torch.zeros(ids.shape, dtype=torch.bool)
                for i, place in enumerate(some):
                    ids[i, : lengths[place]] = torch.tensor(rows[place])
                    mask[i, : lengths[place]] = True
                yield some, *self._run(ids.to(self.device), mask.to(self.device), n_layers)
                bar.update(len(some))

    @torch.no_grad()
    def _run(self, ids: Tensor, mask: Tensor, n_layers: int) -> tuple[Tensor, Tensor]:
        """The last layer's states, or the mean of those of the last ``n_layers``; and the mask."""
        out = self.model(
            input_ids=ids, attention_mask=mask.long(), output_hidden_states=n_layers > 0
        )
        if not n_layers:
            return out.last_hidden_state, mask
        # the first of hidden_states is what enters the first layer
        return torch.stack(out.hidden_states[1:][-n_layers:]).mean(dim=0), mask

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, cut to what is read; none for an empty text."""
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
        rows = [[] if nothing else row for row, nothing in zip(rows, empty, strict=True)]
        long = [i for i, row in enumerate(rows) if self.max_length and len(row) > self.max_length]
        if long:
            self.truncated_ = len(long)
            cut = self.tokenizer(
                [texts[i] for i in long], truncation=True, max_length=self.max_length
            )["input_ids"]
            for i, row in zip(long, cut, strict=True):
                rows[i] = row
            logger.warning(
                "%d of %d texts are longer than the %d tokens that are read: their ends were cut",
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
            f"text {number} holds half a character (a lone surrogate) at place {error.start}: "
            "read the file as UTF-8, or drop it with text.encode('utf-8', 'ignore').decode()"
        ) from error


def _context(model: Any, tokenizer: Any) -> int | None:
    """How many tokens the model has positions for; None for no limit."""
    config = model.config.get_text_config()
    known = [
        getattr(config, key) for key in _CONTEXTS if isinstance(getattr(config, key, None), int)
    ]
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    if known and getattr(table, "padding_idx", None) is not None:
        known[0] -= table.padding_idx + 1  # RoBERTa counts from behind the place of its padding
    if tokenizer.model_max_length < 10**9:  # else transformers' way to say: no limit is known
        known.append(tokenizer.model_max_length)
    return min(known, default=None)


def _check_tokenizer(tokenizer: Any, model: Any, name: str | Path) -> None:
    """Refuse a tokenizer whose ids mean other tokens to the model, as far as can be told.

    Models of this course name their tokenizer. For others sizes speak: more tokens than the model
    has embeddings cannot be; far fewer cannot be meant (some models round up, by 2 % or less).
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
        found = Tokenizer(backend).fingerprint
    except (AttributeError, ValueError):
        found = type(tokenizer).__name__
    if found != wanted:
        raise ModelError(
            f"{name} reads the ids of the tokenizer {wanted}, and this is {found}: give the one "
            "it was trained with"
        )
