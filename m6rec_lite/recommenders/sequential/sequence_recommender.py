"""The training half of recommenders with a network: settings, fit, early stopping, save, load.

A subclass gives the network (``next_item_network``), its batches and its loss.
"""

from __future__ import annotations

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
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork, validator
from m6rec_lite.recommenders.sequential.sequences import Batch, Window, n_targets
from m6rec_lite.training import Averaging, Callback, EarlyStopping, History
from m6rec_lite.training import fit as train_network


@dataclass(eq=False, repr=False)
class SequenceRecommender(Recommender):
    """Base of recommenders that train a network on histories as sequences of items.

    A subclass writes ``_build`` (the network), ``_batches`` (what it is trained on) and ``_loss``.
    The arguments of its network's shape come from a dataclass named after this one among its
    bases, so that they come first in its signature.

    Args:
        max_length: the latest items of a history that are read.
        dropout: share of what is set to 0 while training.
        window: of histories longer than ``max_length``, learn from the ``latest`` items or from a
            ``random`` run of them each epoch.
        epochs: passes over the training sequences, at most.
        batch_size: users a step.
        lr: learning rate of AdamW.
        lr_floor: share of it that is left at the last epoch, by half a cosine; 1 keeps it constant.
        weight_decay: of AdamW.
        averaging: judge and keep the average of the weights, each step's share in it fading by
            this factor a step (``training.Averaging``); 0 takes the weights themselves.
        patience: with validation questions, stop after so many epochs without a better NDCG@10;
            the best epoch's weights are kept. None: never stop, keep the last weights.
        seed: of the weights at the start, the order, dropout and negatives.
        device: ``cpu``, ``cuda``, ...; None takes the best there is.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``auto``: see ``training.make_accelerator``.
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
            Averaging(self.averaging)  # refuses what is out of range
        for name in ("max_length", "epochs", "batch_size"):
            setattr(self, name, check_whole(name, getattr(self, name)))
        if self.patience is not None:
            self.patience = check_whole("patience", self.patience)
        self._extras: dict[str, Any] = {}

    @property
    def _read_length(self) -> int:
        """The latest items of a history that are read when the model is asked."""
        return self.max_length

    @abstractmethod
    def _build(self, n_items: int) -> NextItemNetwork:
        """A network with fresh weights, drawn from torch's generator."""

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
            train: the rows to learn from.
            validation: questions whose NDCG@10 decides when to stop, and which epoch is kept.
            items: table of items with ``item_id`` and texts, for the models that read them.
            users: table of users with ``user_id``, for the models that read it.
            checkpoint: folder for checkpoints: a fit that was interrupted goes on from the last.
            callbacks: further ones for ``training.fit``, such as a live plot.
            progress: show a progress bar.

        Returns:
            The model itself.

        Raises:
            DataError: as ``Recommender.fit``.
            CheckpointError: if the checkpoint is of other settings or other data.
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
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self._network = self._build(train.n_items)
            self.history = History()
            batches = self._batches(train.histories())
            self._trained = len(batches) > 0  # else no user has two items: popularity answers
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
        """Go on learning from further rows, in place; what was learnt before is the beginning.

        The weights of the network move on; ``history`` is that of these epochs.

        Args:
            rows: of the catalogue that the model was fitted on; their users may be new.
            validation: questions to stop on, as in ``fit``; the best of these epochs is kept.
            epochs: passes over the rows, at most; None is as many as ``fit`` makes.
            lr: learning rate; None is that of ``fit``.
            progress: show a bar.

        Raises:
            NotFittedError: before ``fit``.
            DataError: if the rows are of another catalogue, or teach nothing because no user has
                two of them.
        """
        self._require_fitted()
        check_interactions(rows, "adapt(rows)")
        self._require_same_catalogue(rows.item_ids)
        changes = {"epochs": epochs, "lr": lr}
        changes = {key: value for key, value in changes.items() if value is not None}
        one_off = replace(self, **changes)  # checks them, and leaves this model's settings alone
        batches = self._batches(rows.histories())
        if not len(batches):
            raise DataError(
                f"none of the {rows.n_users} users of these rows has two items, so there is "
                "no target: give each user's earlier rows too"
            )
        one_off._network = self._network
        self._network.train()
        one_off._train(batches, rows, validation, progress)
        self._network.eval()
        self.history, self._trained = one_off.history, True
        seen = np.bincount(rows.matrix().indices, minlength=rows.n_items)
        self.popularity_ = self.popularity_ + seen
        return self

    @abstractmethod
    def _batches(self, histories: Histories) -> Any:
        """Training batches; ``len`` says how many histories have a target to learn from."""

    @abstractmethod
    def _loss(self, network: NextItemNetwork, batch: Batch) -> Tensor:
        """The mean loss over the targets of a batch."""

    def _train(
        self,
        batches: Any,
        train: Interactions,
        validation: Holdout | None,
        progress: bool,
    ) -> None:
        callbacks = [Averaging(self.averaging)] if self.averaging else []
        callbacks += self._extras.get("callbacks", ())
        validate = None
        if validation is not None:
            validate = validator(train, validation, self._read_length)
            if self.patience is not None:
                callbacks.append(EarlyStopping("ndcg@10", mode="max", patience=self.patience))
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
            config={"class": self.name, **self.get_params(deep=False)},
            progress=progress,
        )

    def _score(self, histories: Histories) -> np.ndarray:
        if not self._trained:
            return np.zeros((len(histories), histories.n_items), dtype=np.float32)
        return self._network.score(histories, self._read_length)

    def _similarity(self, place: int) -> np.ndarray:
        """Chance that one of two items comes right after the other alone, both ways added.

        Embeddings do not say as much: they are read and scored with at once, and two items that
        stand for each other, and so never follow each other, need not lie close.
        """
        n = len(self.item_ids)
        before = np.empty(n)
        for start in range(0, n, 1024):
            some = range(start, min(start + 1024, n))
            alone = Histories.from_lists([[self.item_ids[i]] for i in some], self.item_ids)
            chances = softmax(self._score(alone).astype(np.float64), axis=1)
            before[some] = chances[:, place]
            if place in some:
                after = chances[place - start]
        return after + before

    def _count_params(self) -> int:
        return sum(weight.numel() for weight in self._network.parameters())

    def _state(self) -> dict[str, Any]:
        weights = {key: value.cpu().numpy() for key, value in self._network.state_dict().items()}
        kept = {"popularity_": self.popularity_, "trained": np.array(self._trained)}
        return {"item_ids": self.item_ids} | kept | {"network": weights}

    @classmethod
    def _from_saved(cls, settings: dict[str, Any], state: dict[str, Any], path: Path) -> Self:
        weights = {k: torch.from_numpy(v) for k, v in state.get("network", {}).items()}
        rest = {key: state[key] for key in ("item_ids", "popularity_") if key in state}
        model = super()._from_saved(settings, rest, path)
        model._trained = bool(state.get("trained", True))
        model._read_shape(state, weights, path)
        with torch.random.fork_rng():
            model._network = model._build(len(model.item_ids))
        try:
            model._network.load_state_dict(weights)
        except RuntimeError as error:
            raise DataError(f"{path}: the weights do not fit the settings: {error}") from error
        model._network.eval()
        model.history = History()
        return model

    def _read_shape(self, state: dict[str, Any], weights: dict[str, Tensor], path: Path) -> None:
        """Take from a saved state what ``_build`` needs beside the settings."""
