"""Text to numbers and back: byte-level byte-pair encoding with special tokens.

Byte-pair encoding (Gage, 1994; Sennrich et al., 2016) starts from single symbols and joins the
pair of neighbours that is most frequent, again and again. Where the symbols are bytes (Radford et
al., 2019) every text can be written: Chinese, emoji, a typing error. There is no unknown token.

``Tokenizer`` is the ``tokenizers`` library set up that way, with the special tokens of this
course; ``byte_pairs`` is the idea by hand, equal to it.
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

from m6rec_lite.data.files import damage, seal, write_text
from m6rec_lite.language.text.byte_pairs import apply_merges, learn_merges

__all__ = ["SPECIALS", "Tokenizer", "apply_merges", "learn_merges"]

#: Tokens that no text contains, whatever is written in it; they alone give a document structure.
#: ``[PAD]`` fills up rows. ``[BOS'] … [EOS']`` enclose what is given (the user region of M6-Rec),
#: ``[BOS] … [EOS]`` what is to be written. ``[MASK]`` stands for a hidden token or span; ``[CLS]``
#: and ``[SEP]`` are BERT's. ``[USER]``, ``[EVENT]`` and ``[ITEM]`` open a piece of that kind.
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

#: What ``transformers`` calls those of our tokens that it has a word for.
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

    Text is text: ``[EOS]`` written in a title becomes ordinary tokens, never the special one.
    A word and the space before it are one unit (GPT-2's pattern), and merges stay within units.

    Args:
        backend: a trained tokenizer of the ``tokenizers`` library that has all of ``SPECIALS`` as
            its first tokens; ``train`` and ``load`` make one.

    Raises:
        ValueError: if the backend lacks a special token, or numbers them otherwise.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        found = [backend.token_to_id(name) for name in SPECIALS]
        if found != list(range(len(SPECIALS))):
            raise ValueError(
                f"wanted a tokenizer whose first {len(SPECIALS)} tokens are {', '.join(SPECIALS)}; "
                f"found them at {found}: train one with Tokenizer.train(texts)"
            )
        backend.encode_special_tokens = True  # the library's name for: read them as plain text
        backend.no_padding()
        backend.no_truncation()
        self.backend = backend

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int = 4096, *, min_frequency: int = 2) -> Self:
        """Learn the merges of some texts; the same texts give the same tokenizer.

        Args:
            texts: any texts; give each once, lest what is repeated fills the vocabulary.
            vocab_size: tokens in all: special ones, 256 bytes, and the merges. Fewer come out
                where the texts do not hold so many pairs.
            min_frequency: pairs that occur less often are not joined.

        Raises:
            ValueError: if there is no text, the vocabulary has no room for bytes and special
                tokens, or a text holds a lone surrogate.
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

    def __reduce__(self) -> tuple:
        return _read, (self.backend.to_str(),)  # the library's own pickle forgets a setting

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocab_size:,} tokens, fingerprint {self.fingerprint})"

    # Text and numbers

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's tokens; an empty text has none.

        Raises:
            TypeError: if it is not a string.
            ValueError: if it holds a lone surrogate, which is half a character and has no bytes.
        """
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """``encode`` of each text, several times faster than one by one."""
        if isinstance(texts, str):
            raise TypeError("encode_batch wants a list of texts, got one string; use encode")
        texts = list(texts)
        try:
            found = self.backend.encode_batch_fast(texts, add_special_tokens=False)
        except TypeError:  # the library does not say which text, nor why
            _check(texts)
            raise
        return [encoding.ids for encoding in found]

    def decode(self, ids: Sequence[int], *, specials: bool = False) -> str:
        """The text of some tokens.

        Args:
            ids: numbers of tokens. Bytes that are no character (a cut in the middle of one) come
                out as ``\\ufffd``.
            specials: write the special tokens out, by name; else they are left out.

        Raises:
            ValueError: if a number is outside the vocabulary.
        """
        ids = self._known(ids)
        return self.backend.decode(ids, skip_special_tokens=not specials)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Each token as text, for display; a token that is part of a character shows as bytes."""
        return [self._shown[i] for i in self._known(ids)]

    def id(self, special: str) -> int:
        """The number of a special token.

        Raises:
            KeyError: if there is no such special token.
        """
        if special not in SPECIALS:
            raise KeyError(f"no special token is called {special}; there are {' '.join(SPECIALS)}")
        return SPECIALS.index(special)

    @property
    def pad(self) -> int:
        """The number of ``[PAD]``, 0."""
        return self.id("[PAD]")

    @property
    def vocab_size(self) -> int:
        """Number of tokens, the special ones included."""
        return self.backend.get_vocab_size()

    @cached_property
    def n_bytes(self) -> np.ndarray:
        """``(vocab_size,)`` int64: how many bytes of text each token stands for; 0 for specials.

        With them a loss in nats a token becomes bits a byte, which compares any two tokenizers.
        """
        names = [self.backend.id_to_token(i) for i in range(self.vocab_size)]
        return np.array([0] * len(SPECIALS) + [len(name) for name in names[len(SPECIALS) :]])

    @cached_property
    def _shown(self) -> list[str]:
        """Each token as ``tokens`` shows it."""
        shown = []
        for i in range(self.vocab_size):
            raw = bytes(_BYTES[mark] for mark in self.backend.id_to_token(i) if mark in _BYTES)
            try:
                shown.append(SPECIALS[i] if i < len(SPECIALS) else raw.decode())
            except UnicodeDecodeError:
                shown.append("".join(f"<{byte:02x}>" for byte in raw))
        return shown

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hex digits for what the tokenizer does: its tokens, merges and pattern.

        A model keeps it beside its weights, and refuses a tokenizer with another one.
        """
        state = json.loads(self.backend.to_str())
        does = [state["model"]["vocab"], state["model"]["merges"], state["pre_tokenizer"]]
        return hashlib.sha256(json.dumps(does, sort_keys=True).encode()).hexdigest()[:12]

    def _known(self, ids: Sequence[int]) -> list[int]:
        ids = [int(i) for i in ids]
        strange = [i for i in ids if not 0 <= i < self.vocab_size]
        if strange:
            raise ValueError(
                f"{len(strange)} of {len(ids)} numbers are no token of this vocabulary of "
                f"{self.vocab_size:,}: {strange[:5]}"
            )
        return ids

    # Keeping

    def save(self, folder: str | Path) -> Path:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``, which ``AutoTokenizer`` reads.

        ``AutoTokenizer`` reads ``[EOS]`` in a text as the special token, as its users expect. For
        texts of others pass it ``split_special_tokens=True``, or use this class, which always
        reads it as text. A ``SHA256SUMS`` beside the files tells damaged ones.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = _ROLES | {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "extra_special_tokens": [name for name in SPECIALS if name not in _ROLES.values()],
            "split_special_tokens": False,
            "clean_up_tokenization_spaces": False,
        }
        for name, text in zip(
            _FILES, (self.backend.to_str(pretty=True), json.dumps(config, indent=2)), strict=True
        ):
            write_text(folder / name, text)
        seal(folder, _FILES)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            FileNotFoundError: if there is no ``tokenizer.json``.
            ValueError: if it is damaged, or another kind of tokenizer.
        """
        path = Path(folder) / _FILES[0]
        if not path.is_file():
            raise FileNotFoundError(f"no tokenizer in {folder}: it has no {_FILES[0]}")
        if fault := damage(Path(folder), _FILES):
            raise ValueError(f"{fault}; copy the folder again, or save the tokenizer again")
        try:
            backend = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"{path} is damaged, or no tokenizer: {error}") from error
        return cls(backend)


def _read(state: str) -> Tokenizer:
    return Tokenizer(tokenizers.Tokenizer.from_str(state))


def _check(texts: Sequence[str]) -> None:
    """Raise unless every text is a string without lone surrogates."""
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {number} is a {type(text).__name__}, not a string: {text!r}")
        if lone := _SURROGATE.search(text):
            raise ValueError(
                f"text {number} has half a character (the lone surrogate {lone.group()!r}) at "
                f"place {lone.start()}: read the file as UTF-8, or drop it with "
                "text.encode('utf-8', 'ignore').decode()"
            )


def _byte_marks() -> dict[str, int]:
    """The printable character that GPT-2's alphabet writes for each byte, and the byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    marks = {chr(byte): byte for byte in plain}
    return marks | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_marks()
