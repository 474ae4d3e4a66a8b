"""Constrained generation of titles of a catalogue with a trie.

A language model that recommends by generating text can name items that do not exist. A *trie* holds
all titles as paths of tokens from one root; generation along its edges always ends in a title of
the catalogue, and can reach every title (De Cao et al., *Autoregressive entity retrieval*, 2021,
section 3.2)::

    root ── The ── Fuller ── Range ── |end        "The Fuller Range"
              └─── Yarn ─── Letters ── |end       "The Yarn Letters"
                                └─ , ── Part ─ …   a title may begin another
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from m6rec_lite.data.ids import Id, as_ids
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer


class TitleTrie:
    """All titles of a catalogue.

    Args:
        titles: title by item id. Items may share a title; an empty one means none.
        encode: function from texts to lists of token ids, such as ``tokenizer.encode_batch``.
        end: id of the token that ends a title; no title may contain it.

    Attributes:
        end: id of that token.
        longest: tokens of the longest title, including ``end``.
        untitled: ids of the items without a title, which cannot be generated.

    Raises:
        ValueError: if no item has a title, or a title contains ``end``.
    """

    def __init__(
        self,
        titles: Mapping[Id, str],
        encode: Callable[[Sequence[str]], Sequence[Sequence[int]]],
        end: int,
    ) -> None:
        by_title: dict[str, list[Id]] = {}
        for item, title in titles.items():
            by_title.setdefault(title, []).append(item)
        self.untitled = tuple(by_title.pop("", []))
        if not by_title:
            raise ValueError(
                f"the catalogue has no title to name: {len(titles)} items, none of them with one; "
                "give at least one item with a title"
            )
        self.end = end
        self._items = {title: tuple(items) for title, items in by_title.items()}
        self._root: dict[int, dict] = {}
        self.longest = 0
        for title, ids in zip(by_title, encode(list(by_title)), strict=True):
            if end in ids or not len(ids):
                raise ValueError(
                    f"the title {title!r} makes no tokens, or has the ending one in it"
                )
            node = self._root
            for token in (*map(int, ids), end):
                node = node.setdefault(token, {})
            self.longest = max(self.longest, len(ids) + 1)

    @classmethod
    def of(
        cls, text: BehaviourText, tokenizer: Tokenizer, item_ids: Iterable[Id], end: str = "[SEP]"
    ) -> TitleTrie:
        """Return the trie of the titles of items in a verbalization.

        Raises:
            DataError: on an unknown item.
            ValueError: if there is no item, or none with a title.
        """
        titles = {item: text.title(item) for item in as_ids(item_ids, "item_id").tolist()}
        return cls(titles, tokenizer.encode_batch, tokenizer.id(end))

    def __len__(self) -> int:
        """Return the number of distinct titles."""
        return len(self._items)

    def follow(self, begun: Sequence[int]) -> Collection[int]:
        """Return the tokens that may follow a prefix of a title; none if it is not a prefix.

        After a complete title, ``end`` is among them, with the next tokens of longer titles.
        """
        node = self._root
        for token in begun:
            if token not in node:
                return ()
            node = node[token]
        return node.keys()

    def items(self, title: str) -> tuple[Id, ...]:
        """Return the items of a title; none if the title does not exist."""
        return self._items.get(title, ())


class Naming:
    """Constraint for a turn that names an item: free text, one title, free text.

    A special token opens the title, and the trie's ``end`` closes it. To be used as ``allowed`` of
    ``nn.sampling.generate``, which calls it before each token.

    Args:
        trie: the titles.
        tokenizer: of the trie.
        max_new_tokens: of ``generate``; the title is opened early enough to be complete within it.
        must: whether the text must name an item before it ends.
        opening: the special token that opens a title.

    Raises:
        ValueError: if the longest title does not fit.
    """

    def __init__(
        self,
        trie: TitleTrie,
        tokenizer: Tokenizer,
        max_new_tokens: int,
        *,
        must: bool = True,
        opening: str = "[ITEM]",
    ) -> None:
        self._needs = 1 + trie.longest
        if max_new_tokens < self._needs:
            raise ValueError(
                f"max_new_tokens must be at least {self._needs}, or the longest title does not "
                f"fit; got {max_new_tokens!r}"
            )
        self.trie, self._max, self._opening = trie, max_new_tokens, tokenizer.id(opening)
        text = range(len(SPECIALS), tokenizer.vocab_size)
        eos = tokenizer.id("[EOS]")
        self._before = (*text, self._opening, *(() if must else (eos,)))
        self._after = (*text, eos)

    def __call__(self, written: list[int]) -> Collection[int]:
        """Return the ids of the tokens that may follow."""
        if self._opening not in written:
            short = self._max - len(written) <= self._needs
            return (self._opening,) if short else self._before
        title = written[written.index(self._opening) + 1 :]
        return self._after if self.trie.end in title else self.trie.follow(title)
