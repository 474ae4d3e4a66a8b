"""DIN, the deep interest network: what a user did is weighed anew for each item that is shown.

A user who bought skis and cookbooks is one person with several interests; shown ski boots, only
the skis matter. So the history is summed with weights that depend on the candidate,

    v(A) = sum_j a(e_j, e_A) e_j,

where the local activation unit a is a small network on the two vectors and their product. The
weights are not put through a softmax: their sum says *how much* of the history speaks for the item.
Beside v(A), the candidate, the user and the moment, the last layers read the product of v(A) with
the candidate, as the authors' code does. Source: Zhou et al., *Deep interest network for
click-through rate prediction*, 2018, equations 3 (activation), 5 (Dice) and 7 (mini-batch aware
regularisation).

The network alone stands here; ``din.DIN`` fits it to impressions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from m6rec_lite.data.tables import EVENTS

#: Ends of the gaps between an event and now, in seconds: a minute, ten, an hour, six, a day, ...
GAPS: tuple[int, ...] = (60, 600, 3600, 21_600, 86_400, 604_800, 2_592_000)

#: Standard deviation of the embeddings at the start. Much smaller, and their products with one
#: another, by which the local activation unit sees what is alike, start from nothing.
EMBEDDING_SPREAD = 0.3

#: Kinds of events: those of ``EVENTS``, then ratings from 0 to 5 in halves.
N_KINDS = len(EVENTS) + 11


class Dice(nn.Module):
    """An activation whose bend lies where the data are: ``f(s) = p s + (1 - p) alpha s``.

    ``p = sigmoid((s - E[s]) / sqrt(Var[s] + eps))``: above the mean the input passes, below it is
    scaled by a learnt alpha; PReLU is the case of a hard step at 0. While training E and Var are
    the batch's; moving averages of them are kept for later. Equation 5, eps = 1e-8 as there.

    Args:
        width: number of channels.
        momentum: share of the moving averages that a batch renews.
    """

    def __init__(self, width: int, momentum: float = 0.01) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))
        self.momentum = momentum

    def forward(self, s: Tensor) -> Tensor:
        """``(rows, width)`` to the same."""
        mean, variance = self.mean, self.variance
        if self.training and len(s):
            mean, variance = s.mean(dim=0), s.var(dim=0, unbiased=False)
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.variance.lerp_(variance, self.momentum)
        p = torch.sigmoid((s - mean) * torch.rsqrt(variance + 1e-8))
        return (p + (1 - p) * self.alpha) * s


def layers(sizes: Sequence[int], activation: str, dropout: float = 0.0) -> nn.Sequential:
    """Linear maps from size to size, an activation (``dice`` or ``prelu``) after all but the last.

    The hidden layers may drop out; the paper's do not.
    """
    parts: list[nn.Module] = []
    for i, (size, next_size) in enumerate(pairwise(sizes)):
        parts.append(nn.Linear(size, next_size))
        if i < len(sizes) - 2:
            parts.append(Dice(next_size) if activation == "dice" else nn.PReLU(next_size))
            parts.append(nn.Dropout(dropout))
    return nn.Sequential(*parts)


class LocalActivation(nn.Module):
    """How much each event speaks for the candidate: a number of any size and sign.

    Args:
        width: of an event's vector, and of the candidate's.
        hidden: sizes of the layers between.
        activation: ``dice`` or ``prelu``.
    """

    def __init__(self, width: int, hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        self.network = layers([3 * width, *hidden, 1], activation)

    def forward(self, events: Tensor, candidates: Tensor) -> Tensor:
        """``(tokens, width)`` events, each with its candidate beside it, to ``(tokens, 1)``."""
        return self.network(torch.cat([events, candidates, events * candidates], dim=1))


@dataclass(frozen=True)
class Sizes:
    """How large the vocabularies are and how long the vectors.

    Attributes:
        fields: number of values of each item field, the unknown value 0 included; the first field
            is the item's id.
        tags: number of different tags.
        profile: number of values of each field of the user and the moment, unknown included.
        numbers: how many numeric features.
        id_width: length of the vectors of ids and of tags.
        field_width: length of all other vectors.
        log_odds: of the label among training rows, where the output starts.
    """

    fields: tuple[int, ...]
    tags: int
    profile: tuple[int, ...]
    numbers: int
    id_width: int
    field_width: int
    log_odds: float = 0.0


#: What the network reads, of ``rows`` impressions with ``tokens`` events in all: ``lengths``
#: (rows,); ``candidate`` (rows,) and ``items`` (tokens,) places of items; ``kinds`` and ``gaps``
#: (tokens,); ``profile`` (rows, n_profile); ``numbers`` (rows, n_numbers); ``labels`` (rows,).
Batch = dict[str, Tensor]


class DINNetwork(nn.Module):
    """The network of DIN: embeddings, the local activation unit, and layers to one log odds.

    Items are described by their fields (id, category, ...) and tags, the same for events and
    candidates. An event also has a kind (click, purchase, ...) and a gap to now; the paper's has
    neither, and ``use_gaps=False`` leaves them out.

    Args:
        sizes: of vocabularies and vectors.
        activation_hidden: sizes of the local activation unit's layers.
        hidden: sizes of the last layers (200 and 80 in the paper).
        activation: ``dice`` or ``prelu``.
        dropout: share of hidden numbers set to 0 while training.
        use_gaps: whether events tell their kind and age.
    """

    def __init__(
        self,
        sizes: Sizes,
        activation_hidden: Sequence[int] = (36,),
        hidden: Sequence[int] = (200, 80),
        activation: str = "dice",
        dropout: float = 0.0,
        use_gaps: bool = True,
    ) -> None:
        super().__init__()
        widths = [sizes.id_width] + [sizes.field_width] * (len(sizes.fields) - 1)
        self.fields = nn.ModuleList(
            nn.Embedding(n, width) for n, width in zip(sizes.fields, widths, strict=True)
        )
        self.tags = nn.EmbeddingBag(sizes.tags + 1, sizes.id_width, mode="mean", padding_idx=0)
        self.profile = nn.ModuleList(nn.Embedding(n, sizes.field_width) for n in sizes.profile)
        item = sum(widths) + (sizes.id_width if sizes.tags else 0)
        self.has_tags, self.use_gaps = sizes.tags > 0, use_gaps
        self.kinds = nn.Embedding(N_KINDS, item)
        self.gaps = nn.Embedding(len(GAPS) + 1, item)
        for table in self.modules():
            if isinstance(table, nn.Embedding | nn.EmbeddingBag):
                nn.init.normal_(table.weight, std=EMBEDDING_SPREAD)
        with torch.no_grad():  # what is unknown says nothing, until it is learnt
            for table in [*self.fields, *self.profile, self.tags]:
                table.weight[0] = 0.0
        self.activation = LocalActivation(item, activation_hidden, activation)
        known = 3 * item + sizes.field_width * len(sizes.profile) + sizes.numbers
        self.output = layers([known, *hidden, 1], activation, dropout)
        nn.init.constant_(self.output[-1].bias, sizes.log_odds)

    def item_vectors(self, codes: Tensor, tags: Tensor) -> Tensor:
        """``(n, n_fields)`` codes and ``(n, most_tags)`` tags, 0 for none, to ``(n, item)``."""
        parts = [table(codes[:, i]) for i, table in enumerate(self.fields)]
        if self.has_tags:
            parts.append(self.tags(tags))
        return torch.cat(parts, dim=1)

    def forward(self, batch: Batch, codes: Tensor, tags: Tensor) -> Tensor:
        """Log odds of the label.

        Args:
            batch: see ``Batch``.
            codes: ``(n_items, n_fields)`` of the whole catalogue.
            tags: ``(n_items, most_tags)`` of the whole catalogue.

        Returns:
            ``(rows,)``.
        """
        rows = len(batch["candidate"])
        # Each item of the batch is made once, however often it occurs.
        asked = torch.cat([batch["candidate"], batch["items"]])
        unique, inverse = torch.unique(asked, return_inverse=True)
        vectors = self.item_vectors(codes[unique], tags[unique])  # (n_unique, item)
        candidate, events = vectors[inverse[:rows]], vectors[inverse[rows:]]
        if self.use_gaps:
            events = events + self.kinds(batch["kinds"]) + self.gaps(batch["gaps"])
        owner = torch.repeat_interleave(torch.arange(rows, device=asked.device), batch["lengths"])
        weights = self.activation(events, candidate[owner])  # (tokens, 1)
        interest = torch.zeros_like(candidate).index_add_(0, owner, weights * events)
        profile = [table(batch["profile"][:, i]) for i, table in enumerate(self.profile)]
        known = [interest, candidate, interest * candidate, *profile, batch["numbers"]]
        return self.output(torch.cat(known, dim=1))[:, 0]

    def batch_aware_penalty(
        self, batch: Batch, codes: Tensor, occurrences: Sequence[Tensor]
    ) -> Tensor:
        """``1/2 sum |w_j|^2 / n_j`` over the embeddings of the item fields in the batch.

        A row of an embedding is charged only in batches where it occurs, and by its frequency:
        charged everywhere, as plain L2 is, a rare id would be worn down between its occurrences.
        Equation 7, with the gradient ``w_j / n_j`` of equation 8.

        Args:
            batch: see ``Batch``.
            codes: ``(n_items, n_fields)``.
            occurrences: for each field, ``(n_values,)`` how often each value occurs in training.
        """
        asked = torch.unique(torch.cat([batch["candidate"], batch["items"]]))
        total = torch.zeros((), device=asked.device)
        for i, table in enumerate(self.fields):
            values = torch.unique(codes[asked, i])
            squares = table.weight[values].square().sum(dim=1)
            total = total + 0.5 * (squares / occurrences[i][values].clamp(min=1)).sum()
        return total
