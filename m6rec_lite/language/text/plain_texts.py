"""Plain texts of the user's own as a corpus: a line each, or a column of a table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from m6rec_lite.data import DataError
from m6rec_lite.data.own_files import open_table
from m6rec_lite.data.text_lines import check_text, lines, plain_encoding
from m6rec_lite.language.text.corpora import Corpus, held_out
from m6rec_lite.language.text.document import Document, clean


def load_corpus(
    source: str | Path | pd.DataFrame | Iterable[str],
    *,
    column: str | None = None,
    share: float = 0.1,
    seed: int = 0,
    sep: str | None = None,
    encoding: str = "utf-8",
    progress: bool = True,
) -> Corpus:
    """Read plain texts as the documents of a corpus, for n-grams, tokenizers and language models.

    The corpus goes to ``pretrain`` of a GPT, a BERT or M6-Rec as ``texts=``. For n-grams, split
    the text of each document: ``NGram().fit([d.text.split() for d in corpus.train])``; for a
    tokenizer, ``Tokenizer.train(distinct_texts(corpus.train))``.

    Args:
        source: path of a text file with a text on each line; or, with ``column``, of a table
            (delimited text, ``.jsonl``, ``.parquet``); a DataFrame; or texts. Text files may end
            in ``.gz`` or ``.bz2``. Blank lines and missing values are left out.
        column: name of the column with the texts.
        share: expected share of held-out texts, chosen by a hash, so that equal texts are never on
            both sides.
        seed: seed of the hash.
        sep: separator of a table of delimited text, as in ``load_dataset``.
        encoding: encoding of a text file.
        progress: show a progress bar if reading takes long.

    Returns:
        One document for each text, in their order.

    Raises:
        DataError: if there is no such file or column, a value is not text, or no text is left on
            one of the two sides.
    """
    if isinstance(source, (str, Path)):
        name = Path(source).name
        values = _read(Path(source).expanduser(), column, sep, encoding, progress)
    else:
        name = "the texts"
        if isinstance(source, pd.DataFrame):
            values = _column(source, column, "the frame")
        else:
            values = pd.Series(list(source), dtype=object)
    values = values[values.notna()]
    is_text = np.fromiter((isinstance(value, str) for value in values), bool, len(values))
    if not is_text.all():
        first = values[~is_text].iloc[0]
        raise DataError(f"{name}: wanted texts, got {first!r} ({type(first).__name__})")
    texts = [text for text in (clean(value, name) for value in values) if text]
    corpus = Corpus([], [])
    for text, is_held_out in zip(texts, held_out(texts, share, seed), strict=True):
        part = corpus.held_out if is_held_out else corpus.train
        part.append(Document((("[SEP]", text),)))
    if not corpus.train or (share and not corpus.held_out):
        raise DataError(
            f"{name}: {len(corpus.train)} texts to train on and {len(corpus.held_out)} held out; "
            "give more texts, or another share= or seed="
        )
    return corpus


def _read(
    path: Path, column: str | None, sep: str | None, encoding: str, progress: bool
) -> pd.Series:
    """Return the lines of a file, or a column of a table."""
    if not path.exists():
        raise DataError(f"no file is called {path}; give the path of a file of texts")
    if column is None:
        encoding = plain_encoding(path, encoding)
        check_text(path, encoding)
        return pd.Series(
            [line for _, line in lines(path, encoding, progress=progress)], dtype=object
        )
    table = open_table(path, [column], sep=sep, encoding=encoding)
    _check_column(column, table.names, path.name)
    blocks = table.blocks([column], on_bad_rows="raise", dropped=None, progress=progress)
    parts = [block[column].astype(object) for block in blocks]
    return pd.concat(parts) if parts else pd.Series(dtype=object)


def _column(frame: pd.DataFrame, column: str | None, name: str) -> pd.Series:
    _check_column(column, [str(label) for label in frame], name)
    return frame[column].astype(object)


def _check_column(column: str | None, names: list[str], source: str) -> None:
    if column not in names:
        raise DataError(f"column={column!r} is not a column of {source}; its columns are {names}")
