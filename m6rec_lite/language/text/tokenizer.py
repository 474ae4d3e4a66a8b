"""Tokenizer: byte-level byte-pair encoding with special tokens.

Byte-pair encoding (Gage, 1994; Sennrich et al., 2016) starts from single symbols and repeatedly
merges the most frequent pair of adjacent symbols. With bytes as symbols (Radford et al., 2019)
every text can be encoded, such as Chinese, emoji and typing errors; there is no unknown token.

``Tokenizer`` wraps the ``tokenizers`` library with the special tokens of this course;
``byte_pairs`` implements the same algorithm in plain Python.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from m6rec_lite.data.files import damage, sealed_files, write_text
from m6rec_lite.language.text.byte_pairs import apply_merges, learn_merges

__all__ = ["SPECIALS", "Tokenizer", "apply_merges", "learn_merges"]

#: Special tokens, which encoded text never contains; they structure documents. ``[PAD]`` pads rows.
#: ``[BOS'] … [EOS']`` enclose the input (the user region of M6-Rec), ``[BOS] … [EOS]`` the output.
#: ``[MASK]`` replaces a masked token or span; ``[CLS]`` and ``[SEP]`` are BERT's. ``[USER]``,
#: ``[EVENT]`` and ``[ITEM]`` start a piece of that kind.
SPECIALS: tuple[str, ...] = (
    "[PAD]",
    "[BOS']",
    "[EOS']",
    "[BOS]",
    "[EOS]",
    "[MASK]",
    "[CLS]",
    "[SEP]",
    "[USER]",
    "[EVENT]",
    "[ITEM]",
)

#: Special tokens by their names in ``transformers``.
_ROLES = {
    "pad_token": "[PAD]",
    "bos_token": "[BOS]",
    "eos_token": "[EOS]",
    "mask_token": "[MASK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_FILES = ("tokenizer.json", "tokenizer_config.json")


class Tokenizer:
    """Byte-level byte-pair encoding with the tokens of ``SPECIALS``.

    The text ``[EOS]`` in a title is encoded as ordinary tokens, never as the special token. A word
    and the space before it are one unit (GPT-2's pattern), and merges do not cross units.

    Args:
        backend: a trained tokenizer of the ``tokenizers`` library whose first tokens are
            ``SPECIALS``; use ``train`` or ``load`` to create one.

    Raises:
        ValueError: if the backend's first tokens are not ``SPECIALS``.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        ids = [backend.token_to_id(name) for name in SPECIALS]
        if ids != list(range(len(SPECIALS))):
            raise ValueError(
                f"wanted a tokenizer whose first {len(SPECIALS)} tokens are {', '.join(SPECIALS)}; "
                f"found them at {ids}: train one with Tokenizer.train(texts)"
            )
        backend.encode_special_tokens = True  # encode their names in texts as plain text
        backend.no_padding()
        backend.no_truncation()
        self.backend = backend

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int = 4096, *, min_frequency: int = 2) -> Self:
        """Train a tokenizer on texts; the same texts give the same tokenizer.

        Args:
            texts: distinct texts; repeated texts would dominate the vocabulary.
            vocab_size: maximum number of tokens: special tokens, 256 bytes, and merges.
            min_frequency: pairs that occur less often are not merged.

        Raises:
            TypeError: if ``texts`` is a single string.
            ValueError: if there is no text, ``vocab_size`` is too small for special tokens and
                bytes, or a text contains a lone surrogate.
        """
        least = len(SPECIALS) + 256
        if vocab_size < least:
            raise ValueError(
                f"vocab_size must be at least {least} ({len(SPECIALS)} special tokens and 256 "
                f"bytes), got {vocab_size!r}"
            )
        if isinstance(texts, str):
            raise TypeError("texts must be several texts, such as a list; got one string")
        texts = list(texts)
        _check(texts)
        if not any(texts):
            raise ValueError("no text to learn from: the texts are empty, or there is none")
        backend = tokenizers.Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            special_tokens=list(SPECIALS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer, length=len(texts))
        return cls(backend)

    def to_json(self) -> str:
        """Return the tokenizer as text, for ``from_json``."""
        return self.backend.to_str()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the tokenizer that ``to_json`` wrote."""
        return cls(tokenizers.Tokenizer.from_str(text))

    def __reduce__(self) -> tuple:
        return Tokenizer.from_json, (self.to_json(),)  # the backend's own pickle loses a setting

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocab_size:,} tokens, fingerprint {self.fingerprint})"

    # Encoding and decoding

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text.

        Raises:
            TypeError: if it is not a string.
            ValueError: if it contains a lone surrogate (half a character, without bytes).
        """
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text; several times faster than one call per text."""
        if isinstance(texts, str):
            raise TypeError("encode_batch wants a list of texts, got one string; use encode")
        texts = list(texts)
        try:
            encodings = self.backend.encode_batch_fast(texts, add_special_tokens=False)
        except TypeError:  # its message does not name the text
            _check(texts)
            raise
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Sequence[int], *, specials: bool = False) -> str:
        """Return the text of tokens.

        Args:
            ids: token ids. Incomplete characters are decoded as ``\\ufffd``.
            specials: include the names of special tokens; else they are left out.

        Raises:
            ValueError: if an id is outside the vocabulary.
        """
        return self.backend.decode(self._checked(ids), skip_special_tokens=not specials)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return each token as text for display; incomplete characters are shown as bytes."""
        return [self._shown[i] for i in self._checked(ids)]

    def id(self, special: str) -> int:
        """Return the id of a special token.

        Raises:
            KeyError: if there is no such special token.
        """
        if special not in SPECIALS:
            raise KeyError(f"no special token is called {special}; there are {' '.join(SPECIALS)}")
        return SPECIALS.index(special)

    @property
    def pad(self) -> int:
        """Id of ``[PAD]``, 0."""
        return self.id("[PAD]")

    @property
    def vocab_size(self) -> int:
        """Number of tokens, special tokens included."""
        return self.backend.get_vocab_size()

    @cached_property
    def n_bytes(self) -> np.ndarray:
        """Number of bytes of each token, ``(vocab_size,)`` int64; 0 for special tokens.

        They convert a loss in nats per token to bits per byte, which is comparable between
        tokenizers.
        """
        sizes = [len(name) for name in self._names]
        return np.array([0] * len(SPECIALS) + sizes[len(SPECIALS) :], dtype=np.int64)

    @cached_property
    def _names(self) -> list[str]:
        """Tokens in GPT-2's byte alphabet, by id."""
        return [self.backend.id_to_token(i) or "" for i in range(self.vocab_size)]

    @cached_property
    def _shown(self) -> list[str]:
        """Tokens for display, by id; see ``tokens``."""
        shown = []
        for i, name in enumerate(self._names):
            raw = bytes(_BYTES[character] for character in name if character in _BYTES)
            try:
                shown.append(SPECIALS[i] if i < len(SPECIALS) else raw.decode())
            except UnicodeDecodeError:
                shown.append("".join(f"<{byte:02x}>" for byte in raw))
        return shown

    @cached_property
    def fingerprint(self) -> str:
        """Hash of tokens, merges and pattern, twelve hex digits.

        A model stores it with its weights and rejects a tokenizer with a different one.
        """
        state = json.loads(self.backend.to_str())
        parts = [state["model"]["vocab"], state["model"]["merges"], state["pre_tokenizer"]]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]

    def _checked(self, ids: Sequence[int]) -> list[int]:
        ids = [int(i) for i in ids]
        unknown = [i for i in ids if not 0 <= i < self.vocab_size]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of {len(ids)} ids are no token of this vocabulary of "
                f"{self.vocab_size:,}: {unknown[:5]}"
            )
        return ids

    # Files

    def save(self, folder: str | Path) -> Path:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``, which ``AutoTokenizer`` reads.

        ``AutoTokenizer`` encodes ``[EOS]`` in a text as the special token. For untrusted texts pass
        it ``split_special_tokens=True``, or use this class. ``SHA256SUMS`` detects damaged files.
        """
        config = _ROLES | {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "extra_special_tokens": [name for name in SPECIALS if name not in _ROLES.values()],
            "split_special_tokens": False,
            "clean_up_tokenization_spaces": False,
        }
        texts = (self.backend.to_str(pretty=True), json.dumps(config, indent=2))
        with sealed_files(folder) as fresh:
            for name, text in zip(_FILES, texts, strict=True):
                write_text(fresh / name, text)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load a tokenizer that ``save`` wrote.

        Raises:
            FileNotFoundError: if there is no ``tokenizer.json``.
            ValueError: if the files are damaged, or it is another kind of tokenizer.
        """
        path = Path(folder) / _FILES[0]
        if not path.is_file():
            raise FileNotFoundError(f"no tokenizer in {folder}: it has no {_FILES[0]}")
        if fault := damage(Path(folder), _FILES):
            raise ValueError(f"{fault}; copy the folder again, or save the tokenizer again")
        try:
            backend = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises plain Exception
            raise ValueError(f"{path} is damaged, or no tokenizer: {error}") from error
        return cls(backend)


def _check(texts: Sequence[str]) -> None:
    """Raise unless every text is a string without lone surrogates."""
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {number} is a {type(text).__name__}, not a string: {text!r}")
        if lone := _SURROGATE.search(text):
            raise ValueError(
                f"text {number} has half a character (the lone surrogate {lone.group()!r}) at "
                f"position {lone.start()}: read the file as UTF-8, or drop it with "
                "text.encode('utf-8', 'ignore').decode()"
            )


def _byte_alphabet() -> dict[str, int]:
    """Return the byte of each printable character of GPT-2's byte alphabet."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_alphabet()
