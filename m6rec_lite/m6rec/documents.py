"""What M6-Rec is pretrained on: all that a data set says in words, of all its domains.

Behaviour, items with how they stand among all, reviews and dialogues, each where the data set has
it. Every document comes from a split's training rows, so that no target is in any of them.
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
    """The documents to learn from and those held out, by kind.

    Args:
        dataset: its texts.
        split: its training rows say what may be told.
        text: how behaviour is put into words; by default events are told from now
            (``times="ago"``), as they are when a question is asked.
        share: of users, items, writers of reviews and dialogues, held out.
        seed: of the draw of these.

    Returns:
        ``behaviour`` and ``items``; ``statistics``, items with how often they are clicked among
        all; and ``reviews`` and ``dialogues`` where there are some.
    """
    text = BehaviourText(dataset, train=split.train) if text is None else text
    found = {
        "behaviour": behaviour_documents(split, text, share=share, seed=seed),
        "items": item_documents(text, share=share, seed=seed),
        "statistics": Corpus([_standing(text, i) for i in split.train.item_ids], []),
    }
    if dataset.reviews is not None:
        found["reviews"] = review_documents(dataset, split, text, share=share, seed=seed)
    if dataset.dialogues is not None:
        found["dialogues"] = dialogue_documents(dataset, share=share, seed=seed)
    return found


def _standing(text: BehaviourText, item_id: Id) -> Document:
    """An item, and how it stands among all."""
    about = text.item(item_id, parts=ALL_PARTS[:3])
    return Document((("[ITEM]", about), ("[SEP]", text.statistics(item_id))))
