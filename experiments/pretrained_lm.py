"""Rank lists and answer likes with a real pretrained language model, SmolLM2-135M, and adapt it.

    python -m experiments pretrained_lm --only zero_shot lora --questions 200
    python -m experiments pretrained_lm --only likes --shots 256 --seeds 0 1 2
    python -m experiments pretrained_lm --only vectors --seeds 0 1 2

Parts (``--only``): *zero_shot*: the lists of twenty of ``experiments.zero_shot``, ranked by the
likelihood of each item's words after the user's history (``PretrainedM6Rec``), with causal and with
prefix attention, beside popularity, a bigram and EASE on the same lists. *controls*: the same with
the events in a random order, or of another user. *lora*: the same lists after training low-rank
weights on next items of the training rows. *likes*: whether a user likes a film, after 0, 16, 64 or
256 examples (``experiments.pretrained_likes``). *vectors*: multilingual sentence vectors for items
without rows and for Chinese items (``experiments.pretrained_vectors``).

The text has no times, so that no model knows when the question is asked. What is recorded is
skipped. The models come with the extra ``pretrained``; ``--page`` writes
``results/pretrained_lm.md`` alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from experiments import pretrained_likes, pretrained_vectors
from experiments.pages.pretrained_lm import write_page
from experiments.records import REPORT, Records, RunKey, summary
from experiments.zero_shot import (
    CANDIDATES,
    EXCHANGED,
    SHUFFLED,
    Lists,
    differences,
    draw_lists,
    exchange_events,
    list_report,
    rank_by,
    shuffle_events,
)
from m6rec_lite.data import Dataset, Histories, leave_one_out, load_dataset
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation import Report
from m6rec_lite.language import BehaviourText, load_smollm2
from m6rec_lite.m6rec import PretrainedM6Rec, TaskData, TextRows, add_lora, train_lora
from m6rec_lite.m6rec.next_events import draw_targets
from m6rec_lite.m6rec.pretrained import ATTENTIONS
from m6rec_lite.m6rec.tasks.full_ranking import popularity
from m6rec_lite.m6rec.tasks.ranking import POPULARITY_WEIGHTS, SCORINGS
from m6rec_lite.recommenders import EASE, Bigram, Popularity

EXPERIMENT, MODEL = "pretrained_lm", "SmolLM2-135M"
PARTS = ("zero_shot", "controls", "lora", "likes", "vectors")
#: Verb of the ranking question, by data set.
VERBS = {"bazaar": "clicks", "ml-100k": "rates"}
#: Lists that ``zero_shot`` draws; the questions are some of them. A quarter as many validate.
DRAWN, QUESTIONS = 500, 200
#: Latest events of a prompt, its tokens at most, and the parts of an item's text.
EVENTS, MAX_TOKENS, ITEM_PARTS = 8, 256, ("title",)
#: Rank of the low-rank weights, highest learning rate, and rows of a batch.
RANK, RATE, BATCH = 8, 5e-4, 4
STEPS = 80
ZERO_SHOT, ADAPTED, BEST = "zero-shot", "LoRA", "best on validation"


@dataclass
class Loaded:
    """The pretrained model, loaded when it is first needed.

    Attributes:
        dtype: of its weights.
    """

    dtype: torch.dtype
    _parts: tuple[Any, Any] | None = None

    def __call__(self, text: BehaviourText, **options: Any) -> PretrainedM6Rec:
        """Return a new wrapper of the one model, which must be as it was loaded."""
        if self._parts is None:
            self._parts = load_smollm2(self.dtype)
        return PretrainedM6Rec(*self._parts, text, **options)


def ranking_text(dataset: Dataset) -> BehaviourText:
    """Return the verbalization of the ranking questions: no times, and no searches."""
    context = ("gender", "age_band", "occupation")
    return BehaviourText(
        dataset, "compact", parts=ITEM_PARTS, context=context, times=None, queries="none"
    )


def some_lists(data: TaskData, part: str, questions: int) -> Lists:
    """Return some of the lists that ``experiments.zero_shot`` draws by default."""
    drawn = draw_lists(data, part, DRAWN if part == "test" else DRAWN // 4)
    order = np.random.default_rng(data.seed).permutation(len(drawn.candidates))
    rows = np.sort(order[:questions])
    return Lists(drawn.histories[rows], drawn.candidates[rows], part)


def shape_of(questions: int) -> str:
    """Return what differs from the default size, for the variant of a record."""
    return "" if questions == QUESTIONS else f", {questions} questions"


class Ranked:
    """The lists of a data set, and the records of what ranks them.

    Args:
        name: of the data set.
        options: of the experiment.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self.options = name, options
        dataset = load_dataset(name)
        self.data = TaskData(dataset, leave_one_out(dataset), seed=0)
        self.text = ranking_text(dataset)
        self.validation = some_lists(self.data, "validation", max(1, options.questions // 4))
        self.test = some_lists(self.data, "test", options.questions)
        self.records = Records(options.root / "results")
        self.rivals = rank_by([Popularity(), Bigram(), EASE(decay=0.8)], self.test, self.data)
        for rival, report in self.rivals.items():
            self.record(rival, f"lists of {CANDIDATES}", report, {})

    def key(self, model: str, variant: str) -> RunKey:
        """Return the key of a record."""
        return RunKey(EXPERIMENT, self.name, model, variant + shape_of(self.options.questions))

    def record(
        self,
        model: str,
        variant: str,
        report: Report,
        more: Mapping[str, Any],
        history: pd.DataFrame | None = None,
    ) -> None:
        """Write the record of a ranking, unless it stands."""
        key = self.key(model, variant)
        if self.records.is_recorded(key) and not self.options.again:
            return
        split = self.data.split.hash
        self.records.start(key, command=self.options.command, split_hash=split)
        self.records.finish(key, summary(report) | dict(more), ranks=report, history=history)
        print(f"{self.name}, {model}, {key.variant}: NDCG@10 {report['ndcg@10']:.4f}", flush=True)

    def is_done(self, stage: str, attention: str, control: str = "") -> bool:
        """Return whether the last record of a stage stands, or that of a control."""
        last = self.key(MODEL, f"{stage}, {attention}, {BEST}{control}")
        return self.records.is_recorded(last) and not self.options.again

    def rank(
        self, model: PretrainedM6Rec, stage: str, history: pd.DataFrame | None = None, **more: Any
    ) -> None:
        """Score the lists, and record each score, the mix with popularity, and the best score.

        Score and weight of popularity are the best on validation.
        """
        clock, name = time.process_time(), f"{stage}, {model.attention}"
        self._read_items(model)
        known, scores = self._scores(model, self.validation), self._scores(model, self.test)
        seconds = round(time.process_time() - clock, 1)
        best = max(SCORINGS, key=lambda score: self._ndcg(known[score]))
        reports = {
            score: list_report(scores[score], self.test, self.data, MODEL) for score in SCORINGS
        }
        counts = [
            np.log1p(popularity(self.data)[x.candidates]) for x in (self.validation, self.test)
        ]
        weight = max(POPULARITY_WEIGHTS, key=lambda w: self._ndcg(known[best] + w * counts[0]))
        mix = list_report(scores[best] + weight * counts[1], self.test, self.data, MODEL)
        found = {**reports, f"{BEST}, with popularity": mix, BEST: reports[best]}
        about = {"score": best, "popularity weight": weight, **more}
        costs = {"scoring_cpu_seconds": seconds, **more.get("costs", {})}
        for variant, report in found.items():
            minus = differences(report, self.rivals)
            entry = about | {"minus": minus} | {"costs": summary(report)["costs"] | costs}
            self.record(MODEL, f"{name}, {variant}", report, entry, history)

    def rank_controls(self, model: PretrainedM6Rec) -> None:
        """Rank the lists after changed events, by the score that was chosen without training."""
        name = f"{ZERO_SHOT}, {model.attention}, {BEST}"
        best = read_json(self.records.folder(self.key(MODEL, name)) / REPORT)["score"]
        changed = {
            SHUFFLED: shuffle_events(self.test.histories, self.data.seed),
            EXCHANGED: exchange_events(self.test.histories),
        }
        self._read_items(model)
        for control, histories in changed.items():
            lists = Lists(histories, self.test.candidates, "test")
            report = list_report(self._scores(model, lists)[best], self.test, self.data, MODEL)
            minus = {"score": best, "minus": differences(report, self.rivals)}
            self.record(MODEL, f"{name}; {control}", report, minus)

    def _read_items(self, model: PretrainedM6Rec) -> None:
        """Score each item of the lists without a user, once."""
        items = np.unique(np.concatenate([self.validation.item_ids, self.test.item_ids]))
        blank = model.without_user(items, progress=not self.options.quiet)
        self._blank = dict(zip(items.tolist(), blank.tolist(), strict=True))

    def _scores(self, model: PretrainedM6Rec, lists: Lists) -> dict[str, np.ndarray]:
        blank = np.vectorize(self._blank.__getitem__, otypes=[float])(lists.item_ids)
        progress = not self.options.quiet
        return model.scores(lists.histories, lists.item_ids, blank=blank, progress=progress)

    def _ndcg(self, scores: np.ndarray) -> float:
        return list_report(scores, self.validation, self.data, MODEL)["ndcg@10"]

    def training_rows(self, model: PretrainedM6Rec, n: int, seed: int) -> TextRows:
        """Return next items of training rows, after the events before them."""
        histories: Histories = self.data.split.train.histories()
        before, items, _ = draw_targets(histories, 2, seed)
        order = np.random.default_rng(seed).permutation(len(before))
        rows = np.sort(order[:n])
        written = [model.written(item) for item in before.item_ids[items[rows]].tolist()]
        return TextRows(model.also(before[rows]), written, batch_size=BATCH)


def zero_shot(load: Loaded, options: argparse.Namespace) -> None:
    """Rank the lists without training."""
    for name in options.dataset:
        ranked = Ranked(name, options)
        for attention in options.attention:
            if not ranked.is_done(ZERO_SHOT, attention):
                ranked.rank(make(load, ranked, attention), ZERO_SHOT)


def controls(load: Loaded, options: argparse.Namespace) -> None:
    """Rank the lists without training, after events in a random order and of another user."""
    for name in options.dataset:
        ranked = Ranked(name, options)
        for attention in options.attention:
            known = ranked.is_done(ZERO_SHOT, attention) or options.again
            if known and not ranked.is_done(ZERO_SHOT, attention, f"; {EXCHANGED}"):
                ranked.rank_controls(make(load, ranked, attention))


def lora(load: Loaded, options: argparse.Namespace) -> None:
    """Train low-rank weights on next items of the training rows, and rank the lists."""
    for name in options.dataset:
        ranked = Ranked(name, options)
        for attention in options.attention:
            if ranked.is_done(ADAPTED, attention):
                continue
            model = make(load, ranked, attention)
            rows = ranked.training_rows(model, options.steps * BATCH, seed=0)
            changes, clock = add_lora(model.model, RANK), time.process_time()
            history = train_lora(
                model, rows, steps=options.steps, lr=RATE, progress=not options.quiet
            ).frame()
            costs = {
                "fit_cpu_seconds": round(time.process_time() - clock, 1),
                "trained": sum(w.numel() for w in model.parameters() if w.requires_grad),
                "steps": options.steps,
                "rows": len(rows.known),
            }
            ranked.rank(model, ADAPTED, history, costs=costs)
            for change in changes:
                change.undo()


def make(load: Loaded, ranked: Ranked, attention: str) -> PretrainedM6Rec:
    """Return the model with the texts and the question of some lists."""
    return load(
        ranked.text,
        attention=attention,
        verb=VERBS.get(ranked.name, "clicks"),
        events=EVENTS,
        max_tokens=MAX_TOKENS,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--dataset", nargs="+", default=list(VERBS), help="of the lists")
    parser.add_argument("--attention", nargs="+", choices=ATTENTIONS, default=list(ATTENTIONS))
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="of test, at most 500")
    parser.add_argument("--steps", type=int, default=STEPS, help="of LoRA on next items")
    parser.add_argument("--shots", nargs="+", type=int, default=[0, 256, 64, 16])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--page", action="store_true", help="write the page only")


def run(options: argparse.Namespace) -> None:
    """Measure what is not recorded, and write the page."""
    if not 4 <= options.questions <= DRAWN:
        raise ValueError(f"--questions must be from 4 to {DRAWN}, got {options.questions}")
    load = Loaded(getattr(torch, options.dtype))
    parts: dict[str, Callable[[Loaded, argparse.Namespace], None]] = {
        "zero_shot": zero_shot,
        "controls": controls,
        "lora": lora,
        "likes": pretrained_likes.measure,
        "vectors": lambda _, options: pretrained_vectors.measure(options),
    }
    for part in () if options.page else options.only:
        parts[part](load, options)
    write_page(options.root / "results")
