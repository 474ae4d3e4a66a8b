"""M6-Rec's scoring task as a click model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import tokenizers
import torch

from m6rec_lite.ctr.base import ClickModel
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.evaluation.ctr import auc, log_loss
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.config import M6RecConfig
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.joint import Weights, train_jointly
from m6rec_lite.m6rec.tasks.multitask import MultiTaskModel
from m6rec_lite.m6rec.tasks.scoring import FEATURE_GROUPS, Scoring
from m6rec_lite.m6rec.tasks.task import Examples, TaskBatches
from m6rec_lite.m6rec.tasks.verbalizer import StatisticsVerbalizer
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.training import Averaging, Callback, EarlyStopping, History


@dataclass(eq=False)
class M6RecCTR(ClickModel):
    """Predict the probability of a click from text.

    Args:
        model: folder of a pretrained model and its tokenizer; None for a new model of ``size`` and
            a tokenizer trained on the dataset's texts.
        size: of a new model, see ``m6rec.config.shape_of``.
        vocab_size: of a new tokenizer.
        feature_groups: groups of phrases about the item, see ``tasks.scoring``.
        events: the latest events of the user that are described; 0 for none.
        max_tokens: of a row; the oldest events are left out.
        negatives: rows without the label to sample for each row with it; None keeps all.
        epochs: maximum number of passes over the rows.
        tokens: of a batch.
        lr: maximum learning rate.
        dropout: in training.
        weight_decay: of matrices.
        averaging: decay of the exponential moving average of the weights that is validated and
            kept (``training.Averaging``); 0 for no averaging.
        patience: with validation rows, stop after this many epochs without a better AUC, and keep
            the best epoch's weights.
        rounds: validations an epoch.
        label: see ``ClickModel``.
        seed: of new weights, the order of rows and their sampling.
        device: ``cpu``, ``cuda``, …; None takes the best available.

    Attributes:
        history: of the last fit.
    """

    model: str | None = None
    size: str = "nano"
    vocab_size: int = 2048
    feature_groups: Sequence[str] = FEATURE_GROUPS
    events: int = 3
    max_tokens: int = 256
    negatives: float | None = 8.0
    epochs: int = 2
    tokens: int = 8192
    lr: float = 2e-3
    dropout: float = 0.1
    weight_decay: float = 0.01
    averaging: float = 0.0
    patience: int = 2
    rounds: int = 1
    label: str = "clicked"
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        for name in ("vocab_size", "epochs", "tokens", "rounds", "max_tokens"):
            setattr(self, name, check_whole(name, getattr(self, name)))
        self.feature_groups = tuple(self.feature_groups)
        if self.negatives is not None:
            check_in_range("negatives", self.negatives, 0, open_low=True)
        for name in ("lr", "weight_decay", "patience", "events"):
            check_in_range(name, getattr(self, name), 0)
        if self.averaging:
            Averaging(self.averaging)  # refuses values out of range
        self.history = History()

    @property
    def n_params(self) -> int:
        """Number of parameters of the model and its head."""
        self._require_fitted()
        return sum(weight.numel() for weight in self.together_.parameters())

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
        text = BehaviourText(dataset)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            model, tokenizer = self._start(text, dataset)
            scoring = self._scoring(model)
        sampled, scoring.negative_share = scoring.sample_negatives(labels, seed=self.seed)
        prompts = PromptBuilder(text, tokenizer, self.max_tokens)
        # Labels are given as numbers: the column may be of floats, or of the few-shot examples.
        rows = rows.assign(label=labels.astype(np.int64))
        examples = scoring.encode(rows.iloc[sampled], dataset, prompts, label="label", fit=True)
        together = MultiTaskModel(model, {"scoring": scoring})
        callbacks: list[Callback] = [Averaging(self.averaging)] if self.averaging else []
        validate = None
        if validation is not None:
            queries = scoring.encode(validation[0], dataset, prompts, label=None)
            validate = _validator(queries, validation[1])
            callbacks.append(EarlyStopping("auc", mode="max", patience=self.patience))
        batches = TaskBatches(examples, self.tokens, pad=tokenizer.pad)
        steps = len(batches.epoch(self.seed, 0))
        self.history = train_jointly(
            together,
            {"scoring": batches},
            Weights(finetune={"scoring": 1.0}),
            steps=self.epochs * steps,
            round_steps=-(-steps // self.rounds),
            lr=self.lr,
            weight_decay=self.weight_decay,
            validate=validate,
            callbacks=callbacks,
            seed=self.seed,
            device=self.device,
            progress=progress,
        )
        self.together_, self.tokenizer_ = together, tokenizer
        self.share_, self.n_rows_ = scoring.negative_share, len(sampled)

    def _predict(self, rows: pd.DataFrame, dataset: Dataset) -> np.ndarray:
        together, scoring = self.together_, _scoring_of(self.together_)
        prompts = PromptBuilder(BehaviourText(dataset), self.tokenizer_, self.max_tokens)
        examples = scoring.encode(rows, dataset, prompts, label=None)
        return scoring.predict(together.model, examples)

    def _scoring(self, model: M6RecModel) -> Scoring:
        """Return a new task for a model."""
        return Scoring(
            model.config.hidden_size, 2, self.feature_groups, self.events, self.negatives
        )

    def _start(self, text: BehaviourText, dataset: Dataset) -> tuple[M6RecModel, Tokenizer]:
        """Return the initial model and its tokenizer."""
        if self.model is not None:
            model = M6RecModel.from_pretrained(self.model, dropout=self.dropout)
            tokenizer = Tokenizer.load(self.model)
            model.config.check_tokenizer(tokenizer)
            return model, tokenizer
        ids = dataset.items["item_id"].tolist()
        texts = [text.item(item) for item in ids]
        texts += [text.user(user) for user in dataset.users["user_id"]]
        texts += text.templates.events.values()
        texts += [", " + words for words in StatisticsVerbalizer(self.feature_groups).examples()]
        tokenizer = Tokenizer.train(dict.fromkeys(texts), self.vocab_size)
        config = M6RecConfig.of_size(self.size, tokenizer, dropout=self.dropout)
        return M6RecModel(config), tokenizer

    def _state(self) -> dict[str, Any]:
        weights = {
            key: value.cpu().numpy()
            for key, value in self.together_.state_dict().items()
            if not key.endswith("head.weight") or "tasks" in key  # tied to the embedding
        }
        state = {
            "tokenizer": np.array(self.tokenizer_.backend.to_str()),
            "config": np.array(json.dumps(self.together_.model.config.to_dict())),
            "share_": np.array(self.share_),
            "n_rows_": np.array(self.n_rows_),
        }
        return state | {"network": weights}

    def _restore(self, state: dict[str, Any]) -> None:
        self.tokenizer_ = Tokenizer(tokenizers.Tokenizer.from_str(str(state["tokenizer"])))
        self.share_, self.n_rows_ = float(state["share_"]), int(state["n_rows_"])
        with torch.random.fork_rng():
            model = M6RecModel(M6RecConfig.from_dict(json.loads(str(state["config"]))))
            scoring = self._scoring(model)
        scoring.negative_share = self.share_
        self.together_ = MultiTaskModel(model, {"scoring": scoring})
        weights = {key: torch.from_numpy(value) for key, value in state["network"].items()}
        try:
            missing, unexpected = self.together_.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise DataError(f"the saved weights do not fit the saved settings: {error}") from error
        if unexpected or set(missing) - {"model.head.weight"}:
            raise DataError(f"the saved weights do not fit: {[*missing, *unexpected][:5]}")
        model.tie_weights()
        self.together_.eval()


def _scoring_of(together: MultiTaskModel) -> Scoring:
    task = together.task("scoring")
    assert isinstance(task, Scoring)
    return task


def _validator(examples: Examples, truth: np.ndarray) -> Callable:
    def validate(together: MultiTaskModel) -> dict[str, float]:
        probability = _scoring_of(together).predict(together.model, examples)
        return {"auc": auc(truth, probability), "log_loss": log_loss(truth, probability)}

    return validate
