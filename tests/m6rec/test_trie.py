"""The trie of titles: what it lets through, what it keeps out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import DataError, load_dataset
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.m6rec.tasks.trie import Naming, TitleTrie
from m6rec_lite.nn import GREEDY, Sampler, beam_search, generate

DATASET = load_dataset("bazaar")
TEXT = BehaviourText(DATASET)
TOKENIZER = Tokenizer.train(DATASET.items["title"], 400)
END, ITEM, EOS = (TOKENIZER.id(name) for name in ("[SEP]", "[ITEM]", "[EOS]"))

titles = st.lists(st.text("ab é火", min_size=1, max_size=6), min_size=1, max_size=8)


def trie_of(names: list[str]) -> TitleTrie:
    return TitleTrie(dict(enumerate(names)), TOKENIZER.encode_batch, END)


class Dice:
    """A model whose logits are random, the same for the same tokens."""

    def __init__(self, seed: int, favour: int | None = None) -> None:
        self.seed, self.favour = seed, favour

    def step(self, ids, cache, *, mask=None, positions=None, last=True) -> torch.Tensor:
        rows = []
        for row in ids.tolist():
            draw = torch.Generator().manual_seed(hash((self.seed, row[-1])) % 2**31)
            rows.append(torch.randn(TOKENIZER.vocab_size, generator=draw))
            if self.favour is not None:
                rows[-1][self.favour] += 50
        return torch.stack(rows)

    def new_cache(self):
        class Nothing:
            def select(self, rows) -> None:
                pass

        return Nothing()


def title_in(ids: list[int]) -> str:
    start = ids.index(ITEM) + 1
    return TOKENIZER.decode(ids[start : ids.index(END)])


@settings(max_examples=60, deadline=None)
@given(titles)
def test_every_title_can_be_written_and_nothing_else(names: list[str]) -> None:
    trie = trie_of(names)
    wanted = {tuple(TOKENIZER.encode(name)) for name in names}
    for ids in wanted:  # no title is excluded
        for k in range(len(ids)):
            assert ids[k] in trie.follow(ids[:k])
        assert END in trie.follow(ids)
        assert len(trie.follow((*ids, END))) == 0
    result, open_ways = set(), [()]
    while open_ways:  # every way through the trie is a title
        way = open_ways.pop()
        for token in trie.follow(way):
            if token == END:
                result.add(way)
            else:
                open_ways.append((*way, token))
    assert result == wanted
    assert trie.longest == max(map(len, wanted)) + 1
    assert len(trie) == len(set(names))


@settings(max_examples=60, deadline=None)
@given(titles, st.integers(0, 10**6), st.integers(0, 12), st.sampled_from(["drawn", "greedy", 3]))
def test_whatever_a_model_wants_it_names_a_title(names, seed, more, how) -> None:
    """With just enough room or more, drawn, greedy or by beams; the end alone tempts it, too."""
    trie = trie_of(names)
    room = 1 + trie.longest + more
    options = {"max_new_tokens": room, "stop": (EOS,), "allowed": Naming(trie, TOKENIZER, room)}
    model = Dice(seed, favour=EOS if seed % 3 == 0 else None)
    if how == 3:
        texts = [beam.ids for beam in beam_search(model, [[20]], n_beams=3, **options)[0]]
    else:
        sampler = GREEDY if how == "greedy" else Sampler()
        draw = torch.Generator().manual_seed(seed)
        texts = generate(model, [[20], [21, 22]], sampler=sampler, generator=draw, **options)
    for ids in texts:
        assert title_in(ids) in names
        assert ids.count(ITEM) == 1
        assert ids.count(END) == 1
        others = {i for i in ids if i < len(SPECIALS)} - {ITEM, END, EOS}
        assert not others


def test_a_turn_need_not_name_anything_unless_it_must() -> None:
    trie = trie_of(["ab"])
    room = 12
    may = Naming(trie, TOKENIZER, room, must=False)
    assert EOS in may([])
    assert EOS not in Naming(trie, TOKENIZER, room)([])
    assert ITEM in may([20, 21])
    after = [ITEM, *TOKENIZER.encode("ab"), END]
    assert EOS in may(after)
    assert ITEM not in may(after)


def test_duplicates_share_a_title_and_prefixes_go_on() -> None:
    trie = TitleTrie({5: "ab", 9: "ab", 7: "ab a", 3: "", 4: ""}, TOKENIZER.encode_batch, END)
    assert trie.items("ab") == (5, 9)
    assert trie.items("ab a") == (7,)
    assert trie.items("a") == ()
    assert trie.untitled == (3, 4)
    ways = set(trie.follow(TOKENIZER.encode("ab")))
    assert END in ways
    assert len(ways) == 2  # whole, or on to the longer one
    assert trie.follow([TOKENIZER.encode("b")[0], 399]) == ()


def test_an_empty_catalogue_is_refused() -> None:
    for nothing in ({}, {1: "", 2: ""}):
        with pytest.raises(ValueError, match="no title to name"):
            TitleTrie(nothing, TOKENIZER.encode_batch, END)
    with pytest.raises(ValueError, match="no title to name: 0 items"):
        TitleTrie.of(TEXT, TOKENIZER, [])
    with pytest.raises(DataError, match="not among"):
        TitleTrie.of(TEXT, TOKENIZER, [1])
    with pytest.raises(ValueError, match="ending one in it"):
        TitleTrie({1: "a"}, lambda texts: [[20, END]], END)
    with pytest.raises(ValueError, match="must be at least 3"):
        Naming(trie_of(["a"]), TOKENIZER, 2)


def test_a_title_with_the_words_of_tokens_is_text() -> None:
    names = ["the [SEP] and [EOS]", "the"]
    trie = trie_of(names)
    ids = TOKENIZER.encode(names[0])
    assert END not in ids
    for k in range(len(ids)):
        assert ids[k] in trie.follow(ids[:k])


def test_the_bazaar_s_catalogue_as_its_text_says_it() -> None:
    ids = DATASET.items["item_id"].tolist()
    trie = TitleTrie.of(TEXT, TOKENIZER, ids)
    assert len(trie) == 900
    assert trie.untitled == ()
    for item in ids[::97]:
        assert trie.items(TEXT.title(item)) == (item,)
