"""What recommenders that foresee the next item by a network share: fit, stop, score, keep.

A subclass gives the network. It reads packed sequences of items and gives a state for each: what
is known after that item. Items are scored by the product of a state with their embedding.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor, nn

from m6rec_lite.data.interactions import Histories, Holdout, Interactions, Split
from m6rec_lite.data.tables import DataError
from m6rec_lite.evaluation.questions import Questions
from m6rec_lite.evaluation.ranking import Places, hr, ndcg
from m6rec_lite.nn import losses
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.schedules import cosine
from m6rec_lite.recommenders.base import Recommender, check_in_range, check_whole
from m6rec_lite.recommenders.negatives import Negatives
from m6rec_lite.recommenders.sequences import Batch, NextItemBatches, Window, n_targets, questions
from m6rec_lite.training import Callback, EarlyStopping, History
from m6rec_lite.training import fit as train_network

#: What may be minimised; see ``nn.losses``.
LossName = Literal["ce", "sampled", "gbce", "bce", "bpr-max", "top1-max"]
LOSSES: tuple[LossName, ...] = ("ce", "sampled", "gbce", "bce", "bpr-max", "top1-max")

#: In a saved model the network's weights are named so.
_WEIGHTS = "network/"


class NextItemNetwork(nn.Module):
    """Item embeddings that are read and scored alike, and whatever lies between.

    Args:
        n_items: size of the catalogue.
        hidden_size: length of the embeddings.
    """

    def __init__(self, n_items: int, hidden_size: int) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items, hidden_size)
        nn.init.normal_(self.items.weight, std=0.02)

    def forward(self, items: Tensor, packing: Packing) -> Tensor:
        """States after each token: ``(tokens,)`` places of items to ``(tokens, hidden_size)``."""
        raise NotImplementedError

    @property
    def output_bias(self) -> Tensor | None:
        """``(n_items,)`` added to the scores; None for none."""
        return None


class NextItemRecommender(Recommender):
    """Base of GRU4Rec and SASRec; they share these arguments.

    Args:
        hidden_size: of embeddings and states.
        max_length: the latest items of a history that are read.
        dropout: share of what is set to 0 while training.
        loss: ``ce`` (cross-entropy over the whole catalogue), or with negatives ``sampled``
            (softmax), ``gbce``, ``bce``, ``bpr-max``, ``top1-max``: see ``nn.losses``.
        negatives: items drawn for each comparison; ``ce`` draws none.
        shared_negatives: draw once for all tokens of a batch (much faster), or for each.
        popularity_power: negatives come by the power of their popularity: 0 evenly, 1 as in the
            data.
        calibration: t of ``gbce``, from 0 to 1.
        window: of histories longer than ``max_length``, learn from the ``latest`` items or from a
            ``random`` run of them each epoch.
        epochs: passes over the training sequences, at most.
        batch_size: users a step.
        lr: learning rate of AdamW.
        lr_floor: share of it that is left at the last epoch, by half a cosine; 1 keeps it constant.
        weight_decay: of AdamW.
        patience: with validation questions, stop after so many epochs without a better NDCG@10;
            the best epoch's weights are kept. None: never stop, keep the last weights.
        seed: of the weights at the start, the order, dropout and negatives.
        device: ``cpu``, ``cuda``, ...; None takes the best there is.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``auto``: see ``training.make_accelerator``.
    """

    def __init__(
        self,
        hidden_size: int = 64,
        max_length: int = 200,
        dropout: float = 0.2,
        loss: LossName = "ce",
        negatives: int = 256,
        shared_negatives: bool = True,
        popularity_power: float = 0.0,
        calibration: float = 0.75,
        window: Window = "latest",
        epochs: int = 100,
        batch_size: int = 128,
        lr: float = 1e-3,
        lr_floor: float = 1.0,
        weight_decay: float = 0.0,
        patience: int | None = 10,
        seed: int = 0,
        device: str | None = None,
        precision: str = "auto",
    ) -> None:
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
        if window not in ("latest", "random"):
            raise ValueError(f"window must be 'latest' or 'random', got {window!r}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout!r}")
        check_in_range("popularity_power", popularity_power, 0)
        check_in_range("calibration", calibration, 0, 1)
        check_in_range("lr", lr, 0, open_low=True)
        check_in_range("lr_floor", lr_floor, 0, 1)
        check_in_range("weight_decay", weight_decay, 0)
        self.hidden_size = check_whole("hidden_size", hidden_size)
        self.max_length = check_whole("max_length", max_length)
        self.negatives = check_whole("negatives", negatives)
        self.epochs = check_whole("epochs", epochs)
        self.batch_size = check_whole("batch_size", batch_size)
        self.patience = None if patience is None else check_whole("patience", patience)
        self.dropout = dropout
        self.loss = loss
        self.shared_negatives = shared_negatives
        self.popularity_power = popularity_power
        self.calibration = calibration
        self.window = window
        self.lr = lr
        self.lr_floor = lr_floor
        self.weight_decay = weight_decay
        self.seed = seed
        self.device = device
        self.precision = precision
        self._extras: dict[str, Any] = {}

    @abstractmethod
    def _build(self, n_items: int) -> NextItemNetwork:
        """A network with fresh weights, drawn from torch's generator."""

    def fit(
        self,
        train: Interactions,
        *,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        **options: Any,
    ) -> Self:
        """Learn as every recommender does; see ``Recommender.fit`` for the other options.

        Args:
            train: the rows to learn from.
            checkpoint: folder for checkpoints: a fit that was cut off goes on from the last.
            callbacks: further ones for ``training.fit``, such as a live plot.
            options: ``validation``, ``items``, ``users``, ``progress``.
        """
        self._extras = {"checkpoint": checkpoint, "callbacks": tuple(callbacks)}
        try:
            return super().fit(train, **options)
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
            draws = None
            if self.loss != "ce":
                draws = Negatives(self.popularity_, self.negatives, self.popularity_power)
            batches = self._batches(train.histories(), draws)
            self._trained = len(batches) > 0  # else no user has two items: popularity answers
            if self._trained:
                self._train(batches, train, validation, progress)

    def _batches(self, histories: Histories, negatives: Negatives | None) -> Any:
        """What is trained on: it says by ``len`` how many histories teach something."""
        return NextItemBatches(
            histories,
            batch_size=self.batch_size,
            max_length=self.max_length,
            window=self.window,
            negatives=negatives,
            shared=self.shared_negatives,
        )

    def _train(
        self,
        batches: Any,
        train: Interactions,
        validation: Holdout | None,
        progress: bool,
    ) -> None:
        callbacks = list(self._extras.get("callbacks", ()))
        validate = None
        if validation is not None:
            validate = self._validator(train, validation)
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
            config={"class": self.name, **self.get_params()},
            progress=progress,
        )

    def _states(self, network: NextItemNetwork, batch: Batch) -> Tensor:
        """``(tokens, hidden_size)``: the states from which the batch's targets are foreseen."""
        return network(batch["items"], Packing(batch["lengths"]))

    def _loss(self, network: NextItemNetwork, batch: Batch) -> Tensor:
        """The mean loss over the batch's tokens."""
        states = self._states(network, batch)
        weight, bias, targets = network.items.weight, network.output_bias, batch["targets"]
        if self.loss == "ce":
            return losses.linear_cross_entropy(states, weight, targets, bias=bias)
        drawn = batch["negatives"]
        right, wrong = losses.pair_scores(states, weight, targets, drawn, bias=bias)
        if self.loss == "sampled":
            return losses.sampled_softmax(right, wrong, batch["log_expected"])
        if self.loss == "gbce":
            return losses.gbce(right, wrong, n_items=len(weight), t=self.calibration)
        return {"bce": losses.bce, "bpr-max": losses.bpr_max, "top1-max": losses.top1_max}[
            self.loss
        ](right, wrong)

    def _validator(
        self, train: Interactions, validation: Holdout
    ) -> Callable[[nn.Module], Mapping[str, float]]:
        """HR@10 and NDCG@10 on the validation questions, by the rules of ``evaluate``."""
        asked = Questions(Split("validation", "", train, validation, validation), "validation")

        def validate(network: nn.Module) -> dict[str, float]:
            found: list[tuple[np.ndarray, np.ndarray]] = []
            for start in range(0, len(asked), 2048):
                batch = asked.batch(start, min(start + 2048, len(asked)))
                scores = self._ask(network, batch.histories)
                scores[batch.out] = -np.inf
                places = Places.from_scores(scores, batch.rows, batch.targets)
                found.append((hr(places, 10), ndcg(places, 10)))
            hits, gains = (np.concatenate(parts) for parts in zip(*found, strict=True))
            return {"hr@10": float(hits.mean()), "ndcg@10": float(gains.mean())}

        return validate

    def _score(self, histories: Histories) -> np.ndarray:
        if not self._trained:
            return np.zeros((len(histories), histories.n_items), dtype=np.float32)
        return self._ask(self._network, histories)

    @torch.no_grad()
    def _ask(self, network: NextItemNetwork, histories: Histories) -> np.ndarray:
        """``(n, n_items)`` float32; rows without a history are 0."""
        weight, bias = network.items.weight, network.output_bias
        scores = np.zeros((len(histories), histories.n_items), dtype=np.float32)
        for rows, batch in questions(histories, self.max_length):
            packing = Packing(batch["lengths"].to(weight.device))
            states = network(batch["items"].to(weight.device), packing)[packing.ends]
            found = states @ weight.t() if bias is None else states @ weight.t() + bias
            scores[rows] = found.float().cpu().numpy()
        return scores

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
        weights = {
            _WEIGHTS + key.replace(".", "/"): value.detach().cpu().numpy()
            for key, value in self._network.state_dict().items()
        }
        kept = {"popularity_": self.popularity_, "trained": np.array(self._trained)}
        return {"item_ids": self.item_ids} | kept | weights

    @classmethod
    def _from_saved(cls, settings: dict[str, Any], state: dict[str, Any], path: Path) -> Self:
        given = {
            key.removeprefix(_WEIGHTS).replace("/", "."): torch.from_numpy(value)
            for key, value in state.items()
            if key.startswith(_WEIGHTS)
        }
        rest = {key: state[key] for key in ("item_ids", "popularity_") if key in state}
        model = super()._from_saved(settings, rest, path)
        model._trained = bool(state.get("trained", True))
        with torch.random.fork_rng():
            model._network = model._build(len(model.item_ids))
        try:
            model._network.load_state_dict(given)
        except RuntimeError as error:
            raise DataError(f"{path / 'arrays.npz'} does not fit its settings: {error}") from error
        model._network.eval()
        model.history = History()
        return model
