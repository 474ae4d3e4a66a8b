"""DIN as a click model: training, prediction, saving and loading.

The network and its source are in ``din_network``, its input in ``din_input``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from m6rec_lite.ctr.base import ClickModel
from m6rec_lite.ctr.din_input import DINInput, Rows
from m6rec_lite.ctr.din_network import Batch, DINNetwork
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.evaluation.ctr import auc, log_loss
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.training import EarlyStopping, History
from m6rec_lite.training import fit as train_network

#: Prefix of the arrays of ``DINInput`` in a saved model.
_INPUT = "input/"


@dataclass(eq=False)
class DIN(ClickModel):
    """The deep interest network as a click model (see ``din_network`` for the source).

    The input has the id, domain, category, creator, price and tags of the items, and the feature
    groups ``user`` and ``context`` of ``known_at``.

    Args:
        max_length: maximum number of latest events to read.
        id_width: size of the embeddings of ids and tags.
        field_width: size of all other embeddings.
        activation_hidden: sizes of the hidden layers of the local activation unit.
        hidden: sizes of the hidden layers of the output network.
        activation: ``dice`` or ``prelu``.
        use_tags: use the tags of the items.
        use_gaps: use the kind and the age of the events, which the paper does not.
        statistics: groups of ``known_at`` whose numeric columns are used too, such as ``counts``
            and ``matches``; none in the paper.
        regularization: strength of the mini-batch aware penalty; 0.01 in the paper.
        dropout: dropout rate of the hidden layers, at least 0 and below 1.
        epochs: maximum number of passes over the rows; the embeddings of ids usually overfit after
            two or three.
        batch_size: rows per step.
        lr: learning rate of AdamW.
        weight_decay: weight decay of AdamW.
        patience: number of epochs without a better validation AUC after which training stops; the
            weights of the best epoch are kept.
        label: see ``ClickModel``.
        seed: seed of the initial weights, the order of the rows and dropout.
        device: ``cpu``, ``cuda``, ...; None selects the best available device.

    Attributes:
        history: training history of the last fit, one record per epoch.
    """

    max_length: int = 10
    id_width: int = 16
    field_width: int = 8
    activation_hidden: Sequence[int] = (36,)
    hidden: Sequence[int] = (64, 32)
    activation: Literal["dice", "prelu"] = "dice"
    use_tags: bool = True
    use_gaps: bool = True
    statistics: Sequence[str] = ()
    regularization: float = 0.0
    dropout: float = 0.2
    epochs: int = 3
    batch_size: int = 512
    lr: float = 2e-3
    weight_decay: float = 1e-4
    patience: int = 1
    label: str = "clicked"
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_length", "id_width", "field_width", "epochs", "batch_size"):
            setattr(self, name, check_whole(name, getattr(self, name)))
        self.activation_hidden = tuple(check_whole("a layer", n) for n in self.activation_hidden)
        self.hidden = tuple(check_whole("a layer", n) for n in self.hidden)
        self.statistics = tuple(self.statistics)
        if self.activation not in ("dice", "prelu"):
            raise ValueError(f"activation must be 'dice' or 'prelu', got {self.activation!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout!r}")
        check_in_range("lr", self.lr, 0, open_low=True)
        for name in ("regularization", "weight_decay", "patience"):
            check_in_range(name, getattr(self, name), 0)
        self.history = History()

    def _fit(
        self,
        rows: pd.DataFrame,
        labels: np.ndarray,
        dataset: Dataset,
        *,
        validation: tuple[pd.DataFrame, np.ndarray] | None = None,
        progress: bool = True,
        **extras: Any,
    ) -> None:
        reader = DINInput(self.max_length, self.use_tags, self.statistics)
        source = reader.fit_rows(rows, dataset, labels, self.batch_size)
        codes, tags = reader.catalogue(dataset)
        occurrences = [torch.from_numpy(counts) for counts in reader.occurrences_]
        mean = labels.mean()
        network = self._build(reader, float(np.log(mean / (1 - mean))))

        def loss(network: nn.Module, batch: Batch) -> torch.Tensor:
            assert isinstance(network, DINNetwork)
            device = batch["labels"].device
            items = codes.to(device)
            logits = network(batch, items, tags.to(device))
            value = F.binary_cross_entropy_with_logits(logits, batch["labels"])
            if self.regularization:
                counts = [each.to(device) for each in occurrences]
                penalty = network.batch_aware_penalty(batch, items, counts)
                value = value + self.regularization * penalty
            return value

        validate, callbacks = None, []
        if validation is not None:
            queries, truth = reader.rows(validation[0], dataset), validation[1]

            def validate(network: nn.Module) -> dict[str, float]:
                probability = self._probabilities(network, queries, codes, tags)
                return {"auc": auc(truth, probability), "log_loss": log_loss(truth, probability)}

            callbacks = [EarlyStopping("auc", mode="max", patience=self.patience)]
        self.history = train_network(
            network,
            source,
            loss,
            optimizer=torch.optim.AdamW(
                network.parameters(), lr=self.lr, weight_decay=self.weight_decay, fused=True
            ),
            epochs=self.epochs,
            validate=validate,
            callbacks=callbacks,
            weigh=lambda batch: len(batch["labels"]),
            device=self.device,
            seed=self.seed,
            progress=progress,
        )
        self.input_, self.network_ = reader, network

    def _build(self, reader: DINInput, log_odds: float = 0.0) -> DINNetwork:
        """Return a network with initial weights drawn with the seed."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return DINNetwork(
                reader.sizes(self.id_width, self.field_width, log_odds),
                self.activation_hidden,
                self.hidden,
                self.activation,
                self.dropout,
                self.use_gaps,
            )

    def _predict(self, rows: pd.DataFrame, dataset: Dataset) -> np.ndarray:
        reader = self.input_
        queries = reader.rows(rows, dataset)
        return self._probabilities(self.network_, queries, *reader.catalogue(dataset))

    @torch.no_grad()
    def _probabilities(
        self, network: nn.Module, rows: Rows, codes: torch.Tensor, tags: torch.Tensor
    ) -> np.ndarray:
        device = next(network.parameters()).device
        codes, tags = codes.to(device), tags.to(device)
        logits = []
        for start in range(0, len(rows), 4096):
            batch = rows.batch(np.arange(start, min(start + 4096, len(rows))))
            batch = {key: value.to(device) for key, value in batch.items()}
            logits.append(network(batch, codes, tags).double().cpu())
        return torch.sigmoid(torch.cat(logits)).numpy()

    @property
    def n_params(self) -> int:
        """Number of weights of the network."""
        self._require_fitted()
        return sum(weight.numel() for weight in self.network_.parameters())

    def _state(self) -> dict[str, Any]:
        weights = {key: value.cpu().numpy() for key, value in self.network_.state_dict().items()}
        inputs = {_INPUT + key: value for key, value in self.input_._state().items()}
        return inputs | {"network": weights}

    def _restore(self, state: dict[str, Any]) -> None:
        inputs = {k.removeprefix(_INPUT): v for k, v in state.items() if k.startswith(_INPUT)}
        self.input_ = DINInput(self.max_length, self.use_tags, self.statistics)
        self.input_._restore(inputs)
        self.network_ = self._build(self.input_)
        weights = {key: torch.from_numpy(value) for key, value in state["network"].items()}
        try:
            self.network_.load_state_dict(weights)
        except RuntimeError as error:
            raise DataError(f"the saved weights do not fit the saved settings: {error}") from error
        self.network_.eval()
