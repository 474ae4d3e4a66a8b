"""What a pretrained and tuned M6-Rec is worth on a data set, task by task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.course.m6rec_tuning import World
from m6rec_lite.course.task_runs import asked, ranked, some_users
from m6rec_lite.data import Split
from m6rec_lite.data.bazaar.oracle import OracleRecommender
from m6rec_lite.data.ids import is_id
from m6rec_lite.evaluation import Cost, Report, compare, evaluate, fit_and_evaluate
from m6rec_lite.evaluation.ctr import ctr_metrics
from m6rec_lite.m6rec.click_model import mended
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.recommender import M6RecRetriever
from m6rec_lite.m6rec.tasks import (
    Examples,
    MultiTaskModel,
    Task,
    conversation,
    design,
    explanation,
    query,
)
from m6rec_lite.m6rec.tasks.generation import text_figures
from m6rec_lite.m6rec.tasks.trie import TitleTrie
from m6rec_lite.m6rec.tasks.truth import Truth
from m6rec_lite.recommenders import Bigram, Popularity
from m6rec_lite.recommenders.ctr import labelled
from m6rec_lite.recommenders.impressions import split_by_time

#: Which rows a task that writes is judged by, and tokens that it may write.
WRITES = {
    "explanation": ("test", 64),
    "query": ("test", 16),
    "design": ("test", 32),
    "conversation": ("held out", 96),
}


def figures(report: Report) -> dict[str, float]:
    """What is told of a ranking: with the ends of the intervals, and the share of an oracle's."""
    found: dict[str, float] = {"users": report.n_users}
    for name in ("hr@10", "ndcg@10"):
        found[name] = report[name]
        found[f"{name}_low"], found[f"{name}_high"] = report.intervals[name]
        if report.oracle_share is not None:
            found[f"{name}, share of the oracle's"] = report.oracle_share[name]
    return found


def judge_retrieval(
    world: World,
    folder: Path,
    out: Path,
    *,
    variant: str,
    command: str,
    scale: str,
    epochs: int,
    device: str | None,
    progress: bool,
) -> dict[str, float]:
    """Fit the retriever from the pretrained folder, judge it, and write its leaderboard row.

    Args:
        world: the data set.
        folder: of the pretrained model.
        out: of the run: checkpoints and ``leaderboard/`` go there.
        variant: how the leaderboard calls it; and so on.
        epochs: at most; it stops on validation.

    Returns:
        Its figures on test, and the plain bigram's on the same questions.
    """
    model = M6RecRetriever(model=str(folder), epochs=epochs, seed=world.seed, device=device)
    split = world.split
    model.fit(
        split.train,
        validation=split.validation,
        items=world.dataset.items,
        checkpoint=out / "retrieval" / world.tag,
        progress=progress,
    )
    cost = Cost(float(sum(model.history["seconds"])), math.nan)
    report = evaluate(model, split, fit_cost=cost, oracle=_best(world, split), progress=progress)
    board = Leaderboard(out / "leaderboard")
    board.add(report, scale=scale, seed=world.seed, variant=variant, command=command)
    plain = fit_and_evaluate(Bigram(), split, progress=False)
    against = compare(report, plain)
    return figures(report) | {
        "epochs": len(model.history),
        "seconds": cost.seconds,
        "bigram ndcg@10": plain["ndcg@10"],
        "ndcg@10 - bigram": against.mean_difference,
        "ndcg@10 - bigram, low": against.low,
        "ndcg@10 - bigram, high": against.high,
    }


def judge_scoring(
    world: World, both: MultiTaskModel, name: str, kept: float, limit: int
) -> dict[str, float]:
    """AUC and the like on the latest tenth of the impressions.

    Args:
        world: with impressions.
        both: model and tasks.
        name: of the scoring task.
        kept: see ``World.examples``.
        limit: rows at most, drawn.
    """
    _, _, test = split_by_time(world.dataset.impressions)
    if len(test) > limit:
        order = np.random.default_rng(world.seed).permutation(len(test))
        test = test.iloc[np.sort(order[:limit])]
    asked, truth = labelled(test, "clicked")
    task = both.tasks[name]
    examples = task.build_examples(asked, world.dataset, world.prompts, label=None)
    chance = mended(task.predict(both.model, examples), kept)
    users = asked["user_id"].to_numpy()
    found = ctr_metrics(truth, chance, users)
    if world.dataset.oracle is not None:
        names = ("user_id", "item_id", "timestamp", "position")
        best = world.dataset.oracle.click_probability(*(test[name].to_numpy() for name in names))
        found |= {"auc of the oracle": ctr_metrics(truth, best, users)["auc"]}
    return {"rows": len(truth), "clicked": float(truth.mean())} | found


def judge_likelihood(world: World, model: M6RecModel, limit: int) -> dict[str, float | str]:
    """The whole catalogue ranked by the likelihood of sentences, for some users.

    How a likelihood becomes a score is chosen on a quarter as many validation questions.
    """
    split = some_users(world.split, max(1, limit // 4), limit, world.seed)
    scoring, report = ranked(asked(model, split, world.prompts), "M6-Rec", split)
    popular = evaluate(Popularity().fit(split.train), split, progress=False)
    found = figures(report) | {"score": scoring, "popularity ndcg@10": popular["ndcg@10"]}
    if (oracle := _best(world, split)) is not None:
        found["oracle ndcg@10"] = evaluate(oracle, split, progress=False)["ndcg@10"]
    return found


def _best(world: World, split: Split) -> OracleRecommender | None:
    """The best ranking there can be, where the world is known."""
    oracle = world.dataset.oracle
    return None if oracle is None else oracle.recommender(split.item_ids)


def judge_writing(world: World, both: MultiTaskModel, name: str, limit: int) -> dict[str, Any]:
    """What is written, greedily, of rows never learnt from; beside what costs no model.

    Args:
        world: the data set.
        both: model and tasks.
        name: of the task.
        limit: rows at most, drawn.

    Returns:
        ``rows`` and the figures of the task's own ``judge``, and by baseline the same.
    """
    kind = name.partition(" ")[0]
    task, (part, longest) = both.tasks[name], WRITES[kind]
    examples = world.part(task, part, limit)
    if kind == "conversation":
        examples = examples[examples.about["item_id"].map(is_id).to_numpy(dtype=bool)]
    order = np.random.default_rng(world.seed).permutation(len(examples))
    examples = examples[np.sort(order[:limit])]
    if not len(examples):
        return {"rows": 0}
    truth = Truth(world.dataset) if world.dataset.oracle is not None else None
    given: dict[str, Any] = {"max_new_tokens": longest}
    if kind == "conversation":
        items = world.dataset.items["item_id"].tolist()
        given["catalogue"] = TitleTrie.of(world.prompts.text, world.tokenizer, items)
    written = task.predict(both.model, examples, world.tokenizer, **given)
    learnt, _ = world.examples(task)
    found, rivals = _judged(world, task, written, examples, learnt, truth, given)
    return {"rows": len(examples)} | found | {"beside": rivals}


def _judged(
    world: World,
    task: Task,
    written: list[Any],
    examples: Examples,
    learnt: Examples,
    truth: Truth | None,
    given: Mapping[str, Any],
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Figures of what was written, and of each baseline."""
    seed, text = world.seed, world.prompts.text
    if task.name == "explanation":
        texts = explanation.reasons(written)
        if examples.about["aspect"].isna().any():  # reviews that name no aspects: the words alone
            return text_figures(texts, examples.about["text"].tolist()), {}
        others = explanation.baselines(learnt, examples, seed)
        return explanation.judge(texts, examples, truth), {
            key: explanation.judge(some, examples, truth) for key, some in others.items()
        }
    if task.name == "query":
        others = query.baselines(learnt, examples, world.prompts)
        return query.judge([one.text for one in written], examples, truth), {
            key: query.judge(some, examples, truth) for key, some in others.items()
        }
    if task.name == "design":
        asked = (examples, world.dataset, text, truth)
        others = design.baselines(learnt, examples, seed)
        return design.judge(task.designs(written), *asked), {
            key: design.judge(some, *asked) for key, some in others.items()
        }
    items = world.dataset.items["item_id"].tolist()
    others = conversation.baselines(learnt, examples, text, items, seed)
    return conversation.judge(written, examples, given["catalogue"], truth), {
        key: conversation.hits(some, examples, truth) for key, some in others.items()
    }
