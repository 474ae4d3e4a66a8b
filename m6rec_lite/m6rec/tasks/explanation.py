"""Explanation: why a user rated an item so, written after "because".

    known      [USER]A woman … [EVENT]praised a course because of its ease
               [ITEM]a product …, rated 4 [SEP]others praised its value (5) …
    written    because| of its value [SEP]You get a great deal back for the price.

Known are the user, what the user spoke of in other reviews, the item, what others spoke of in
theirs, and the rating; where reviews do not say what they speak of, their words are shown. Gold is
the review: its text, and the aspect that truly moved the rating (``reviews.aspect``). The model
names the aspect before it writes, so that its choice is one token and not scattered over the nouns
and phrases that speak of it; it is judged by its words.

Only reviews of what their writer met in ``split.train`` are learned from or shown. No review of a
held-out target is either of these, and held-out writers' are shown for their own rows alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.reviews import aspect_of, explain_words
from m6rec_lite.evaluation.explanations import (
    feature_coverage,
    feature_diversity,
    feature_matching,
    features_in,
)
from m6rec_lite.evaluation.text import tokens
from m6rec_lite.language.text.document import Document, Piece, clean
from m6rec_lite.language.text.tokenizer import SPECIALS
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import token_loss
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.generation import Generation, GenerationTask
from m6rec_lite.m6rec.tasks.review_parts import PARTS, shown, with_parts
from m6rec_lite.m6rec.tasks.rows import Row, examples_of
from m6rec_lite.m6rec.tasks.task import Examples, TaskBatch
from m6rec_lite.m6rec.tasks.truth import reason_in

#: The phrase for each sentiment about an aspect.
_FELT = {"positive": "praised", "negative": "blamed", "neutral": "neither", None: "neither"}


class Explanation(GenerationTask):
    """Reasons for ratings.

    Args:
        name_aspect: write the aspect before the reason, where the reviews say it.
        n_own: of the user's other reviews, so many at most are known, the latest.
        n_others: of others' reviews of the item, so many at most, the latest: how often they
            spoke of what, where the reviews say it; else their words.
        phrases: see ``GenerationTask``.

    Raises:
        ValueError: if a number is negative.
    """

    name: ClassVar[str] = "explanation"
    parts: ClassVar[tuple[str, ...]] = PARTS
    table: ClassVar[str] = "reviews"

    def __init__(
        self,
        name_aspect: bool = True,
        n_own: int = 6,
        n_others: int = 30,
        phrases: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(phrases)
        if n_own < 0 or n_others < 0:
            raise ValueError(f"n_own and n_others must be at least 0, got {n_own!r}, {n_others!r}")
        self.name_aspect, self.n_own, self.n_others = name_aspect, n_own, n_others

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"name_aspect": self.name_aspect, "n_own": self.n_own, "n_others": self.n_others}
        return own | super().settings()

    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Return a row for each review of a part.

        ``test`` has the reviews of the split's targets; ``writers`` those of training rows by
        writers held out. Others' reviews, then the user's oldest, are left out where a row would
        be too long.

        Returns:
            ``about`` has ``user_id``, ``item_id``, ``rating``, ``aspect`` and ``text``; and the
            aspects that were known to be spoken of, by the user (``own``) and of the item
            (``others``).
        """
        records = with_parts(data.dataset.reviews, data.split, data.held_out, data.seed)
        own, others = shown(records)
        rows = []
        for row in records:
            if row["part"] != part:
                continue
            user, item = row["user_id"], row["item_id"]
            by_user = [one for one in own.get(user, []) if one["item_id"] != item]
            of_item = [one for one in others.get(item, []) if one["user_id"] != user]
            by_user = by_user[max(0, len(by_user) - self.n_own) :]
            of_item = of_item[max(0, len(of_item) - self.n_others) :]
            rows.append(self._row(prompts, row, by_user, of_item))
        return examples_of(prompts, [rows[i] for i in data.draw(len(rows), limit)])

    def _row(
        self,
        prompts: PromptBuilder,
        row: dict[str, Any],
        by_user: list[dict[str, Any]],
        of_item: list[dict[str, Any]],
    ) -> Row:
        phrases, text = self.phrases, prompts.text
        own: list[Piece] = []
        for one in by_user:
            values = {"item": text.item(one["item_id"], parts=("domain",)), "text": one["said"]}
            values["aspect"] = one["aspect"]
            kind = "own" if one["aspect"] is None else f"own {_FELT[one['sentiment']]}"
            own.append(("[EVENT]", phrases[kind].format(**values)))
        other: list[Piece] = [
            ("[SEP]", phrases["others"].format(text=one["said"]))
            for one in of_item
            if one["aspect"] is None
        ]
        felt = Counter((one["sentiment"], one["aspect"]) for one in of_item if one["aspect"])
        if felt:  # what many spoke of says more than the words of a few
            other.append(("[SEP]", phrases["others aspects"]))
            for (sentiment, aspect), n in felt.most_common():
                other.append((None, phrases[_FELT[sentiment]].format(aspect=aspect, n=n)))
        who: Piece = ("[USER]", text.user(row["user_id"]))
        about = {key: row[key] for key in ("user_id", "item_id", "rating", "aspect", "text")}
        about["own"] = [one["aspect"] for one in by_user if one["aspect"]]
        about["others"] = [one["aspect"] for one in of_item if one["aspect"]]
        item = text.item(row["item_id"])
        what: Piece = ("[ITEM]", phrases["rated"].format(item=item, rating=f"{row['rating']:g}"))
        reason: list[Piece] = [("[SEP]", clean(str(row["text"]), "reviews, text"))]
        if self.name_aspect and row["aspect"] is not None:
            reason.insert(0, (None, phrases["aspect"].format(aspect=row["aspect"])))
        last = len(own) + 1 + len(other)
        return Row(
            known=Document((who, *own, what, *other)),
            begun=Document(((None, phrases["begun"]),)),
            rest=Document(tuple(reason)),
            spare=(*range(last, len(own) + 1, -1), *range(1, len(own) + 1)),
            about=about,
        )

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the mean of two losses: of the tokens up to ``[SEP]``, and of the others.

        The former name the aspect. It is one token of thirty, and with its share of a plain mean it
        would not be learned. Source: ours.
        """
        at = batch.target_mask()
        follows = batch.ids.roll(-1, dims=1)
        ends = (batch.ids == SPECIALS.index("[SEP]")) & _written(batch)
        before = at & (ends.cumsum(dim=1) == 0)
        after = at & ~before
        if not bool(before.any() & after.any()):
            return super().loss(model, batch)
        states = batch.states(model)
        parts = [token_loss(model, states[some], follows[some]) for some in (before, after)]
        return (parts[0] + parts[1]) / 2

    def texts(self, outputs: Sequence[Generation]) -> list[str]:
        """Return the reason of each answer, without the aspect named before it."""
        return [one.after("[SEP]") for one in outputs]

    def per_example(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return ``true aspect``; with the truth ``reason given`` and ``true``.

        ``true aspect`` is whether the aspect of most words (``aspect_of``) is the one that moved
        the rating; ``reason given``, whether there is a reason in known words; ``true``, whether
        it is true of the item for that user (``Truth.holds``).
        """
        about, texts = examples.about, self.texts(outputs)
        if about["aspect"].isna().any():  # reviews that name no aspects: the words alone
            return {}
        wanted = [words.ASPECTS.index(aspect) for aspect in about["aspect"]]
        found = {"true aspect": np.array([aspect_of(text) for text in texts]) == wanted}
        if data.truth is not None:
            given = [reason_in(text) for text in texts]
            rows = zip(given, about["user_id"], about["item_id"], strict=True)
            found["reason given"] = np.array([reason is not None for reason in given])
            found["true"] = np.array([r is not None and data.truth.holds(r, u, i)
                                      for r, u, i in rows])  # fmt: skip
        return {name: values.astype(np.float64) for name, values in found.items()}

    def _figures(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, float]:
        """Return the figures of ``GenerationTask.evaluate``, and those of named aspects.

        ``feature matching`` is the share of reasons that name the true aspect at all, others
        beside it perhaps; ``coverage`` of the aspects and ``diversity`` (lower is more diverse),
        see ``evaluation.explanations``. Reviews without aspects are judged by their words alone.

        Raises:
            ValueError: on reviews of unknown aspects.
        """
        wanted = examples.about["aspect"]
        if not wanted.isna().any() and not wanted.isin(words.ASPECTS).all():
            raise ValueError(f"reviews must name aspects of {', '.join(words.ASPECTS)}")
        found = super()._figures(outputs, examples, data)
        if wanted.isna().any():
            return found
        named = features_in([tokens(text) for text in self.texts(outputs)], _features())
        return found | {
            "feature matching": feature_matching(named, wanted.tolist()),
            "coverage": feature_coverage(named, words.ASPECTS),
            "diversity": feature_diversity(named),
        }

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, list[Generation]]:
        """Return reasons drawn from the training reviews; none where these name no aspects.

        They are drawn from reviews of all items, languages and ratings, so they are weak at saying
        what is true of the item in question; no lookup among the item's own reviews is among them.

        Returns:
            ``most frequent aspect``: a review that names the aspect that most of them do;
            ``random review``: any of them; ``the user's aspect``: a review that names the aspect
            that the user spoke of most; ``counts``: that of the largest
            ``(user's count + 1/2) (item's count + 1)``, from the reviews that the row knows.
        """
        if not train.about["aspect"].isin(words.ASPECTS).all():
            return {}
        rng = np.random.default_rng(data.seed)
        aspects, texts = train.about["aspect"].to_numpy(), train.about["text"].to_numpy()
        most = train.about["aspect"].mode()[0]
        pools = {name: texts[aspects == name] for name in set(aspects)}
        pairs = list(zip(examples.about["own"], examples.about["others"], strict=True))
        favourite = [Counter(own).most_common(1)[0][0] if own else most for own, _ in pairs]
        names = sorted(pools)
        scores = [
            [(own.count(n) + 0.5) * (others.count(n) + 1) for n in names] for own, others in pairs
        ]
        counted = [names[int(np.argmax(some))] for some in scores]
        named = {"most frequent aspect": [most] * len(pairs)}
        named |= {"the user's aspect": favourite, "counts": counted}
        found = {key: [str(rng.choice(pools[name])) for name in some]
                 for key, some in named.items()}  # fmt: skip
        found["random review"] = [str(text) for text in rng.choice(texts, len(pairs))]
        return {key: [Generation.of((None, text)) for text in some] for key, some in found.items()}


def _features() -> dict[str, str]:
    """Every word by which a text speaks of an aspect, in English and Chinese, and that aspect."""
    return {
        word: name
        for aspect, name in enumerate(words.ASPECTS)
        for locale in (0, 1)
        for word in explain_words(aspect, locale)
    }


def _written(batch: TaskBatch) -> Tensor:
    """``(batch, time)`` bool: the tokens of the written regions."""
    place = torch.arange(batch.ids.shape[1], device=batch.ids.device)
    return batch.mask & (place >= batch.prefix[:, None])
