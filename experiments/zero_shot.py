"""Rank short lists with a pretrained M6-Rec: the scores, simple models, and shuffled events.

    python -m experiments zero_shot --model checkpoints/bazaar-m6rec
    python -m experiments zero_shot --model checkpoints/bazaar-large-m6rec --templates compact \\
        --max-tokens 512 --gpt bazaar-gpt

A list holds a user's target and random unseen items, twenty in all. The model ranks it by the
likelihood of each item's sentence, without training on the task. Each score of ``Ranking`` is
recorded (sum, mean, and both as a lift over the sentence without a user), and the mix of a score
with the items' popularity that is best on validation. Popularity, a bigram, EASE, a rule (items of
the last event's domain first, then the popular ones) and, with ``--gpt``, a GPT in the form of its
own pretraining rank the same lists. Two controls show what the model reads: the same events in a
random order, and the events of another user. ``results --only pages`` writes the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.records import Records, RunKey, summary
from experiments.tasks import CHECKPOINT
from m6rec_lite.data import Histories, leave_one_out, load_dataset
from m6rec_lite.evaluation import Report, compare
from m6rec_lite.language import BehaviourText, NextEvent, Tokenizer, wording
from m6rec_lite.m6rec import (
    Examples,
    M6RecModel,
    PromptBuilder,
    Ranking,
    TaskData,
    mean_events_read,
)
from m6rec_lite.m6rec.tasks.full_ranking import popularity, ranking_report
from m6rec_lite.m6rec.tasks.ranking import POPULARITY_WEIGHTS, SCORINGS, with_popularity
from m6rec_lite.recommenders import EASE, Bigram, Popularity, Recommender

#: Items of a list, its target included.
CANDIDATES = 20
#: Name of the records of the model.
MODEL = "M6-Rec, zero-shot"
SHUFFLED, EXCHANGED = "events in random order", "events of another user"
#: Names of the records of the rule, and of a GPT.
DOMAIN_FIRST, GPT = "Last domain, then popularity", "GPT, in the form of its pretraining"


@dataclass(frozen=True)
class Lists:
    """Short lists of candidates.

    Attributes:
        histories: ``n`` rows, one a user.
        candidates: ``(n, k)`` indices into ``histories.item_ids``; the target is the first.
        part: ``"validation"`` or ``"test"``.
    """

    histories: Histories
    candidates: np.ndarray
    part: str

    @property
    def item_ids(self) -> np.ndarray:
        """Ids of the candidates, ``(n, k)``."""
        return self.histories.item_ids[self.candidates]


def draw_lists(data: TaskData, part: str, users: int, k: int = CANDIDATES) -> Lists:
    """Draw the lists of some users: the target, and items that the user has not seen.

    Args:
        data: whose seed determines the users and the items.
        part: ``"validation"`` or ``"test"``.
        users: number of users at most.
        k: items of a list.

    Raises:
        ValueError: if a user has too few unseen items.
    """
    holdout = data.questions(part, users)
    histories, first = holdout.histories, holdout.target_offsets[:-1]
    targets = holdout.targets[first]
    rng = np.random.default_rng([data.seed, part == "test"])
    n_items = len(histories.item_ids)
    lists = np.empty((len(histories), k), dtype=np.int64)
    for row, target in enumerate(targets.tolist()):
        start, stop = histories.offsets[row : row + 2]
        seen = np.append(histories.items[start:stop], target)
        unseen = np.setdiff1d(np.arange(n_items), seen)
        if len(unseen) < k - 1:
            raise ValueError(
                f"user {histories.user_ids[row]} has {len(unseen)} unseen items, and a list of {k} "
                f"needs {k - 1}: pass a smaller --candidates"
            )
        lists[row] = [target, *rng.choice(unseen, k - 1, replace=False)]
    return Lists(histories, lists, part)


def encode_lists(
    lists: Lists, data: TaskData, prompts: PromptBuilder, histories: Histories | None = None
) -> Examples:
    """Return an example for each candidate, with its popularity.

    ``histories`` replaces those of the lists, with as many rows, as a control.
    """
    read = lists.histories if histories is None else histories
    examples = Ranking().encode(read, lists.item_ids, prompts)
    counts = popularity(data)[lists.candidates].ravel()
    return replace(examples, about=examples.about.assign(popularity=counts), part=lists.part)


def list_report(scores: np.ndarray, lists: Lists, data: TaskData, name: str) -> Report:
    """Evaluate scores of the candidates, ``(n, k)`` or flat: HR and NDCG on the lists."""
    matrix = np.full((len(lists.candidates), len(lists.histories.item_ids)), -np.inf)
    shaped = np.asarray(scores, dtype=np.float64).reshape(lists.candidates.shape)
    np.put_along_axis(matrix, lists.candidates, shaped, axis=1)
    return ranking_report(matrix, lists.histories.user_ids, data, lists.part, name)


def shuffle_events(histories: Histories, seed: int = 0) -> Histories:
    """Return the histories with each row's events in a random order, at the same times."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(histories.items)), histories.rows))
    return replace(histories, items=histories.items[order], events=histories.events[order])


def exchange_events(histories: Histories) -> Histories:
    """Return the histories with each user given the events, and their times, of the next row."""
    following = np.roll(np.arange(len(histories)), -1)
    return replace(histories[following], user_ids=histories.user_ids)


def score_lists(
    model: M6RecModel,
    validation: Examples,
    test: Mapping[str, Examples],
    lists: tuple[Lists, Lists],
    data: TaskData,
) -> dict[str, Report]:
    """Return the reports on the test lists: of each score, of the best mix, and of the controls.

    Args:
        model: the pretrained model.
        validation: examples of the validation lists.
        test: examples of the test lists by name; "" are the true ones, others are controls.
        lists: of validation and of test.
        data: of the examples.
    """
    ranking = Ranking()
    known = ranking.scores(model, validation)
    scores = {name: ranking.scores(model, examples) for name, examples in test.items()}
    reports = {name: list_report(scores[""][name], lists[1], data, MODEL) for name in SCORINGS}
    ndcg = {
        (name, weight): list_report(
            with_popularity(known[name], validation, weight), lists[0], data, MODEL
        )["ndcg@10"]
        for name in SCORINGS
        for weight in POPULARITY_WEIGHTS
    }
    name, weight = max(ndcg, key=lambda pair: ndcg[pair])
    mix = f"{name} + {weight:g} log popularity"
    for control, values in scores.items():
        mixed = with_popularity(values[name], test[control], weight)
        label = f"best on validation: {mix}" + (f"; {control}" if control else "")
        reports[label] = list_report(mixed, lists[1], data, MODEL)
    return reports


def rank_by(models: Sequence[Recommender], lists: Lists, data: TaskData) -> dict[str, Report]:
    """Fit recommenders to the training rows, and return their reports on the lists."""
    reports = {}
    for model in models:
        scores = model.fit(data.split.train, progress=False).score(lists.histories)
        chosen = np.take_along_axis(scores, lists.candidates, axis=1)
        reports[model.name] = list_report(chosen, lists, data, model.name)
    return reports


def domain_first(lists: Lists, data: TaskData) -> dict[str, Report]:
    """Return the report of the rule, if the items have domains.

    Items of the domain of the user's last event are first, then the others; by popularity within
    both. A user without events has no such domain.
    """
    items = data.dataset.items
    if "domain" not in items:
        return {}
    domain = items.set_index("item_id")["domain"].loc[data.split.item_ids].to_numpy(dtype=str)
    histories = lists.histories
    last = np.full(len(histories), "", dtype=domain.dtype)
    some = histories.lengths > 0
    last[some] = domain[histories.items[histories.offsets[1:][some] - 1]]
    counts = popularity(data)
    scores = counts[lists.candidates] / (counts.max() + 1)
    scores = scores + (domain[lists.candidates] == last[:, None])
    return {DOMAIN_FIRST: list_report(scores, lists, data, DOMAIN_FIRST)}


def rank_by_gpt(name: str, lists: Lists, data: TaskData) -> dict[str, Report]:
    """Return the reports of a pretrained GPT: by the sum, and by the mean of log-probabilities."""
    tables = wording(data.dataset.items, "item"), wording(data.dataset.users, "user")
    gpt = NextEvent(name, *tables, data.split.item_ids)
    total = gpt.log_likelihood(lists.histories, lists.candidates)
    scores = {"sum": total, "mean": total / gpt.n_tokens[lists.candidates]}
    return {
        f"{GPT}, {scoring}": list_report(values, lists, data, GPT)
        for scoring, values in scores.items()
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--model", default=CHECKPOINT, help="folder, from the project's root")
    parser.add_argument("--templates", default="default", help="those of the pretraining")
    parser.add_argument("--users", type=int, default=500, help="test lists; a quarter validates")
    parser.add_argument("--candidates", type=int, default=CANDIDATES, help="items of a list")
    parser.add_argument("--max-tokens", type=int, default=128, help="maximum tokens of a row")
    parser.add_argument("--gpt", help="name or folder of a GPT that ranks the same lists")
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> None:
    """Rank the lists, record a run for each score and each simple model, and print them."""
    dataset = load_dataset(options.dataset)
    folder = options.root / options.model
    tokenizer, model = Tokenizer.load(folder), M6RecModel.from_pretrained(folder)
    model.config.check_tokenizer(tokenizer)
    text = BehaviourText(dataset, options.templates)
    prompts = PromptBuilder(text, tokenizer, options.max_tokens)
    data = TaskData(dataset, leave_one_out(dataset), seed=options.seed)
    n_validation = max(1, options.users // 4)
    validation = draw_lists(data, "validation", n_validation, options.candidates)
    test = draw_lists(data, "test", options.users, options.candidates)
    histories = {
        "": test.histories,
        SHUFFLED: shuffle_events(test.histories, options.seed),
        EXCHANGED: exchange_events(test.histories),
    }
    examples = {name: encode_lists(test, data, prompts, h) for name, h in histories.items()}
    rivals = rank_by([Popularity(), Bigram(), EASE(decay=0.8)], test, data)
    rivals |= domain_first(test, data)
    if options.gpt:
        rivals |= rank_by_gpt(options.gpt, test, data)
    known = encode_lists(validation, data, prompts)
    scored = score_lists(model.eval(), known, examples, (validation, test), data)
    records = Records(options.root / "results")
    shape = f"lists of {options.candidates}"
    read = mean_events_read(examples[""].known[:: options.candidates], tokenizer)
    common: dict[str, Any] = {"command": options.command, "split_hash": data.split.hash}
    for name, report in rivals.items():
        key = RunKey("zero_shot", options.dataset, name, shape, options.seed)
        records.start(key, **common)
        records.finish(key, summary(report), ranks=report)
        print(f"{name:<60} {report['ndcg@10']:.4f}")
    for name, report in scored.items():
        variant = f"{options.model}, {shape}, {options.max_tokens} tokens, {name}"
        key = RunKey("zero_shot", options.dataset, MODEL, variant, options.seed)
        records.start(key, **common)
        more = {"events read": round(read, 2), "minus": differences(report, rivals)}
        records.finish(key, summary(report) | more, ranks=report)
        print(f"{name:<60} {report['ndcg@10']:.4f}")


def differences(report: Report, rivals: Mapping[str, Report]) -> dict[str, dict[str, float]]:
    """Return the paired difference of NDCG@10 to each rival, with its interval."""
    tests = {name: compare(report, rival) for name, rival in rivals.items()}
    return {
        name: {
            "mean": round(test.mean_difference, 6),
            "low": round(test.low, 6),
            "high": round(test.high, 6),
        }
        for name, test in tests.items()
    }
