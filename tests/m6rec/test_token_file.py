"""The file of tokens: written once, whole or not at all, read from disk, and never of another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.language.text.document import Document, encode_document
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import token_file
from m6rec_lite.m6rec.token_file import TokenFile, TokenFileError

TOKENIZER = Tokenizer.train(["a boot, a pole", "靴子"], 280)
OTHER = Tokenizer.train(["something else altogether, altogether"], 280)

documents_drawn = st.lists(
    st.lists(
        st.tuples(st.sampled_from([None, "[ITEM]", "[SEP]"]), st.text("a b靴\n[", max_size=6)),
        max_size=3,
    ).map(lambda pieces: Document(tuple(pieces))),
    max_size=12,
)


def some() -> list[Document]:
    return [Document((("[ITEM]", text),)) for text in ("a boot", "", "a pole, a pole", "靴子")]


def write(folder: Path) -> TokenFile:
    return TokenFile.write(folder, some(), TOKENIZER, of={"data": "four"}, progress=False)


@given(documents_drawn, st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_documents_come_back_as_they_were_however_they_were_cut(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document], chunk: int
) -> None:
    wanted = [ids for ids in (encode_document(TOKENIZER, one) for one in documents) if ids]
    folder = tmp_path_factory.mktemp("tokens") / "file"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_file, "CHUNK", chunk)
        if not wanted:
            with pytest.raises(ValueError, match="no document with a token"):
                TokenFile.write(folder, documents, TOKENIZER, progress=False)
            assert not folder.exists()
            return
        TokenFile.write(folder, documents, TOKENIZER, progress=False)
    again = TokenFile(folder, TOKENIZER)
    assert [one.tolist() for one in again] == wanted
    assert again.lengths.tolist() == [len(ids) for ids in wanted]
    assert len(again.tokens) == sum(map(len, wanted))


def test_nothing_is_loaded_before_it_is_used(tmp_path: Path) -> None:
    result = write(tmp_path / "tokens")
    assert isinstance(result.tokens, np.memmap)
    assert isinstance(result[2], np.memmap)
    assert result.tokens.dtype == np.uint16  # two bytes a token
    assert not result.tokens.flags.writeable
    with pytest.raises(IndexError, match="document 4 of 4"):
        result[4]


def test_documents_are_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_file, "CHUNK", 10)
    sizes: list[int] = []
    encode = token_file.encode_documents
    monkeypatch.setattr(
        token_file,
        "encode_documents",
        lambda tokenizer, chunk: sizes.append(len(chunk)) or encode(tokenizer, chunk),
    )
    source = (Document((("[ITEM]", f"a boot {i}"),)) for i in range(35))
    assert len(TokenFile.write(tmp_path / "tokens", source, TOKENIZER, progress=False)) == 35
    assert sizes == [10, 10, 10, 5]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_file, "CHUNK", 1)

    def breaking() -> Iterator[Document]:
        yield from some()
        raise OSError("the source broke off")

    with pytest.raises(OSError, match="broke off"):
        TokenFile.write(tmp_path / "tokens", breaking(), TOKENIZER, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_tokens_of_another_tokenizer_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "tokens")
    with pytest.raises(TokenFileError, match=f"{TOKENIZER.fingerprint}.*{OTHER.fingerprint}"):
        TokenFile(tmp_path / "tokens", OTHER)


def test_a_file_is_written_once(tmp_path: Path) -> None:
    def untouched() -> Iterator[Document]:
        raise AssertionError("read although the file is there")
        yield

    folder, of = tmp_path / "tokens", {"data": "four", "rows": (1, 2)}
    first = TokenFile.once(folder, some(), TOKENIZER, of=of, progress=False)
    second = TokenFile.once(folder, untouched(), TOKENIZER, of=of, progress=False)
    assert second.tokens.tolist() == first.tokens.tolist()
    with pytest.raises(
        TokenFileError, match=r"data: 'four' there, 'five' now; rows: \[1, 2\] there, absent now"
    ):
        TokenFile.once(folder, some(), TOKENIZER, of={"data": "five"}, progress=False)
    with pytest.raises(TokenFileError, match="numbers mean other words"):
        TokenFile.once(folder, some(), OTHER, of=of, progress=False)
    with pytest.raises(FileExistsError, match="is there already"):
        write(folder)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file of tokens"):
        TokenFile(tmp_path / "none", TOKENIZER)
    folder = write(tmp_path / "tokens").folder
    whole = (folder / "tokens.bin").read_bytes()
    (folder / "tokens.bin").write_bytes(whole[:-1])
    with pytest.raises(TokenFileError, match=f"{len(whole) - 1} bytes where {len(whole)}"):
        TokenFile(folder, TOKENIZER)
    (folder / "tokens.bin").write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(TokenFileError, match=r"tokens\.bin is damaged or was changed.*again"):
        TokenFile(folder, TOKENIZER)
    (folder / "tokens.bin").write_bytes(whole)
    (folder / "ends.bin").unlink()
    with pytest.raises(TokenFileError, match="0 bytes where"):
        TokenFile(folder, TOKENIZER)
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"format": "of tomorrow"}))
    with pytest.raises(TokenFileError, match="not of the format"):
        TokenFile(folder, TOKENIZER)
    for damaged in ("{", "[]", "{}"):
        (folder / "about.json").write_text(damaged)
        with pytest.raises(TokenFileError, match="no complete file of tokens"):
            TokenFile(folder, TOKENIZER)


@pytest.mark.parametrize("field", ["format", "tokenizer", "dtype", "tokens", "documents", "of"])
def test_an_about_without_a_field_is_refused(tmp_path: Path, field: str) -> None:
    folder = write(tmp_path / "tokens").folder
    about = json.loads((folder / "about.json").read_text())
    del about[field]
    (folder / "about.json").write_text(json.dumps(about))
    with pytest.raises(TokenFileError, match=f"no complete file of tokens .*{field}"):
        TokenFile(folder, TOKENIZER)
