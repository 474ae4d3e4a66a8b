"""BERT4Rec: a Transformer that looks both ways and fills in the items that were masked.

To recommend, a masked item is put behind the history, and the model says what it is. Source: Sun
et al., *BERT4Rec: sequential recommendation with bidirectional encoder representations from
Transformer*, 2019. Its published figures were often not reached again. Petrov and Macdonald (*A
systematic review and replicability study of BERT4Rec*, 2022) found why: it needs far more training
than the first code's defaults give it, since a pass asks about a fifth of the items where SASRec
asks about all. Klenitskiy and Vasilev (*Turning dross into gold loss*, 2023) added that what it
had ahead of SASRec was its loss: cross-entropy over the whole catalogue, which both have here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.data.interactions import Histories
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import LearnedPositions
from m6rec_lite.nn.transformer import Transformer, TransformerConfig
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sequential.next_item import NextItemRecommender
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork
from m6rec_lite.recommenders.sequential.sasrec import TransformerShape
from m6rec_lite.recommenders.sequential.sequences import Batch, MaskedBatches, Window


class BERT4RecNetwork(NextItemNetwork):
    """Embeddings of items and positions, blocks that look both ways, and a head for masked items.

    The mask has a vector to be read by and none to be scored by: no score is ever its own.
    Positions count from the end: 0 is the last token, which is the mask when the model is asked.
    Norms stand before each branch, not behind it as in the paper: so no warm-up is needed.

    Args:
        n_items: size of the catalogue; an item of this number is the mask.
        max_length: number of positions.
        config: of the blocks.
    """

    def __init__(self, n_items: int, max_length: int, config: TransformerConfig) -> None:
        d = config.hidden_size
        super().__init__(n_items, d)
        self.mask = nn.Parameter(torch.empty(d).normal_(std=0.02))
        self.positions = LearnedPositions(max_length, d)
        self.norm = nn.LayerNorm(d, config.norm_eps)
        self.dropout = Dropout(config.dropout)
        self.transformer = Transformer(config)
        self.turn = nn.Linear(d, d)
        self.turn_norm = nn.LayerNorm(d, config.norm_eps)
        self.bias = nn.Parameter(torch.zeros(n_items))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                # A mask holds nothing of its own: what it hears must come through loud. BERT's 0.02
                # is for a width of 768, and leaves a network of 64 near silence for many epochs.
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)

    def forward(self, items: Tensor, packing: Packing) -> Tensor:
        """``(tokens,)`` to ``(tokens, hidden_size)``; each token sees its whole row."""
        table = torch.cat([self.items.weight, self.mask[None]])
        x = F.embedding(items, table) + self.positions(packing.steps_back)
        return self.transformer(self.dropout(self.norm(x)), packing=packing)

    def head(self, states: Tensor) -> Tensor:
        """What scores the items at masked tokens, ``(n, hidden_size)`` to the same."""
        return self.turn_norm(F.gelu(self.turn(states)))

    def predict_state(self, items: Tensor, packing: Packing) -> Tensor:
        """``(rows, hidden_size)``: what stands at a mask put behind each row."""
        longer = Packing(packing.lengths + 1)
        asked = longer.ends
        read = torch.ones(len(items) + len(asked), dtype=torch.bool, device=items.device)
        read[asked] = False
        masked = items.new_full(read.shape, len(self.items.weight))
        masked[read] = items
        return self.head(self(masked, longer)[asked])

    @property
    def output_bias(self) -> Tensor:
        """An item's score before anything is known."""
        return self.bias


@dataclass(eq=False, repr=False)
class BERT4Rec(NextItemRecommender, TransformerShape):
    """Attention both ways over the latest items and a mask behind them, which it fills in.

    Args:
        mask_share: chance of each item to be masked, above 0 and below 1.
        last_share: share of the sequences in which the last item alone is masked, which is the
            question asked at test; the others have masks anywhere.

    The other arguments are those of ``TransformerShape`` (``ffn_size`` None is 4 d, as in BERT)
    and of ``NextItemRecommender``, some with defaults of their own: many epochs, a rate that falls
    to 0, and a random run of a long history each time (the authors' code slides a window over it).
    ``max_length`` counts the mask: ``max_length - 1`` items are read when the model is asked.
    """

    n_heads: int = 2
    window: Window = "random"
    epochs: int = 300
    lr_floor: float = 0.0
    patience: int | None = 40
    mask_share: float = 0.4
    last_share: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hidden_size = check_whole("hidden_size", self.hidden_size)
        if self.max_length < 2:
            raise ValueError(
                f"max_length must be at least 2, an item and the mask, got {self.max_length}"
            )
        check_in_range("last_share", self.last_share, 0, 1)
        if not 0 < self.mask_share < 1:
            raise ValueError(f"mask_share must be above 0 and below 1, got {self.mask_share!r}")
        self.config()  # refuses what does not fit, such as heads that do not divide the size

    def config(self) -> TransformerConfig:
        """Of the blocks."""
        return TransformerConfig(
            hidden_size=self.hidden_size,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            ffn_size=self.ffn_size,
            activation="gelu",
            dropout=self.dropout,
            norm_first=True,
        )

    def _build(self, n_items: int) -> BERT4RecNetwork:
        return BERT4RecNetwork(n_items, self.max_length, self.config())

    @property
    def _read_length(self) -> int:
        return self.max_length - 1

    def _batches(self, histories: Histories) -> MaskedBatches:
        return MaskedBatches(
            histories,
            mask_share=self.mask_share,
            last_share=self.last_share,
            batch_size=self.batch_size,
            max_length=self.max_length,
            window=self.window,
            negatives=self._draws(),
            shared=self.shared_negatives,
        )

    def _states(self, network: BERT4RecNetwork, batch: Batch) -> Tensor:
        states = network(batch["items"], Packing(batch["lengths"]))
        return network.head(states[batch["asked"]])
