"""M6-Rec's scoring as a click model, to be fitted, asked and compared like the others.

Clicks are rare, and a language model reads every row word by word. So ``negatives`` rows without
the label are kept for each row with it, and the chances are mended for those left out (He et al.,
*Practical lessons from predicting clicks on ads at Facebook*, 2014, section 6.3).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import tokenizers
import torch

from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.evaluation.ctr import auc, log_loss
from m6rec_lite.language.behaviour import BehaviourText
from m6rec_lite.language.tokenizer import Tokenizer
from m6rec_lite.m6rec.config import M6RecConfig
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.joint import Weights, train_jointly
from m6rec_lite.m6rec.tasks.multitask import MultiTaskModel
from m6rec_lite.m6rec.tasks.scoring import TOLD, Scoring
from m6rec_lite.m6rec.tasks.task import TaskBatches
from m6rec_lite.m6rec.tasks.verbalizer import StatisticsVerbalizer
from m6rec_lite.recommenders.base import check_in_range, check_whole
from m6rec_lite.recommenders.ctr import ClickModel
from m6rec_lite.training import Averaging, Callback, EarlyStopping, History

#: In a saved model the weights are named so.
_WEIGHTS = "together/"


@dataclass(eq=False)
class M6RecCTR(ClickModel):
    """The chance of a click, read from words.

    Args:
        model: folder of a pretrained model and its tokenizer; None begins with a fresh model of
            ``size`` and a tokenizer made of the data set's words.
        size: of a fresh model, see ``m6rec.config.shape_of``.
        vocab_size: of a fresh tokenizer.
        told: groups of phrases about the item, see ``tasks.scoring``.
        events: the latest events of the user that are told; 0 for none.
        max_tokens: of a row; the oldest events fall out.
        negatives: rows without the label kept for each row with it; None keeps all.
        epochs: passes over the rows, at most.
        tokens: of a batch.
        lr: highest learning rate.
        dropout: while learning.
        weight_decay: of matrices.
        averaging: judge and keep the average of the weights, each step's share in it fading by
            this factor a step (``training.Averaging``); 0 takes the weights themselves.
        patience: with validation rows, stop after so many epochs without a better AUC, and keep
            the best epoch's weights.
        rounds: validations an epoch.
        label: see ``ClickModel``.
        seed: of fresh weights, the order and the rows left out.
        device: ``cpu``, ``cuda``, …; None takes the best there is.

    Attributes:
        history: of the last fit.
    """

    model: str | None = None
    size: str = "nano"
    vocab_size: int = 2048
    told: Sequence[str] = TOLD
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
        self.told = tuple(self.told)
        if self.negatives is not None:
            check_in_range("negatives", self.negatives, 0, open_low=True)
        for name in ("lr", "weight_decay", "patience", "events"):
            check_in_range(name, getattr(self, name), 0)
        if self.averaging:
            Averaging(self.averaging)  # refuses what is out of range
        self.history = History()

    @property
    def n_params(self) -> int:
        """How many numbers the model and its head have learnt."""
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
        keep, share = self._thinned(labels)
        text = BehaviourText(dataset)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            model, tokenizer = self._start(text, dataset)
            scoring = Scoring(model.config.hidden_size, 2, self.told, self.events)
        prompts = PromptBuilder(text, tokenizer, self.max_tokens)
        # Labels are given as numbers: the column may be of floats, or of the few-shot examples.
        rows = rows.assign(label=labels.astype(np.int64))
        examples = scoring.build_examples(rows[keep], dataset, prompts, label="label", fit=True)
        rate = float(labels[keep].mean())
        with torch.no_grad():
            scoring.head.weight.mul_(0.1)
            scoring.head.bias.copy_(torch.tensor([0.0, np.log(rate / (1 - rate))]))
        together = MultiTaskModel(model, {"scoring": scoring})
        callbacks: list[Callback] = [Averaging(self.averaging)] if self.averaging else []
        validate = None
        if validation is not None:
            asked = scoring.build_examples(validation[0], dataset, prompts, label=None)
            validate = self._validator(asked, validation[1], share)
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
        self.together_, self.tokenizer_, self.share_ = together, tokenizer, share
        self.n_rows_ = int(keep.sum())

    def _predict(self, rows: pd.DataFrame, dataset: Dataset) -> np.ndarray:
        together, scoring = self.together_, self.together_.tasks["scoring"]
        prompts = PromptBuilder(BehaviourText(dataset), self.tokenizer_, self.max_tokens)
        examples = scoring.build_examples(rows, dataset, prompts, label=None)
        return mended(scoring.predict(together.model, examples), self.share_)

    def _validator(self, asked: Any, truth: np.ndarray, share: float) -> Callable:
        def validate(together: MultiTaskModel) -> dict[str, float]:
            chance = together.tasks["scoring"].predict(together.model, asked)
            return {"auc": auc(truth, chance), "log_loss": log_loss(truth, mended(chance, share))}

        return validate

    def _thinned(self, labels: np.ndarray) -> tuple[np.ndarray, float]:
        """Which rows are kept, ``(n,)`` bool, and the share of those without the label."""
        others = np.flatnonzero(labels == 0)
        wanted = len(others)
        if self.negatives is not None:
            wanted = min(wanted, max(1, round(self.negatives * labels.sum())))
        keep = labels > 0
        keep[np.random.default_rng(self.seed).permutation(others)[:wanted]] = True
        return keep, wanted / len(others)

    def _start(self, text: BehaviourText, dataset: Dataset) -> tuple[M6RecModel, Tokenizer]:
        """The model that learning begins with."""
        if self.model is not None:
            model = M6RecModel.from_pretrained(self.model, dropout=self.dropout)
            tokenizer = Tokenizer.load(self.model)
            model.config.check_tokenizer(tokenizer)
            return model, tokenizer
        ids = dataset.items["item_id"].tolist()
        told = [text.item(item) for item in ids]
        told += [text.user(user) for user in dataset.users["user_id"]]
        told += text.templates.events.values()
        told += [", " + words for words in StatisticsVerbalizer(self.told).examples()]
        tokenizer = Tokenizer.train(dict.fromkeys(told), self.vocab_size)
        config = M6RecConfig.of_size(self.size, tokenizer, dropout=self.dropout)
        return M6RecModel(config), tokenizer

    def _state(self) -> dict[str, Any]:
        weights = {
            _WEIGHTS + key.replace(".", "/"): value.detach().cpu().numpy()
            for key, value in self.together_.state_dict().items()
            if not key.endswith("head.weight") or "tasks" in key  # tied to the embedding
        }
        kept = {
            "tokenizer": np.array(self.tokenizer_.backend.to_str()),
            "config": np.array(json.dumps(self.together_.model.config.to_dict())),
            "share_": np.array(self.share_),
            "n_rows_": np.array(self.n_rows_),
        }
        return kept | weights

    def _restore(self, state: dict[str, Any]) -> None:
        self.tokenizer_ = Tokenizer(tokenizers.Tokenizer.from_str(str(state["tokenizer"])))
        self.share_, self.n_rows_ = float(state["share_"]), int(state["n_rows_"])
        with torch.random.fork_rng():
            model = M6RecModel(M6RecConfig.from_dict(json.loads(str(state["config"]))))
            scoring = Scoring(model.config.hidden_size, 2, self.told, self.events)
        self.together_ = MultiTaskModel(model, {"scoring": scoring})
        given = {
            key.removeprefix(_WEIGHTS).replace("/", "."): torch.from_numpy(value)
            for key, value in state.items()
            if key.startswith(_WEIGHTS)
        }
        try:
            lacking, strange = self.together_.load_state_dict(given, strict=False)
        except RuntimeError as error:
            raise DataError(f"the saved weights do not fit the saved settings: {error}") from error
        if strange or set(lacking) - {"model.head.weight"}:
            raise DataError(f"the saved weights do not fit: {[*lacking, *strange][:5]}")
        model.tie_weights()
        self.together_.eval()


def mended(chance: np.ndarray, share: float) -> np.ndarray:
    """Chances learnt where ``share`` of the rows without the label were kept, for all rows.

    ``p / (p + (1 - p) / share)``: the odds were too high by ``1 / share``.
    """
    return chance / (chance + (1 - chance) / share)
