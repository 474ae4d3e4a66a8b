"""Documents that ask for the next event: who the user is, the latest events, and the one asked.

A history that is cut anywhere teaches a model to continue text. What the tasks ask is the next
event of a known user after the user's *latest* events. So each document of this corpus ends in one
training event, the target, and begins with the user; between them are as many of the events before
the target as fit. ``infilling.LastEvent`` masks the target.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np

from m6rec_lite.data import EVENTS, Histories, Interactions, Split
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.corpora import held_out
from m6rec_lite.language.text.document import Document, keep_latest, token_counts
from m6rec_lite.language.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

#: Number of documents that are in memory with all their events.
CHUNK = 2048


def next_event_documents(
    split: Split | Interactions,
    text: BehaviourText,
    tokenizer: Tokenizer,
    *,
    max_tokens: int,
    per_user: int = 8,
    part: str = "train",
    share: float = 0.05,
    seed: int = 0,
) -> Iterator[Document]:
    """Yield documents that end in the event to predict, of training rows only.

    The query time is that of the target, as in a split's questions: with ``times="ago"``, or with
    weekday, month or weather in the context, the model is time-aware. Searches end at the latest
    event before the target, so that none names it.

    Args:
        split: only its ``train`` is read; or training rows.
        text: how users and events are verbalized.
        tokenizer: counts the tokens.
        max_tokens: maximum length of a document; the oldest events are dropped. A document whose
            user and target alone are longer is left out.
        per_user: maximum number of targets of a user: the last training event, and others drawn
            at random, each with an event before it.
        part: ``"train"``, or ``"held_out"`` for the documents of held-out users.
        share: of held-out users; with the same ``seed`` those of ``pretraining_corpora``.
        seed: of the held-out users and of the drawn targets.

    Raises:
        TypeError: if given a whole data set, whose rows hold the targets of every split.
        ValueError: if ``part`` is unknown, or ``per_user`` is below 1.
    """
    rows = split.train if isinstance(split, Split) else split
    if not isinstance(rows, Interactions):
        raise TypeError(
            f"wanted a Split or its train rows, got a {type(split).__name__}: the rows of a data "
            "set hold the targets that models are tested on"
        )
    if part not in ("train", "held_out"):
        raise ValueError(f"part must be 'train' or 'held_out', got {part!r}")
    if per_user < 1:
        raise ValueError(f"per_user must be at least 1, got {per_user!r}")
    histories = rows.histories()
    is_held_out = held_out(histories.user_ids, share, seed)
    histories = histories[is_held_out if part == "held_out" else ~is_held_out]
    return _documents(histories, text, tokenizer, max_tokens, per_user, seed)


def draw_targets(
    histories: Histories, per_user: int, seed: int = 0
) -> tuple[Histories, np.ndarray, np.ndarray]:
    """Draw events as targets: of each row its last one, and others that have an event before them.

    Args:
        histories: ``n`` rows; those of less than two events have no target.
        per_user: maximum number of targets of a row.
        seed: of the draw.

    Returns:
        ``m`` rows: the events before each target, with the target's time as the query time;
        ``(m,)`` the target's item, as an index into ``item_ids``; and ``(m,)`` its event code.
    """
    last = histories.steps_back == 0
    may = np.arange(len(histories.items)) > histories.offsets[:-1][histories.rows]
    keys = np.random.default_rng(seed).random(len(may))
    keys[last] = -1.0
    keys[~may] = 2.0
    order = np.lexsort((keys, histories.rows))  # rows stay together, so their offsets hold
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - histories.offsets[:-1][histories.rows[order]]
    targets = np.flatnonzero(may & (rank < per_user))
    rows = histories.rows[targets]
    before = histories.first_events(
        rows, targets - histories.offsets[:-1][rows], histories.timestamps[targets]
    )
    return before, histories.items[targets], histories.events[targets]


def mean_events_read(rows: Sequence[np.ndarray], tokenizer: Tokenizer) -> float:
    """Return the mean number of events in rows of tokens, such as ``PromptBuilder.people``.

    An event that is asked, ``[EVENT] [MASK]``, does not count; searches do. 0 without rows.

    Args:
        rows: ``n`` arrays of tokens, for example known regions.
        tokenizer: of the tokens.
    """
    event, mask = tokenizer.id("[EVENT]"), tokenizer.id("[MASK]")
    n_events = 0
    for row in rows:
        follows = np.append(row[1:], -1)
        n_events += int(((np.asarray(row) == event) & (follows != mask)).sum())
    return n_events / max(1, len(rows))


def _documents(
    histories: Histories,
    text: BehaviourText,
    tokenizer: Tokenizer,
    max_tokens: int,
    per_user: int,
    seed: int,
) -> Iterator[Document]:
    """Yield the documents in chunks, so that only a chunk has all its events in memory."""
    before, items, events = draw_targets(histories, per_user, seed)
    item_ids = histories.item_ids
    most = max(1, max_tokens // 2)  # an event has at least two tokens
    n_left_out = 0
    for start in range(0, len(before), CHUNK):
        chunk = slice(start, start + CHUNK)
        known = text.documents(before[chunk].last(most))
        targets = [
            Document((("[EVENT]", text.event(item_ids[item], EVENTS[event])),))
            for item, event in zip(items[chunk].tolist(), events[chunk].tolist(), strict=True)
        ]
        users = [Document(document.pieces[:1]) for document in known]
        counts = token_counts(tokenizer, [*users, *targets])
        documents = [
            before_target + target
            for before_target, user, target in zip(known, users, targets, strict=True)
            if sum(1 + counts[piece] for _, piece in (user + target).pieces) <= max_tokens
        ]
        n_left_out += len(known) - len(documents)
        yield from keep_latest(documents, tokenizer, max_tokens)
    if n_left_out:
        log.warning(
            "%d of %d documents are left out: the user and the target alone have more than %d "
            "tokens",
            n_left_out,
            len(before),
            max_tokens,
        )
