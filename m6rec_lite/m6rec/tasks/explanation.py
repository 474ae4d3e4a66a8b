"""Explanation: the reason for a user's rating of an item, generated after "because".

    known      [USER]A woman … [EVENT]praised a course because of its ease
               [ITEM]a product …, rated 4 [SEP]others praised its value (5) …
    written    because| of its value [SEP]You get a great deal back for the price.

The known region holds the user, the aspects of the user's other reviews, the item, the aspects of
others' reviews of it, and the rating; reviews without aspects are quoted. The target is the review:
its text, and the aspect that determined the rating (``reviews.aspect``). The model writes the
aspect before the reason, so that the choice is a single token and not spread over the nouns and
phrases of an aspect; it is evaluated by the words of its reason.

Only reviews of training rows of ``split.train`` are used for training or shown in a known region,
never reviews of held-out targets. Reviews of held-out writers are shown only in their own rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
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
from m6rec_lite.m6rec.tasks.lookups import reviews_of_same_item, reviews_of_same_kind
from m6rec_lite.m6rec.tasks.review_parts import PARTS, shown, with_parts
from m6rec_lite.m6rec.tasks.rows import Row, examples_of
from m6rec_lite.m6rec.tasks.task import Examples, TaskBatch
from m6rec_lite.m6rec.tasks.truth import reason_in

#: The phrase for each sentiment about an aspect.
_PHRASES = {"positive": "praised", "negative": "blamed", "neutral": "neither", None: "neither"}


class Explanation(GenerationTask):
    """Generation of reasons for ratings.

    Args:
        name_aspect: write the aspect before the reason, where reviews have aspects.
        n_own: maximum number of the user's other reviews in the known region, the latest.
        n_others: maximum number of others' reviews of the item, the latest: given by counts of
            their aspects where they have them, else by their text.
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
        """Return the constructor's arguments."""
        own = {"name_aspect": self.name_aspect, "n_own": self.n_own, "n_others": self.n_others}
        return own | super().settings()

    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Return a row for each review of a part.

        ``test`` has the reviews of the split's targets; ``writers`` those of training rows by
        held-out writers. Others' reviews, then the user's oldest, are left out if a row would be
        too long.

        Returns:
            ``about`` has ``user_id``, ``item_id``, ``rating``, ``aspect`` and ``text``; and the
            aspects of the reviews in the known region, by the user (``own``) and by others
            (``others``).
        """
        records = with_parts(data.dataset.reviews, data.split, data.held_out, data.seed)
        own, others = shown(records)
        rows = []
        for row in records:
            if row["part"] != part:
                continue
            user, item = row["user_id"], row["item_id"]
            by_user = [review for review in own.get(user, []) if review["item_id"] != item]
            of_item = [review for review in others.get(item, []) if review["user_id"] != user]
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
        for review in by_user:
            values = {"item": text.item(review["item_id"], parts=("domain",))}
            values |= {"text": review["said"], "aspect": review["aspect"]}
            kind = "own" if review["aspect"] is None else f"own {_PHRASES[review['sentiment']]}"
            own.append(("[EVENT]", phrases[kind].format(**values)))
        other: list[Piece] = [
            ("[SEP]", phrases["others"].format(text=review["said"]))
            for review in of_item
            if review["aspect"] is None
        ]
        counts = Counter((r["sentiment"], r["aspect"]) for r in of_item if r["aspect"])
        if counts:  # counts over many reviews say more than the words of a few
            other.append(("[SEP]", phrases["others aspects"]))
            for (sentiment, aspect), n in counts.most_common():
                other.append((None, phrases[_PHRASES[sentiment]].format(aspect=aspect, n=n)))
        user_piece: Piece = ("[USER]", text.user(row["user_id"]))
        about = {key: row[key] for key in ("user_id", "item_id", "rating", "aspect", "text")}
        about["own"] = [review["aspect"] for review in by_user if review["aspect"]]
        about["others"] = [review["aspect"] for review in of_item if review["aspect"]]
        item = text.item(row["item_id"])
        item_piece: Piece = (
            "[ITEM]",
            phrases["rated"].format(item=item, rating=f"{row['rating']:g}"),
        )
        reason: list[Piece] = [("[SEP]", clean(str(row["text"]), "reviews, text"))]
        if self.name_aspect and row["aspect"] is not None:
            reason.insert(0, (None, phrases["aspect"].format(aspect=row["aspect"])))
        last = len(own) + 1 + len(other)
        return Row(
            known=Document((user_piece, *own, item_piece, *other)),
            begun=Document(((None, phrases["begun"]),)),
            rest=Document(tuple(reason)),
            spare=(*range(last, len(own) + 1, -1), *range(1, len(own) + 1)),
            about=about,
        )

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the mean of two losses: of the tokens up to ``[SEP]``, and of the others.

        The former name the aspect. With one token of about thirty, its share of a mean over all
        tokens would be too small to be learned. Source: ours.
        """
        mask = batch.target_mask()
        follows = batch.ids.roll(-1, dims=1)
        ends = (batch.ids == SPECIALS.index("[SEP]")) & mask
        before = mask & (ends.cumsum(dim=1) == 0)
        after = mask & ~before
        if not bool(before.any() & after.any()):
            return super().loss(model, batch)
        states = batch.states(model)
        parts = [token_loss(model, states[part], follows[part]) for part in (before, after)]
        return (parts[0] + parts[1]) / 2

    def texts(self, outputs: Sequence[Generation]) -> list[str]:
        """Return the reason of each answer, without the aspect before it."""
        return [output.after("[SEP]") for output in outputs]

    def per_example(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return ``true aspect``; with the truth ``reason given`` and ``true``.

        ``true aspect`` is whether the aspect with the most words (``aspect_of``) is the one that
        determined the rating; ``reason given``, whether there is a reason in known phrases;
        ``true``, whether that reason is true of the item for the user (``Truth.holds``).
        """
        about, texts = examples.about, self.texts(outputs)
        if about["aspect"].isna().any():  # reviews without aspects: text metrics only
            return {}
        targets = [words.ASPECTS.index(aspect) for aspect in about["aspect"]]
        metrics = {"true aspect": np.array([aspect_of(text) for text in texts]) == targets}
        if data.truth is not None:
            reasons = [reason_in(text) for text in texts]
            rows = zip(reasons, about["user_id"], about["item_id"], strict=True)
            metrics["reason given"] = np.array([reason is not None for reason in reasons])
            metrics["true"] = np.array([r is not None and data.truth.holds(r, u, i)
                                        for r, u, i in rows])  # fmt: skip
        return {name: values.astype(np.float64) for name, values in metrics.items()}

    def _figures(
        self, outputs: Sequence[Generation], examples: Examples, data: TaskData
    ) -> dict[str, float]:
        """Return the metrics of ``GenerationTask.evaluate``, and those of the named aspects.

        ``feature matching`` is the share of reasons that name the true aspect, alone or among
        others; for ``coverage`` of the aspects and ``diversity`` (lower is more diverse) see
        ``evaluation.explanations``. For reviews without aspects there are text metrics only.

        Raises:
            ValueError: on reviews of unknown aspects.
        """
        targets = examples.about["aspect"]
        if not targets.isna().any() and not targets.isin(words.ASPECTS).all():
            raise ValueError(f"reviews must name aspects of {', '.join(words.ASPECTS)}")
        metrics = super()._figures(outputs, examples, data)
        if targets.isna().any():
            return metrics
        named = features_in([tokens(text) for text in self.texts(outputs)], _features())
        return metrics | {
            "feature matching": feature_matching(named, targets.tolist()),
            "coverage": feature_coverage(named, words.ASPECTS),
            "diversity": feature_diversity(named),
        }

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, list[Generation]]:
        """Return reasons drawn from the training reviews; none if these have no aspects.

        Returns:
            Drawn from reviews of all items, languages and ratings, which are weak baselines for the
            truth of a reason: ``most frequent aspect``, a review of it; ``random review``, any
            review; ``the user's aspect``, a review of the aspect that the user names most;
            ``counts``, a review of the aspect with the largest
            ``(user's count + 1/2) (item's count + 1)``, counted in the known region.
            Looked up: ``counts, of the kind``, the same aspect in a review of the same domain,
            language and rating; ``of the item``, what others wrote of the item (``lookups``).
        """
        if not train.about["aspect"].isin(words.ASPECTS).all():
            return {}
        rng = np.random.default_rng(data.seed)
        aspects, texts = train.about["aspect"].to_numpy(), train.about["text"].to_numpy()
        most_frequent = train.about["aspect"].mode()[0]
        pools = {name: texts[aspects == name] for name in set(aspects)}
        pairs = list(zip(examples.about["own"], examples.about["others"], strict=True))
        favourite = [
            Counter(own).most_common(1)[0][0] if own else most_frequent for own, _ in pairs
        ]
        names = sorted(pools)
        scores = [
            [(own.count(n) + 0.5) * (others.count(n) + 1) for n in names] for own, others in pairs
        ]
        counted = [names[int(np.argmax(row))] for row in scores]
        named = {"most frequent aspect": [most_frequent] * len(pairs)}
        named |= {"the user's aspect": favourite, "counts": counted}
        answers = {key: [str(rng.choice(pools[name])) for name in row]
                   for key, row in named.items()}  # fmt: skip
        answers["random review"] = [str(text) for text in rng.choice(texts, len(pairs))]
        rows = examples.about
        answers["counts, of the kind"] = reviews_of_same_kind(train.about, rows, counted, data, rng)
        answers["of the item"] = reviews_of_same_item(train.about, rows, data, rng)
        return {key: [Generation.of((None, text)) for text in row] for key, row in answers.items()}


def _features() -> dict[str, str]:
    """Return the aspect of each word that names one, in English and Chinese."""
    return {
        word: name
        for aspect, name in enumerate(words.ASPECTS)
        for locale in (0, 1)
        for word in explain_words(aspect, locale)
    }
