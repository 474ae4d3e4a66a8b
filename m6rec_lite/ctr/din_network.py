"""DIN, the deep interest network: the events of a user are weighted for each candidate item.

A user has several interests, and only some of the past events are relevant for a candidate A. The
history is therefore summed with weights that depend on the candidate,

    v(A) = sum_j a(e_j, e_A) e_j,

where the local activation unit a is a small network on the two vectors and their product. The
weights are not normalised by a softmax, so that their sum can express the strength of the interest.
The output network reads v(A), the candidate, the features of user and context, and the product of
v(A) and the candidate, as in the authors' code. Source: Zhou et al., *Deep interest network for
click-through rate prediction*, 2018, equations 3 (activation), 5 (Dice) and 7 (mini-batch aware
regularisation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from m6rec_lite.data.tables import EVENTS

#: Boundaries of the bins of an event's age, in seconds: a minute, ten, an hour, six, a day, ...
GAPS: tuple[int, ...] = (60, 600, 3600, 21_600, 86_400, 604_800, 2_592_000)

#: Standard deviation of the initial embeddings. With a much smaller value the products of
#: embeddings, an input of the local activation unit, would start close to 0.
EMBEDDING_SPREAD = 0.3

#: Number of kinds of events: those of ``EVENTS``, then ratings from 0 to 5 in steps of 0.5.
N_KINDS = len(EVENTS) + 11


class Dice(nn.Module):
    """The activation function Dice, ``f(s) = p s + (1 - p) alpha s`` (equation 5).

    With ``p = sigmoid((s - E[s]) / sqrt(Var[s] + eps))``, inputs below the mean are scaled by the
    parameter alpha; PReLU has a hard step at 0 instead. In training mode, E and Var are those of
    the batch; in evaluation mode, their moving averages are used. eps is 1e-8, as in the paper.

    Args:
        width: number of channels.
        momentum: weight of a batch in the moving averages.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, momentum: float = 0.01) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))
        self.momentum = momentum

    def forward(self, s: Tensor) -> Tensor:
        """Apply the activation to ``(rows, width)`` inputs."""
        mean, variance = self.mean, self.variance
        if self.training and len(s):
            mean, variance = s.mean(dim=0), s.var(dim=0, unbiased=False)
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.variance.lerp_(variance, self.momentum)
        p = torch.sigmoid((s - mean) * torch.rsqrt(variance + 1e-8))
        return (p + (1 - p) * self.alpha) * s


def layers(sizes: Sequence[int], activation: str, dropout: float = 0.0) -> nn.Sequential:
    """Build a feed-forward network; the paper has no dropout.

    Args:
        sizes: sizes of the input, the hidden layers and the output.
        activation: activation of the hidden layers, ``dice`` or ``prelu``.
        dropout: dropout rate of the hidden layers.
    """
    parts: list[nn.Module] = []
    for i, (size, next_size) in enumerate(pairwise(sizes)):
        parts.append(nn.Linear(size, next_size))
        if i < len(sizes) - 2:
            parts.append(Dice(next_size) if activation == "dice" else nn.PReLU(next_size))
            parts.append(nn.Dropout(dropout))
    return nn.Sequential(*parts)


class LocalActivation(nn.Module):
    """Local activation unit: compute the weight of each event for the candidate.

    Args:
        width: size of the vectors of events and candidates.
        hidden: sizes of the hidden layers.
        activation: ``dice`` or ``prelu``.
    """

    def __init__(self, width: int, hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        self.network = layers([3 * width, *hidden, 1], activation)

    def forward(self, events: Tensor, candidates: Tensor) -> Tensor:
        """Map ``(tokens, width)`` events and their candidates to ``(tokens, 1)`` weights."""
        return self.network(torch.cat([events, candidates, events * candidates], dim=1))


@dataclass(frozen=True)
class Sizes:
    """Sizes of the vocabularies and the embeddings.

    Attributes:
        fields: number of codes of each item field, including 0 for unknown values; the first field
            is the id of the item.
        tags: number of distinct tags.
        profile: number of codes of each feature of user and context, including 0.
        numbers: number of numeric features.
        id_width: size of the embeddings of ids and tags.
        field_width: size of all other embeddings.
        log_odds: log odds of the label in the training rows, the initial bias of the output.
    """

    fields: tuple[int, ...]
    tags: int
    profile: tuple[int, ...]
    numbers: int
    id_width: int
    field_width: int
    log_odds: float = 0.0


#: A batch of ``rows`` impressions with ``tokens`` events in total: ``lengths`` (rows,);
#: ``candidate`` (rows,) and ``items`` (tokens,) item indices; ``kinds`` and ``gaps`` (tokens,);
#: ``profile`` (rows, n_profile); ``numbers`` (rows, n_numbers); ``labels`` (rows,).
Batch = dict[str, Tensor]


class DINNetwork(nn.Module):
    """The network of DIN: embeddings, local activation unit, and output network.

    The vector of an item is the concatenation of the embeddings of its fields (id, category, ...)
    and tags, both for events and for candidates. With ``use_gaps``, the kind (click, purchase, ...)
    and the age of an event are added to its vector; the paper has neither.

    Args:
        sizes: sizes of the vocabularies and the embeddings.
        activation_hidden: sizes of the hidden layers of the local activation unit.
        hidden: sizes of the hidden layers of the output network (200 and 80 in the paper).
        activation: ``dice`` or ``prelu``.
        dropout: dropout rate of the hidden layers of the output network.
        use_gaps: use the kind and the age of the events.
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
        with torch.no_grad():  # unknown values start with a zero vector
            for table in [*self.fields, *self.profile, self.tags]:
                table.weight[0] = 0.0
        self.activation = LocalActivation(item, activation_hidden, activation)
        width = 3 * item + sizes.field_width * len(sizes.profile) + sizes.numbers
        self.output = layers([width, *hidden, 1], activation, dropout)
        last = self.output[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias, sizes.log_odds)

    def item_vectors(self, codes: Tensor, tags: Tensor) -> Tensor:
        """Map ``(n, n_fields)`` and ``(n, most_tags)`` codes, 0 for none, to ``(n, width)``."""
        parts = [table(codes[:, i]) for i, table in enumerate(self.fields)]
        if self.has_tags:
            parts.append(self.tags(tags))
        return torch.cat(parts, dim=1)

    def forward(self, batch: Batch, codes: Tensor, tags: Tensor) -> Tensor:
        """Compute the log odds of the label.

        Args:
            batch: see ``Batch``.
            codes: ``(n_items, n_fields)`` codes of the catalogue.
            tags: ``(n_items, most_tags)`` codes of the tags of the catalogue.

        Returns:
            ``(rows,)`` log odds.
        """
        rows = len(batch["candidate"])
        # The vector of each distinct item of the batch is computed once.
        items = torch.cat([batch["candidate"], batch["items"]])
        unique, inverse = torch.unique(items, return_inverse=True)
        vectors = self.item_vectors(codes[unique], tags[unique])  # (n_unique, item)
        candidate, events = vectors[inverse[:rows]], vectors[inverse[rows:]]
        if self.use_gaps:
            events = events + self.kinds(batch["kinds"]) + self.gaps(batch["gaps"])
        row = torch.repeat_interleave(torch.arange(rows, device=items.device), batch["lengths"])
        weights = self.activation(events, candidate[row])  # (tokens, 1)
        interest = torch.zeros_like(candidate).index_add_(0, row, weights * events)
        profile = [table(batch["profile"][:, i]) for i, table in enumerate(self.profile)]
        inputs = [interest, candidate, interest * candidate, *profile, batch["numbers"]]
        return self.output(torch.cat(inputs, dim=1))[:, 0]

    def batch_aware_penalty(
        self, batch: Batch, codes: Tensor, occurrences: Sequence[Tensor]
    ) -> Tensor:
        """Compute ``1/2 sum |w_j|^2 / n_j`` over the item embeddings of the batch (equation 7).

        An embedding is only penalised in batches in which it occurs, and by its frequency. Plain L2
        would shrink the embeddings of rare ids in every batch without them.

        Args:
            batch: see ``Batch``.
            codes: ``(n_items, n_fields)`` codes of the catalogue.
            occurrences: for each field, ``(n_values,)`` number of occurrences in training.
        """
        items = torch.unique(torch.cat([batch["candidate"], batch["items"]]))
        total = torch.zeros((), device=items.device)
        for i, table in enumerate(self.fields):
            assert isinstance(table, nn.Embedding)
            values = torch.unique(codes[items, i])
            squares = table.weight[values].square().sum(dim=1)
            total = total + 0.5 * (squares / occurrences[i][values].clamp(min=1)).sum()
        return total
