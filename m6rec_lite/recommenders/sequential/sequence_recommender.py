"""Base class of sequential recommenders: training, early stopping, saving and loading."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch import Tensor

from m6rec_lite.data.holdout import Holdout
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.nn.schedules import cosine
from m6rec_lite.recommenders.base import Recommender, check_interactions
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sequential.next_item_network import ScoringNetwork, validator
from m6rec_lite.recommenders.sequential.sequences import Batch, Window, n_targets
from m6rec_lite.training import Averaging, Callback, EarlyStopping, History
from m6rec_lite.training import fit as train_network


@dataclass(eq=False, repr=False)
class SequenceRecommender(Recommender):
    """Base of recommenders that train a network on sequences of items.

    A subclass implements ``_build`` (the network), ``_batches`` (the training batches) and
    ``_loss``. A dataclass with the shape of the network comes after this class among its bases, so
    that the arguments of the shape come first in the signature.

    Args:
        max_length: maximum number of latest items of a history to read.
        dropout: dropout rate, at least 0 and below 1.
        window: part of a history longer than ``max_length`` to train on: the ``latest`` items, or a
            ``random`` window in each epoch.
        epochs: maximum number of passes over the training sequences.
        batch_size: users per step.
        lr: learning rate of AdamW.
        lr_floor: fraction of the learning rate at the end of a cosine schedule; 1 keeps it
            constant.
        weight_decay: weight decay of AdamW.
        averaging: decay of an exponential moving average of the weights, which is validated and
            kept (see ``training.Averaging``); 0 uses the weights themselves.
        patience: number of epochs without a better validation NDCG@10 after which training stops;
            the weights of the best epoch are kept. None never stops and keeps the last weights.
        mask_history: leave the items that the network has read, except the target, out of the
            training softmax, since they are not recommended either. Losses with sampled negatives
            do not use it. Set it to False where users consume items again and items of the history
            are ranked too (``filter_viewed=False``); ``fit`` warns if rows repeat an item.
        seed: seed of the initial weights, the order of the users, dropout and the negatives.
        device: ``cpu``, ``cuda``, ...; None selects the best available device.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``auto``, see ``training.make_accelerator``.
    """

    max_length: int = 200
    dropout: float = 0.2
    window: Window = "latest"
    epochs: int = 100
    batch_size: int = 128
    lr: float = 1e-3
    lr_floor: float = 1.0
    weight_decay: float = 0.0
    averaging: float = 0.0
    patience: int | None = 10
    mask_history: bool = True
    seed: int = 0
    device: str | None = None
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.window not in ("latest", "random"):
            raise ValueError(f"window must be 'latest' or 'random', got {self.window!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout!r}")
        check_in_range("lr", self.lr, 0, open_low=True)
        check_in_range("lr_floor", self.lr_floor, 0, 1)
        check_in_range("weight_decay", self.weight_decay, 0)
        if self.averaging:
            Averaging(self.averaging)  # checks the range
        for name in ("max_length", "epochs", "batch_size"):
            setattr(self, name, check_whole(name, getattr(self, name)))
        if self.patience is not None:
            self.patience = check_whole("patience", self.patience)
        self._extras: dict[str, Any] = {}

    @property
    def _masks_history(self) -> bool:
        """Whether training leaves the items of the history out of the softmax."""
        return self.mask_history

    @property
    def _read_length(self) -> int:
        """Maximum number of latest items of a history to read for scoring."""
        return self.max_length

    @abstractmethod
    def _build(self, n_items: int) -> ScoringNetwork:
        """Return a network with initial weights from torch's random generator."""

    def fit(
        self,
        train: Interactions,
        *,
        validation: Holdout | None = None,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ) -> Self:
        """Train the network; ``train.item_ids`` become the catalogue.

        Args:
            train: training rows.
            validation: validation set for early stopping by NDCG@10.
            items: table of items with ``item_id`` and texts, used by some models.
            users: table of users with ``user_id``, used by some models.
            checkpoint: folder of checkpoints; an interrupted fit, or one of fewer epochs, goes on
                from the last checkpoint.
            callbacks: additional callbacks of ``training.fit``, such as a live plot.
            progress: show a progress bar.

        Returns:
            The model itself.

        Raises:
            DataError: see ``Recommender.fit``.
            CheckpointError: if the checkpoint has other settings or other data.
        """
        self._extras = {"checkpoint": checkpoint, "callbacks": tuple(callbacks)}
        try:
            return super().fit(
                train, validation=validation, items=items, users=users, progress=progress
            )
        finally:
            self._extras = {}

    def _fit(
        self,
        train: Interactions,
        *,
        validation: Holdout | None = None,
        progress: bool = True,
        **extras: Any,
    ) -> None:
        if self._masks_history and (repeats := len(train) - train.matrix().nnz):
            warnings.warn(
                f"{repeats:,} of {len(train):,} training rows repeat an item of the same user. "
                "Training leaves the items of the history out of the softmax: pass "
                "mask_history=False if items of the history are to be recommended again",
                stacklevel=3,
            )
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self._network = self._build(train.n_items)
            self.history = History()
            batches = self._batches(train.histories())
            self._trained = len(batches) > 0  # else no user has two items, and popularity is used
            if self._trained:
                self._train(batches, train, validation, progress)

    def adapt(
        self,
        rows: Interactions,
        *,
        validation: Holdout | None = None,
        epochs: int | None = None,
        lr: float | None = None,
        progress: bool = True,
    ) -> Self:
        """Continue training on further rows, in place; ``history`` becomes that of these epochs.

        Args:
            rows: rows with the catalogue of the model; the users may be new.
            validation: validation set for early stopping, as in ``fit``.
            epochs: maximum number of passes over the rows; None is the value of ``fit``.
            lr: learning rate; None is the value of ``fit``.
            progress: show a progress bar.

        Returns:
            The model itself.

        Raises:
            NotFittedError: before ``fit``.
            DataError: if the rows have another catalogue, or no user has two rows.
        """
        self._require_fitted()
        check_interactions(rows, "adapt(rows)")
        self._require_same_catalogue(rows.item_ids)
        adapted = replace(  # a copy, which checks the changed arguments
            self,
            epochs=self.epochs if epochs is None else epochs,
            lr=self.lr if lr is None else lr,
        )
        batches = self._batches(rows.histories())
        if not len(batches):
            raise DataError(
                f"none of the {rows.n_users} users of these rows has two items, so there is "
                "no target: give each user's earlier rows too"
            )
        adapted._network = self._network
        self._network.train()
        adapted._train(batches, rows, validation, progress)
        self._network.eval()
        self.history, self._trained = adapted.history, True
        counts = np.bincount(rows.matrix().indices, minlength=rows.n_items)
        self.popularity_ = self.popularity_ + counts
        return self

    @abstractmethod
    def _batches(self, histories: Histories) -> Any:
        """Return the training batches; ``len`` is the number of histories with a target."""

    @abstractmethod
    def _loss(self, network: Any, batch: Batch) -> Tensor:
        """Compute the mean loss over the targets of a batch; ``network`` is that of ``_build``."""

    def _train(
        self,
        batches: Any,
        train: Interactions,
        validation: Holdout | None,
        progress: bool,
    ) -> None:
        callbacks: list[Callback] = [Averaging(self.averaging)] if self.averaging else []
        callbacks += self._extras.get("callbacks", ())
        validate = None
        if validation is not None:
            validate = validator(train, validation, self._read_length, progress)
            if self.patience is not None:
                callbacks.append(EarlyStopping("ndcg@10", mode="max", patience=self.patience))
        settings = self.get_params(deep=False)
        del settings["epochs"]  # a checkpoint of fewer epochs goes on
        optimizer = torch.optim.AdamW(
            self._network.parameters(),
            lr=self.lr,
            betas=(0.9, 0.98),
            weight_decay=self.weight_decay,
            fused=True,
        )
        self.history = train_network(
            self._network,
            batches,
            self._loss,
            optimizer=optimizer,
            schedule=cosine(self.epochs * len(batches.epoch(self.seed, 0)), self.lr_floor),
            epochs=self.epochs,
            validate=validate,
            callbacks=callbacks,
            checkpoint=self._extras.get("checkpoint"),
            weigh=n_targets,
            precision=self.precision,
            device=self.device,
            seed=self.seed,
            config={"class": self.name, **settings},
            progress=progress,
        )

    def _score(self, histories: Histories) -> np.ndarray:
        if not self._trained:
            return np.zeros((len(histories), histories.n_items), dtype=np.float32)
        return self._network.score(histories, self._read_length)

    def _similarity(self, index: int) -> np.ndarray:
        """Return P(item | index) + P(index | item), each after a history of one item.

        The similarity of the embeddings is less useful: they serve as input and as output, and
        substitutes that rarely follow each other need not have similar embeddings.
        """
        item_ids = self._fitted_item_ids
        n = len(item_ids)
        before, after = np.empty(n), np.empty(n)
        for start in range(0, n, 1024):
            batch = range(start, min(start + 1024, n))
            histories = Histories.from_lists(
                [[item_ids[i]] for i in batch],
                item_ids,
                user_ids=[-1] * len(batch),  # no user of a table, for models that read attributes
            )
            probabilities = softmax(self._score(histories).astype(np.float64), axis=1)
            before[batch] = probabilities[:, index]
            if index in batch:
                after = probabilities[index - start]
        return after + before

    def _count_params(self) -> int:
        return sum(weight.numel() for weight in self._network.parameters())

    def _state(self) -> dict[str, Any]:
        weights = {key: value.cpu().numpy() for key, value in self._network.state_dict().items()}
        arrays = {"popularity_": self.popularity_, "trained": np.array(self._trained)}
        return {"item_ids": self.item_ids} | arrays | {"network": weights}

    @classmethod
    def _from_saved(cls, settings: dict[str, Any], state: dict[str, Any], path: Path) -> Self:
        weights = {k: torch.from_numpy(v) for k, v in state.get("network", {}).items()}
        arrays: dict[str, Any] = {k: state[k] for k in ("item_ids", "popularity_") if k in state}
        model = super()._from_saved(settings, arrays, path)
        model._trained = bool(state.get("trained", True))
        model._read_shape(state, weights, path)
        with torch.random.fork_rng():
            model._network = model._build(len(model._fitted_item_ids))
        try:
            model._network.load_state_dict(weights)
        except RuntimeError as error:
            raise DataError(f"{path}: the weights do not fit the settings: {error}") from error
        model._network.eval()
        model.history = History()
        return model

    def _read_shape(self, state: dict[str, Any], weights: dict[str, Tensor], path: Path) -> None:
        """Read from a saved state what ``_build`` needs in addition to the settings."""
