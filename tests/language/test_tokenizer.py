"""The tokenizer: any text comes back, no text becomes structure, and the idea by hand is equal."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, trainers
from transformers import AutoTokenizer

from m6rec_lite.language.models.hub import load_tokenizer
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer, apply_merges, learn_merges

TEXTS = [
    "a product of category hiking boot named “Alpine Trek Boots” priced 129.50",
    "clicked a product of category trekking pole named “山脊登山杖” 23 minutes ago",
    "searched “winter boots” yesterday, and winter poles, and winter hats",
    "café naïve Ω 😀😀 山脊 山脊 ridge ridge",
] * 3

#: Any character but surrogates, and our special tokens' names among them.
ANY_TEXT = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.sampled_from([*SPECIALS, "[BOS", "]", " ", "\n\n", "\0", "山脊", "winter boots"]),
    )
).map("".join)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, vocab_size=390)


# Text and numbers


@settings(max_examples=200, deadline=None)
@given(text=ANY_TEXT)
def test_any_text_comes_back_and_is_never_structure(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == tokenizer.decode(ids, specials=True) == text
    assert all(len(SPECIALS) <= i < tokenizer.vocab_size for i in ids)
    assert tokenizer.n_bytes[ids].sum() == len(text.encode())


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(ANY_TEXT, max_size=8))
def test_batch_equals_one_by_one(tokenizer: Tokenizer, texts: list[str]) -> None:
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


def test_empty_text_has_no_token(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""
    assert tokenizer.encode_batch([]) == []


def test_frequent_words_are_one_token_and_keep_their_space(tokenizer: Tokenizer) -> None:
    assert tokenizer.tokens(tokenizer.encode("winter winter")) == ["winter", " winter"]
    assert tokenizer.tokens(tokenizer.encode("山脊")) == ["山脊"]


def test_part_of_a_character_shows_as_bytes_and_decodes_to_a_mark(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("龘")  # not in the texts: three bytes, three tokens
    assert tokenizer.tokens(ids) == ["<e9>", "<be>", "<98>"]
    assert tokenizer.decode(ids[:2]) == "\ufffd"


def test_special_tokens_have_fixed_numbers(tokenizer: Tokenizer) -> None:
    assert [tokenizer.id(name) for name in SPECIALS] == list(range(len(SPECIALS)))
    assert tokenizer.pad == tokenizer.id("[PAD]") == 0
    ids = [tokenizer.id("[BOS']"), *tokenizer.encode("winter"), tokenizer.id("[EOS']")]
    assert tokenizer.decode(ids, specials=True) == "[BOS']winter[EOS']"
    assert tokenizer.decode(ids) == "winter"
    assert tokenizer.tokens(ids) == ["[BOS']", "winter", "[EOS']"]


# Training


def test_training_is_the_same_in_another_process(tokenizer: Tokenizer) -> None:
    program = (
        "import json, sys; from m6rec_lite.language.text.tokenizer import Tokenizer;"
        "print(Tokenizer.train(json.load(sys.stdin), 390).fingerprint)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(TEXTS), text=True, check=True,
        capture_output=True, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert result.stdout.strip() == tokenizer.fingerprint


def test_other_merges_have_another_fingerprint(tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab_size == 390
    shorter = Tokenizer.train(TEXTS, vocab_size=370)
    assert shorter.vocab_size == 370
    assert shorter.fingerprint != tokenizer.fingerprint
    assert len(shorter.encode(TEXTS[0])) >= len(tokenizer.encode(TEXTS[0]))


def test_rare_pairs_are_not_joined() -> None:
    texts = ["zebra", "mountain mountain"]
    assert len(Tokenizer.train(texts, 300).encode("zebra")) == 5
    assert len(Tokenizer.train(texts, 300, min_frequency=1).encode("zebra")) == 1


@pytest.mark.parametrize(
    ("texts", "size", "error", "says"),
    [
        (["a"], 266, ValueError, "vocab_size must be at least 267"),
        ([], 300, ValueError, "no text to learn from"),
        (["", ""], 300, ValueError, "no text to learn from"),
        ("one string", 300, TypeError, "got one string"),
        (["fine", "half \ud83d"], 300, ValueError, r"text 1 has half a character .* at position 5"),
        (["fine", None], 300, TypeError, "text 1 is a NoneType"),
    ],
)
def test_training_says_what_is_wrong(
    texts: object, size: int, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        Tokenizer.train(texts, size)


# Bad input


def test_lone_surrogates_are_named_with_their_position(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r"'\\udfff'\) at position 2: read the file as UTF-8"):
        tokenizer.encode("ab\udfff")
    with pytest.raises(ValueError, match="text 1 has half a character"):
        tokenizer.encode_batch(["ab", "\ud800"])


@pytest.mark.parametrize("text", [None, 3, b"bytes", ["list"]])
def test_only_strings_are_text(tokenizer: Tokenizer, text: object) -> None:
    with pytest.raises(TypeError, match="not a string"):
        tokenizer.encode(text)
    with pytest.raises(TypeError, match="use encode"):
        tokenizer.encode_batch("a string")


def test_unknown_special_token_is_reported_with_the_known_ones(tokenizer: Tokenizer) -> None:
    with pytest.raises(KeyError, match=r"token is called \[UNK\]; there are .*\[MASK\]"):
        tokenizer.id("[UNK]")


@pytest.mark.parametrize("ids", [[400], [3, -1]])
def test_numbers_outside_the_vocabulary_raise(tokenizer: Tokenizer, ids: list[int]) -> None:
    with pytest.raises(ValueError, match="no token of this vocabulary of 390"):
        tokenizer.decode(ids)
    with pytest.raises(ValueError, match="no token of this vocabulary of 390"):
        tokenizer.tokens(ids)


# Keeping


def test_saved_and_pickled_are_equal(tokenizer: Tokenizer, tmp_path: Path) -> None:
    text = "winter [EOS] 山脊"
    for other in (
        Tokenizer.load(tokenizer.save(tmp_path / "deep" / "folder")),
        pickle.loads(pickle.dumps(tokenizer)),
    ):
        assert other.fingerprint == tokenizer.fingerprint
        assert other.encode(text) == tokenizer.encode(text)
        assert other.decode(other.encode(text)) == text


def test_transformers_opens_the_folder(tokenizer: Tokenizer, tmp_path: Path) -> None:
    folder = tokenizer.save(tmp_path / "tokenizer")
    plain = AutoTokenizer.from_pretrained(folder)  # a prompt may name special tokens
    assert plain("[BOS]a").input_ids == [tokenizer.id("[BOS]"), *tokenizer.encode("a")]
    assert load_tokenizer(folder)("[BOS]a").input_ids == tokenizer.encode("[BOS]a")
    reference = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)
    for text in [*TEXTS, "", "a [EOS] in a title, [BOS'] too", "龘\n\t "]:
        assert reference(text).input_ids == tokenizer.encode(text)
        assert reference.decode(tokenizer.encode(text)) == text
    assert len(reference) == tokenizer.vocab_size
    assert reference.pad_token_id == 0
    assert reference.eos_token_id == tokenizer.id("[EOS]")
    assert reference.mask_token_id == tokenizer.id("[MASK]")
    assert set(reference.all_special_ids) == set(range(len(SPECIALS)))
    again = Tokenizer.load(reference.save_pretrained(tmp_path / "theirs") and tmp_path / "theirs")
    assert again.fingerprint == tokenizer.fingerprint


def test_a_folder_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no tokenizer in"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(ValueError, match="is damaged, or no tokenizer"):
        Tokenizer.load(tmp_path)
    tokenizers.Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="wanted a tokenizer whose first"):
        Tokenizer.load(tmp_path)


# By hand


def library_merges(words: dict[str, int], n: int) -> list[tuple[str, str]]:
    backend = tokenizers.Tokenizer(models.BPE())
    size = len(set("".join(words))) + n
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=1, show_progress=False)
    backend.train_from_iterator((w for w, count in words.items() for _ in range(count)), trainer)
    return [tuple(pair) for pair in json.loads(backend.to_str())["model"]["merges"]]


WORDS = st.dictionaries(
    st.text("abcdeZ9-", min_size=1, max_size=9), st.integers(1, 12), min_size=1, max_size=12
)


@settings(max_examples=200, deadline=None)
@given(words=WORDS, n=st.integers(0, 25))
def test_merges_by_hand_equal_the_library(words: dict[str, int], n: int) -> None:
    reference = library_merges(words, n)  # n new tokens; two merges may make the same one
    assert learn_merges(words, len(reference)) == reference


@settings(max_examples=200, deadline=None)
@given(words=WORDS, n=st.integers(0, 25), word=st.text("abcdeZ9-", min_size=1, max_size=12))
def test_merging_by_hand_equals_the_library(words: dict[str, int], n: int, word: str) -> None:
    merges = learn_merges(words, n)
    symbols = sorted({*"abcdeZ9-", *("".join(pair) for pair in merges)})
    vocabulary = {symbol: i for i, symbol in enumerate(symbols)}
    reference = tokenizers.Tokenizer(models.BPE(vocabulary, merges)).encode(word).tokens
    assert apply_merges(word, merges) == reference


def test_ten_words_of_the_paper() -> None:
    words = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    merges = learn_merges(words, 4)
    assert merges == [("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w")]
    assert apply_merges("lowest", merges) == ["low", "est"]
    assert apply_merges("x", merges) == ["x"]


def test_merging_takes_the_oldest_pair_first_not_the_leftmost() -> None:
    merges = [("b", "c"), ("a", "b")]
    assert apply_merges("abc", merges) == ["a", "bc"]
    assert apply_merges("aaa", [("a", "a")]) == ["aa", "a"]


def test_learning_ends_where_no_pair_is_left() -> None:
    assert learn_merges({"ab": 1}, 10) == [("a", "b")]
    assert learn_merges({"a": 3}, 10) == []
