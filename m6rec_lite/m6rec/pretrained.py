"""M6-Rec on a real pretrained causal language model: its texts, its scores, and LoRA.

    A woman, 25 to 34 years old, engineer.
    clicked a product named “Alpine Trek Boots”
    A user who does this also clicks| a product named “Wool Socks for Long Trails”

The known region is left of the bar, the written one right of it; both are plain text. An item is
scored by the log-likelihood of its words, as M6-Rec ranks without training (Cui et al., 2022,
section 3, "a user who clicks X also clicks Y"). A like is scored by the odds of " yes" and " no"
after a question, as in Bao et al., *TALLRec*, 2023.

The model may be SmolLM2-135M-Instruct, from a package (``language.load_smollm2``), or any other. It
is causal: attention ``"causal"`` is what it was trained with. ``"prefix"`` is M6-Rec's own
attention, in which the known region reads itself in both directions; such a model has never seen
it, so it may need training (``train_lora``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from m6rec_lite.data import Histories
from m6rec_lite.data.ids import Id
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.document import Document
from m6rec_lite.m6rec.tasks.ranking import SCORINGS
from m6rec_lite.nn.decoding import inference_mode
from m6rec_lite.nn.masks import prefix_mask

ATTENTIONS = ("causal", "prefix")
#: The last line of a known region, before an item's words and before yes or no.
ALSO = "A user who does this also {verb}"
LIKES = "Question: Does this user like {item}? Answer:"
ANSWERS = (" no", " yes")
#: Items that are scored together without a user.
ITEMS_A_PASS = 32


def additive_mask(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 0 where a boolean mask is True, and the least number of ``dtype`` elsewhere."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(
        ~mask, torch.finfo(dtype).min
    )


def _joined(first: Sequence[int], rest: Tensor) -> Tensor:
    return torch.cat([torch.tensor(first), rest])


class PretrainedM6Rec(nn.Module):
    """A pretrained causal language model that reads and scores behaviour as M6-Rec does.

    Args:
        model: of ``AutoModelForCausalLM``, such as that of ``load_smollm2``.
        tokenizer: the model's, of ``AutoTokenizer``.
        text: how users, events and items are verbalized.
        attention: ``"causal"`` or ``"prefix"``, see the module.
        verb: of the ranking question, such as "clicks".
        events: latest events of a history that are read, at most.
        max_tokens: of a known region, at most; the oldest events are dropped.

    Raises:
        ValueError: if the attention is unknown, or ``events`` or ``max_tokens`` is too small.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        text: BehaviourText,
        *,
        attention: str = "causal",
        verb: str = "clicks",
        events: int = 8,
        max_tokens: int = 256,
    ) -> None:
        super().__init__()
        if attention not in ATTENTIONS:
            raise ValueError(f"attention must be one of {', '.join(ATTENTIONS)}, got {attention!r}")
        if events < 1 or max_tokens < 16:
            raise ValueError(
                f"events must be at least 1 and max_tokens at least 16, got {events!r} and "
                f"{max_tokens!r}"
            )
        self.attention, self.verb = attention, verb
        self.events, self.max_tokens = events, max_tokens
        self.text, self.tokenizer = text, tokenizer
        self.model: Any = model
        self._encoded: dict[str, list[int]] = {}
        self._answers = [self.encode(answer)[0] for answer in ANSWERS]
        if len(set(self._answers)) < 2:
            raise ValueError(f"the tokenizer begins {ANSWERS[0]!r} and {ANSWERS[1]!r} alike")

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.model.device

    # Text

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, without tokens that begin or end a document."""
        if text not in self._encoded:
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            self._encoded[text] = list(ids)
        return self._encoded[text]

    def known(self, histories: Histories, questions: Sequence[str]) -> list[list[int]]:
        """Encode known regions: the user, the latest events, and a question.

        Args:
            histories: ``n`` rows.
            questions: ``n`` last lines.

        Returns:
            ``n`` lists of token ids; each line ends in a line break, except the last.

        Raises:
            ValueError: if a user and a question alone have more than ``max_tokens`` tokens.
        """
        regions = []
        documents = self.text.documents(histories.last(self.events))
        for document, question in zip(documents, questions, strict=True):
            head, end = document.pieces[0][1], self.encode(question)
            lines = [self.encode(f"{head}\n")] if head else []
            room = self.max_tokens - len(end) - sum(map(len, lines))
            if room < 0:
                raise ValueError(
                    f"a user and a question of {self.max_tokens - room} tokens do not fit in "
                    f"max_tokens={self.max_tokens}: allow more"
                )
            events: list[list[int]] = []
            for line in reversed(Document(document.pieces[1:]).text.split("\n")):
                ids = self.encode(f"{line}\n")
                room -= len(ids)
                if not line or room < 0:
                    break
                events.insert(0, ids)
            regions.append([token for ids in (*lines, *events, end) for token in ids])
        return regions

    def also(self, histories: Histories) -> list[list[int]]:
        """Encode known regions that ask for the next item."""
        return self.known(histories, [ALSO.format(verb=self.verb)] * len(histories))

    def likes(self, histories: Histories, item_ids: Sequence[Id] | np.ndarray) -> list[list[int]]:
        """Encode known regions that ask whether a user likes an item, one item a row."""
        questions = [LIKES.format(item=self.text.item(item)) for item in item_ids]
        return self.known(histories, questions)

    def written(self, item_id: Id) -> list[int]:
        """Encode an item's words, which follow the question of ``also``."""
        return self.encode(f" {self.text.item(item_id)}")

    # Scores

    def scores(
        self,
        histories: Histories,
        candidates: np.ndarray,
        *,
        blank: np.ndarray | None = None,
        progress: bool = True,
    ) -> dict[str, np.ndarray]:
        """Score candidate items by the log-likelihood of their words after the user's history.

        Args:
            histories: ``n`` rows.
            candidates: ``(n, k)`` item ids.
            blank: ``(n, k)``, what ``without_user`` returns for the candidates; None computes it.
            progress: show a progress bar.

        Returns:
            ``(n, k)`` float64 in nats for each of ``SCORINGS``: the sum over the words' tokens, its
            mean, and both less the same item's after the question alone, without a user (*lift*).
        """
        endings = [[self.written(item) for item in row] for row in candidates.tolist()]
        pairs = zip(self.also(histories), endings, strict=True)
        bar = tqdm(pairs, "scoring", len(endings), leave=False, disable=not progress)
        sums = np.stack([self.log_likelihoods(*pair) for pair in bar])
        if blank is None:
            items, where = np.unique(candidates, return_inverse=True)
            blank = self.without_user(items, progress=progress)[where.reshape(candidates.shape)]
        sizes = np.array([[len(ids) for ids in row] for row in endings])
        return {
            name: (sums - blank if lift else sums) / (sizes if mean else 1)
            for name, (mean, lift) in SCORINGS.items()
        }

    def without_user(self, item_ids: np.ndarray, *, progress: bool = True) -> np.ndarray:
        """Return the log-likelihoods of ``(n,)`` items after the question alone, ``(n,)``."""
        question = self.encode(ALSO.format(verb=self.verb))
        endings = [self.written(item) for item in item_ids.tolist()]
        starts = range(0, len(endings), ITEMS_A_PASS)
        bar = tqdm(starts, "without a user", leave=False, disable=not progress)
        parts = [self.log_likelihoods(question, endings[i : i + ITEMS_A_PASS]) for i in bar]
        return np.concatenate(parts)

    def log_likelihoods(self, known: Sequence[int], written: Sequence[Sequence[int]]) -> np.ndarray:
        """Return ``ln P(written | known)`` of several written regions, ``(k,)`` float64.

        They are packed into one row behind the known region, which is read once: each sees the
        known region and its own past, at the positions right after the known region. A row has no
        padding, so that twenty candidates cost their own tokens and the known region's.

        Args:
            known: token ids, at least one.
            written: ``k`` lists of token ids, at least one id each.
        """
        n, sizes = len(known), torch.tensor([len(ids) for ids in written])
        starts = n + sizes.cumsum(0) - sizes
        segment = torch.repeat_interleave(torch.arange(len(written) + 1), _joined([n], sizes))
        order = torch.arange(len(segment))
        positions = order - torch.repeat_interleave(_joined([0], starts - n), _joined([n], sizes))
        to_known = segment[None, :] == 0
        visible = (order[None, :] <= order[:, None]) & (to_known | (segment == segment[:, None]))
        if self.attention == "prefix":
            visible |= to_known
        ids = torch.tensor([*known, *(token for row in written for token in row)])
        before = order[n:] - 1  # the index from whose state a token is predicted
        before[starts - n] = n - 1
        with inference_mode(self.model):
            states = self.model.base_model(
                input_ids=ids[None].to(self.device),
                attention_mask=additive_mask(visible[None, None].to(self.device), self.model.dtype),
                position_ids=positions[None].to(self.device),
                use_cache=False,
            ).last_hidden_state[0, before.to(self.device)]
            logits = self.model.get_output_embeddings()(states).float()
            nats = -F.cross_entropy(logits, ids[n:].to(self.device), reduction="none").cpu()
        sums = torch.zeros(len(written), dtype=torch.float64)
        return sums.index_add_(0, segment[n:] - 1, nats.double()).numpy()

    @torch.no_grad()
    def log_odds(
        self, known: Sequence[Sequence[int]], *, batch_size: int = 8, progress: bool = True
    ) -> np.ndarray:
        """Return ``ln P(" yes") - ln P(" no")`` after known regions, ``(n,)`` float64."""
        order = sorted(range(len(known)), key=lambda row: len(known[row]))
        values = np.zeros(len(known))
        starts = range(0, len(order), batch_size)
        for start in tqdm(starts, desc="answering", leave=False, disable=not progress):
            rows = order[start : start + batch_size]
            values[rows] = self.yes_or_no([known[row] for row in rows]).double().cpu().numpy()
        return values

    # With gradients

    def states(self, rows: Sequence[Sequence[int]], n_known: Sequence[int]) -> Tensor:
        """Return the last layer's states of whole rows, padded on the right.

        Args:
            rows: ``n`` lists of token ids, known region and written one.
            n_known: ``n`` lengths of the known regions.

        Returns:
            ``(n, longest, hidden_size)``; those of the padding mean nothing.
        """
        time = max(map(len, rows))
        padded = [[*row, *[0] * (time - len(row))] for row in rows]
        mask = None  # causal, and no token sees the padding after it
        if self.attention == "prefix":
            visible = prefix_mask(torch.tensor(n_known, device=self.device), time)
            mask = additive_mask(visible, self.model.dtype)
        ids = torch.tensor(padded, device=self.device)
        output = self.model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
        return output.last_hidden_state

    def yes_or_no(self, known: Sequence[Sequence[int]]) -> Tensor:
        """Return the log-odds of " yes" after known regions, ``(n,)`` float32."""
        ends = torch.tensor([len(ids) - 1 for ids in known], device=self.device)
        states = self.states(known, [len(ids) for ids in known])
        states = states[torch.arange(len(known), device=self.device), ends]
        no, yes = F.linear(states, self.model.get_output_embeddings().weight[self._answers]).T
        return (yes - no).float()

    def written_loss(
        self, known: Sequence[Sequence[int]], written: Sequence[Sequence[int]]
    ) -> Tensor:
        """Return the mean cross-entropy of the written regions, in nats a token."""
        rows = [[*a, *b] for a, b in zip(known, written, strict=True)]
        states = self.states(rows, [len(ids) for ids in known])
        at = [(i, len(a) - 1 + j) for i, a in enumerate(known) for j in range(len(written[i]))]
        row, column = torch.tensor(at, device=self.device).T
        logits = self.model.get_output_embeddings()(states[row, column])
        targets = torch.tensor([token for ids in written for token in ids], device=self.device)
        return F.cross_entropy(logits.float(), targets)

    def like_loss(self, known: Sequence[Sequence[int]], liked: Sequence[bool]) -> Tensor:
        """Return the mean cross-entropy of yes or no, in nats an example."""
        labels = torch.tensor(liked, dtype=torch.float32, device=self.device)
        return F.binary_cross_entropy_with_logits(self.yes_or_no(known), labels)
