"""BERT4Rec: a bidirectional Transformer that is trained to predict masked items.

To recommend, a mask is appended to the history, and the model predicts the masked item. Source: Sun
et al., *BERT4Rec: sequential recommendation with bidirectional encoder representations from
Transformer*, 2019. The published results were often not reproduced. Petrov and Macdonald (*A
systematic review and replicability study of BERT4Rec*, 2022) attribute this to training: the model
needs many more epochs than the defaults of the original code, since an epoch predicts about a fifth
of the items, where SASRec predicts all. Klenitskiy and Vasilev (*Turning dross into gold loss*,
2023) attribute its advantage over SASRec to the loss: cross-entropy over the whole catalogue, which
both models use here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.data.interactions import Histories
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.excluded import Excluded
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import LearnedPositions
from m6rec_lite.nn.transformer import Transformer, TransformerConfig
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sequential.next_item import NextItemRecommender
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork
from m6rec_lite.recommenders.sequential.sasrec import TransformerShape
from m6rec_lite.recommenders.sequential.sequences import Batch, MaskedBatches, Window


class BERT4RecNetwork(NextItemNetwork):
    """The network of BERT4Rec: embeddings, bidirectional blocks, and a head for masked items.

    The mask has an input embedding but no output embedding, so it is never predicted. Positions
    count from the end: position 0 is the last token, which is the mask when the model recommends.
    The layer norms are before each sublayer, not after it as in the paper: no warm-up is needed.

    Args:
        n_items: size of the catalogue; the mask is the token ``n_items``.
        max_length: number of positions.
        config: configuration of the Transformer.
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
                # BERT's standard deviation of 0.02 is for a width of 768. With a width of 64 it
                # slows down the start of training: a mask gets its information from attention only.
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)

    def forward(self, items: Tensor, packing: Packing) -> Tensor:
        """Map ``(tokens,)`` items to ``(tokens, hidden_size)`` states, with full attention."""
        table = torch.cat([self.items.weight, self.mask[None]])
        x = F.embedding(items, table) + self.positions(packing.steps_back)
        return self.transformer(self.dropout(self.norm(x)), packing=packing)

    def head(self, states: Tensor) -> Tensor:
        """Map ``(n, hidden_size)`` states of masks to vectors that are compared with the items."""
        return self.turn_norm(F.gelu(self.turn(states)))

    def predict_state(self, items: Tensor, packing: Packing) -> Tensor:
        """Return ``(rows, hidden_size)`` states of a mask appended to each row."""
        longer = Packing(packing.lengths + 1)
        ends = longer.ends
        is_item = torch.ones(len(items) + len(ends), dtype=torch.bool, device=items.device)
        is_item[ends] = False
        masked = items.new_full(is_item.shape, len(self.items.weight))
        masked[is_item] = items
        return self.head(self(masked, longer)[ends])

    @property
    def output_bias(self) -> Tensor:
        """``(n_items,)`` bias of the scores."""
        return self.bias


@dataclass(eq=False, repr=False)
class BERT4Rec(NextItemRecommender, TransformerShape):
    """Predict the next item with a bidirectional Transformer over the latest items and a mask.

    Args:
        mask_share: probability of each item to be masked, above 0 and below 1.
        last_share: share of the sequences in which only the last item is masked, as when the model
            recommends; the other sequences have masks at random positions.

    The other arguments are those of ``TransformerShape`` (``ffn_size=None`` is ``4 * hidden_size``,
    as in BERT) and of ``NextItemRecommender``. Some defaults differ: more epochs, a learning rate
    that decays to 0, and a random window of a long history in each epoch (the authors' code uses
    sliding windows). ``max_length`` includes the mask: ``max_length - 1`` items are read to
    recommend.
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
        self.config()  # checks the arguments, such as heads that do not divide the size

    def config(self) -> TransformerConfig:
        """Return the configuration of the Transformer."""
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

    def _states(self, network: NextItemNetwork, batch: Batch) -> Tensor:
        assert isinstance(network, BERT4RecNetwork)
        states = network(batch["items"], Packing(batch["lengths"]))
        return network.head(states[batch["target_indices"]])

    def _history(self, batch: Batch) -> Excluded:
        """Return for each mask the items of its row that are not masked."""
        packing, masked = Packing(batch["lengths"]), batch["target_indices"]
        items = batch["items"].clone()
        items[masked] = -1
        lengths = packing.lengths.repeat_interleave(packing.lengths)
        return Excluded(items, packing.starts[masked], lengths[masked])
