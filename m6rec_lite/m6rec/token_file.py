"""Files of tokenized documents, memory-mapped.

A folder holds ``tokens.bin`` (the concatenated documents, two bytes a token if the vocabulary
permits), ``ends.bin`` (the end of each document), ``about.json`` and checksums. The arrays are
memory-mapped, so that a corpus larger than memory can be read in random order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm.auto import tqdm

from m6rec_lite.data.files import damage, new_folder, seal
from m6rec_lite.data.run_config import setting_differences
from m6rec_lite.language.text.document import Document, encode_documents
from m6rec_lite.language.text.tokenizer import Tokenizer

FORMAT = "m6rec_lite tokens 1"

#: What ``about.json`` says of a folder.
FIELDS = ("format", "tokenizer", "dtype", "tokens", "documents", "of")

#: Number of documents that are tokenized, and in memory, at a time while writing.
CHUNK = 4096


class TokenFileError(RuntimeError):
    """Raised if a file of tokens is damaged, or of another tokenizer or other documents."""


class TokenFile(Sequence[np.ndarray]):
    """The documents of a folder that ``write`` made; ``file[i]`` are the tokens of one.

    Args:
        folder: what ``write`` returned.
        tokenizer: of the model; a file of another tokenizer is refused, since its ids are of
            other tokens.

    Attributes:
        tokens: ``(n_tokens,)`` uint16 or uint32, mapped.
        ends: ``(n_documents,)`` int64, mapped: where each document ends in ``tokens``.
        about: contents of ``about.json``.

    Raises:
        FileNotFoundError: if there is no such folder.
        TokenFileError: if it is damaged or of another tokenizer.
    """

    def __init__(self, folder: str | Path, tokenizer: Tokenizer) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"no file of tokens at {folder}: TokenFile.write makes one")
        try:
            self.about = json.loads((self.folder / "about.json").read_text(encoding="utf-8"))
            kind, writer, dtype, n_tokens, n_documents, _ = (self.about[name] for name in FIELDS)
            arrays = [("tokens", np.dtype(dtype), int(n_tokens))]
            arrays.append(("ends", np.dtype(np.int64), int(n_documents)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TokenFileError(
                f"{folder} holds no complete file of tokens ({error!r})"
            ) from error
        if kind != FORMAT:
            raise TokenFileError(f"{folder} is not of the format {FORMAT!r}: write it again")
        if writer != tokenizer.fingerprint:
            raise TokenFileError(
                f"{folder} was written with the tokenizer {writer}, and this one "
                f"is {tokenizer.fingerprint}: its numbers mean other words. Pass the tokenizer "
                "that wrote it, or delete the folder and write it again"
            )
        for name, dtype, count in arrays:
            path, size = self.folder / f"{name}.bin", count * dtype.itemsize
            size_now = path.stat().st_size if path.is_file() else 0
            if size_now != size:
                raise TokenFileError(
                    f"{path} has {size_now:,} bytes where {size:,} were written (cut off?): delete "
                    f"{folder} and write it again"
                )
            setattr(self, name, np.memmap(path, dtype=dtype, mode="r", shape=(count,)))
        if fault := damage(self.folder):
            raise TokenFileError(f"{fault}: delete {folder} and write it again")

    tokens: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]
        if not 0 <= i < len(self):
            raise IndexError(f"document {i} of {len(self)}")
        start = int(self.ends[i - 1]) if i else 0
        return self.tokens[start : int(self.ends[i])]

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each document, ``(n_documents,)``."""
        return np.diff(self.ends, prepend=0)

    @classmethod
    def write(
        cls,
        folder: str | Path,
        documents: Iterable[Document],
        tokenizer: Tokenizer,
        *,
        of: Mapping[str, Any] | None = None,
        progress: bool = True,
    ) -> Self:
        """Tokenize documents into a new folder, which is created completely or not at all.

        Args:
            folder: must not exist yet.
            documents: iterated over once; those without a token are left out.
            tokenizer: its fingerprint is written too.
            of: description of the documents, as JSON values; stored in ``about["of"]``.
            progress: show a bar.

        Raises:
            FileExistsError: if the folder exists.
            ValueError: if no document has a token.
        """
        folder = Path(folder)
        if folder.exists():
            raise FileExistsError(
                f"{folder} is there already: read it with TokenFile(folder, tokenizer), or delete "
                "it to write it again"
            )
        dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32)
        n_tokens, n_documents = 0, 0
        with new_folder(folder) as fresh:
            with open(fresh / "tokens.bin", "wb") as tokens, open(fresh / "ends.bin", "wb") as ends:
                for rows in _encoded(documents, tokenizer, progress):
                    sizes = np.array([len(row) for row in rows], dtype=np.int64)
                    tokens.write(np.concatenate(rows).astype(dtype).tobytes())
                    ends.write((n_tokens + sizes.cumsum()).tobytes())
                    n_tokens, n_documents = n_tokens + int(sizes.sum()), n_documents + len(rows)
            if not n_documents:
                raise ValueError("there is no document with a token in it: nothing to write")
            about: dict[str, Any] = {
                "format": FORMAT,
                "tokenizer": tokenizer.fingerprint,
                "dtype": dtype.name,
            }
            about |= {"tokens": n_tokens, "documents": n_documents, "of": dict(of or {})}
            (fresh / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
            seal(fresh, ["about.json", "ends.bin", "tokens.bin"])
        return cls(folder, tokenizer)

    @classmethod
    def once(
        cls,
        folder: str | Path,
        documents: Iterable[Document],
        tokenizer: Tokenizer,
        *,
        of: Mapping[str, Any],
        progress: bool = True,
    ) -> Self:
        """Read a folder if it exists, else write it.

        Args:
            folder: as in ``write``.
            documents: not used if the folder exists.
            tokenizer: as in ``write``.
            of: as in ``write``; a folder of other documents is refused.
            progress: as in ``write``.

        Raises:
            TokenFileError: if the folder is of another tokenizer or of other documents.
        """
        if not Path(folder).exists():
            return cls.write(folder, documents, tokenizer, of=of, progress=progress)
        file = cls(folder, tokenizer)
        if changed := setting_differences(file.about["of"], json.loads(json.dumps(dict(of)))):
            raise TokenFileError(
                f"{folder} holds the tokens of other documents ({'; '.join(changed)}): name "
                "another folder, or delete it to write it again"
            )
        return file


def _encoded(
    documents: Iterable[Document], tokenizer: Tokenizer, progress: bool
) -> Iterator[list[np.ndarray]]:
    """Yield the tokens of the documents that have some, a chunk at a time."""
    source = iter(documents)
    bar = tqdm(desc="tokenizing", unit=" documents", delay=2, disable=not progress, leave=False)
    with bar:
        while chunk := list(islice(source, CHUNK)):
            rows = [row for row in encode_documents(tokenizer, chunk) if len(row)]
            bar.update(len(chunk))
            if rows:
                yield rows
