"""The pretraining documents of M6-Rec: all texts of a data set, of all its domains.

These are behaviour, items with their statistics, reviews and dialogues, as far as the data set has
them. All documents come from a split's training rows, so that no target is in them.
"""

from __future__ import annotations

from m6rec_lite.data import Dataset, Split
from m6rec_lite.data.ids import Id
from m6rec_lite.language.text.behaviour import ALL_PARTS, BehaviourText
from m6rec_lite.language.text.corpora import (
    Corpus,
    behaviour_documents,
    dialogue_documents,
    item_documents,
    review_documents,
)
from m6rec_lite.language.text.document import Document


def pretraining_corpora(
    dataset: Dataset,
    split: Split,
    text: BehaviourText | None = None,
    *,
    share: float = 0.05,
    seed: int = 0,
) -> dict[str, Corpus]:
    """Return the training and the held-out documents, by kind.

    Args:
        dataset: supplies the texts.
        split: its training rows are verbalized.
        text: how behaviour is verbalized; by default with times relative to the present
            (``times="ago"``), as in the prompts of queries.
        share: of held-out users, items, writers of reviews, and dialogues.
        seed: of the draw of these.

    Returns:
        ``behaviour`` and ``items``; ``statistics``, items with their click statistics; and
        ``reviews`` and ``dialogues`` if there are some.
    """
    text = BehaviourText(dataset, train=split.train) if text is None else text
    corpora = {
        "behaviour": behaviour_documents(split, text, share=share, seed=seed),
        "items": item_documents(text, share=share, seed=seed),
        "statistics": Corpus([_item_statistics(text, i) for i in split.train.item_ids], []),
    }
    if dataset.reviews is not None:
        corpora["reviews"] = review_documents(dataset, split, text, share=share, seed=seed)
    if dataset.dialogues is not None:
        corpora["dialogues"] = dialogue_documents(dataset, share=share, seed=seed)
    return corpora


def _item_statistics(text: BehaviourText, item_id: Id) -> Document:
    """Return an item with its statistics."""
    about = text.item(item_id, parts=ALL_PARTS[:3])
    return Document((("[ITEM]", about), ("[SEP]", text.statistics(item_id))))
