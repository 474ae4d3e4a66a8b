"""Memory of a validation during training and of EASE on a large catalogue, and time of UserKNN.

Run each work in a process of its own, so that the peak of one does not hide another's:

    python benchmarks/large_catalogue.py validation [--items 200000] [--users 6000] [--step 2048]
    python benchmarks/large_catalogue.py ease [--items 6000] [--users 6000]
    python benchmarks/large_catalogue.py ease-guard [--items 50000] [--users 6000]
    python benchmarks/large_catalogue.py user-knn [--items 20000] [--users 100000]

``validation`` scores as many questions at once as ``evaluate`` does; its peer, ``--step 2048``,
that many whatever the catalogue. ``ease-guard`` asks ``EASE`` for a catalogue that does not fit in
``--memory`` GiB, and fits the number of items that the refusal advises, but at most 4,000.
``user-knn`` gives the time that ``UserKNN`` forecasts in ``fit`` beside the measured one, and
compares the choice of neighbours among the entries of the sparse matrix with the peer, ``top_k`` on
dense rows; both must give the same neighbours.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from functools import partialmethod
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from m6rec_lite.data import Interactions, leave_one_out, load_dataset
from m6rec_lite.evaluation import Meter
from m6rec_lite.recommenders import EASE, UserKNN


def rows(users: int, items: int, each: int = 20) -> pd.DataFrame:
    """Return rows of users with items of which a few are popular."""
    rng = np.random.default_rng(0)
    item = (items * rng.random(users * each) ** 3).astype(np.int64)
    user = np.repeat(np.arange(users), each)
    frame = pd.DataFrame({"user_id": user, "item_id": item, "timestamp": np.arange(len(item))})
    return frame.drop_duplicates(["user_id", "item_id"])


def validation(users: int, items: int, options: argparse.Namespace) -> dict[str, Any]:
    """Validate a network whose scores are random numbers, with ``--step`` questions at once."""
    from m6rec_lite.evaluation import questions
    from m6rec_lite.recommenders.sequential.next_item_network import (
        VALIDATION_QUESTIONS,
        ScoringNetwork,
        validator,
    )

    class Random(ScoringNetwork):
        def score(self, histories, max_length):
            shape = len(histories), histories.n_items
            return np.random.default_rng(0).random(shape, dtype=np.float32)

    every = pd.DataFrame({"user_id": users, "item_id": np.arange(items), "timestamp": 0})
    data = load_dataset(pd.concat([rows(users, items), every]))
    split = leave_one_out(data, min_item_users=1, ties="file")
    if options.step:  # the peer: that many questions, whatever the catalogue
        questions.MAX_CELLS = options.step * (items + 1)
        batches = partialmethod(questions.Questions.batches, options.step)
        mock.patch.object(questions.Questions, "batches", batches).start()
    validate = validator(split.train, split.validation, 50)
    with Meter() as meter:
        validate(Random())
    return {
        "questions": min(len(split.validation), VALIDATION_QUESTIONS),
        "step": options.step or "of evaluate",
        "seconds": meter.cost.seconds,
        "peak MiB": meter.cost.peak_mib,
    }


def ease(users: int, items: int, options: argparse.Namespace) -> dict[str, Any]:
    """Fit EASE."""
    train = Interactions.from_frame(rows(users, items))
    with Meter() as meter:
        EASE().fit(train)
    return {"items": train.n_items, "seconds": meter.cost.seconds, "peak MiB": meter.cost.peak_mib}


def ease_guard(users: int, items: int, options: argparse.Namespace) -> dict[str, Any]:
    """Ask EASE for more than fits; then fit the items that the refusal advises, at most 4,000."""
    from m6rec_lite.evaluation import memory
    from m6rec_lite.recommenders import ease as module

    every = pd.DataFrame({"item_id": np.arange(items), "timestamp": 0})
    every["user_id"] = every["item_id"] % users
    frame = pd.concat([rows(users, items), every]).drop_duplicates(["user_id", "item_id"])
    train = Interactions.from_frame(frame)
    memory.free_memory = module.free_memory = lambda: options.memory * 2**30
    refusal = ""
    with Meter() as meter:
        try:
            EASE().fit(train)
        except MemoryError as error:
            refusal = str(error)
    refused = {
        "seconds until refused": meter.cost.seconds,
        "MiB until refused": meter.cost.peak_mib,
    }
    advised = re.findall(r"top_items=(\d+)", refusal)
    if not advised:
        raise SystemExit(f"EASE of {items:,} items fits into {options.memory} GiB: ask for more")
    top_items = min(int(advised[0]), 4000)
    with Meter() as meter:
        EASE(top_items=top_items).fit(train)
    return {
        "items": train.n_items,
        "refusal": refusal,
        **refused,
        "top_items": top_items,
        "seconds": meter.cost.seconds,
        "peak MiB": meter.cost.peak_mib,
    }


def user_knn(users: int, items: int, options: argparse.Namespace) -> dict[str, Any]:
    """Score histories, with the neighbours of dense and of sparse rows."""
    from m6rec_lite.recommenders import neighbours

    train = Interactions.from_frame(rows(users, items))
    model = UserKNN().fit(train, progress=False)
    histories = train.histories()[:32]
    model.score(histories[:1])
    start = time.perf_counter()
    model.score(histories[: neighbours.PROBES])
    forecast = (time.perf_counter() - start) / neighbours.PROBES
    sparse_choice, seconds, scores = neighbours.keep_top_of_sparse, {}, {}
    choices = {
        "dense": lambda similarity, k: neighbours.keep_top(similarity.toarray(), k),
        "sparse": sparse_choice,
    }
    for name, choice in choices.items():
        neighbours.keep_top_of_sparse = choice
        model.score(histories[:1])
        start = time.perf_counter()
        scores[name] = model.score(histories)
        seconds[name] = time.perf_counter() - start
    np.testing.assert_array_equal(scores["dense"], scores["sparse"])
    measured = {f"seconds a history, {name}": value / 32 for name, value in seconds.items()}
    return {"seconds a history, forecast of fit": forecast, **measured}


def main() -> None:
    """Run one work; the last line printed is one JSON object."""
    works = {
        "validation": validation, "ease": ease, "ease-guard": ease_guard, "user-knn": user_knn
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", choices=works)
    parser.add_argument("--items", type=int)
    parser.add_argument("--users", type=int)
    parser.add_argument("--step", type=int, help="validation: questions at once, whatever fits")
    parser.add_argument("--memory", type=float, default=8, help="ease-guard: free GiB assumed")
    options = parser.parse_args()
    sizes = {
        "validation": (6000, 200_000), "ease": (6000, 6000),
        "ease-guard": (6000, 50_000), "user-knn": (100_000, 20_000),
    }  # fmt: skip
    users, items = sizes[options.work]
    users, items = options.users or users, options.items or items
    result = works[options.work](users, items, options)
    print(json.dumps({"work": options.work, "users": users, "items": items, **result}))


if __name__ == "__main__":
    main()
