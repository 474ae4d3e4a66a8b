"""What pictures and context add to a recommender, on known and on unseen items of the bazaar.

    python -m experiments multimodal --seeds 0 1 2

fits ``MultimodalRecommender`` once for each cell and seed, and records its test ranks; what is
recorded is skipped. The parts (``--only``):

- ``unseen``, ``known``: terse texts, terse texts with pictures, full texts; a modality that is
  missing at test, with and without modality dropout. Unseen items are those of ``cold_item``: no
  event of theirs is in training. For them also fusion by an MLP, and a CNN.
- ``ids``: the three inputs of known items again, with an embedding of each item's id.
- ``context``: season, weekday, weather, place and session of the query, one at a time; the first
  three together.
- ``control``: all three in a world whose dials ``season``, ``weekday`` and ``weather`` are off.
- ``pretrained``: frozen features of EfficientNet-Lite0 as pictures, where its packages are
  installed; its rivals are of the part ``unseen``.

``results/multimodal/bazaar.csv`` has the paired difference of each cell and its rival, by seed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from experiments.arguments import add_settings_argument, read_settings
from experiments.compare import paired_values
from experiments.records import Records, RunKey, summary
from m6rec_lite.data import (
    Dataset,
    Split,
    bazaar,
    cold_item,
    leave_one_out,
    load_dataset,
    pictures,
    terse_items,
)
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation import Cost, evaluate, paired_test
from m6rec_lite.multimodal import MultimodalRecommender

EXPERIMENT = "multimodal"
#: Settings of all fits, beside the defaults. One fit takes 20 to 50 seconds of one core.
RECIPE: dict[str, Any] = {"patience": None}
#: Rate of modality dropout, where there is any.
DROPOUT = 0.3
#: Parts of the context that are dials of the world, and the world without their effects.
CONTEXT = ("season", "weekday", "weather")
OFF = dict.fromkeys(CONTEXT, 0.0)
#: Parts without a dial.
OTHERS = ("place", "session")


@dataclass(frozen=True)
class Cell:
    """One fit and how it is evaluated.

    Attributes:
        name: name of the variant.
        text: ``terse`` or ``full``.
        settings: of the recommender.
        rival: variant of the same part that it is compared with; "" for none.
        missing: modalities that are left out at test in further evaluations.
        more_rivals: further variants that it is compared with.
    """

    name: str
    text: str
    settings: dict[str, Any]
    rival: str = ""
    missing: tuple[str, ...] = ()
    more_rivals: tuple[str, ...] = ()


def _inputs(*ids: str) -> list[Cell]:
    """Return the cells of the three inputs."""
    text, both = {"modalities": (*ids, "text")}, {"modalities": (*ids, "text", "picture")}
    return [
        Cell("terse", "terse", text),
        Cell("terse, picture", "terse", both, "terse", ("picture", "text")),
        Cell("full", "full", text, "terse, picture"),
    ]


_BOTH: dict[str, Any] = {"modalities": ("text", "picture")}
_CHANGED = [
    Cell("terse, picture, mlp", "terse", _BOTH | {"fusion": "mlp"}, "terse, picture"),
    Cell("terse, picture, cnn", "terse", _BOTH | {"picture_encoder": "cnn"}, "terse, picture"),
]
_ITEMS = [
    *_inputs(),
    Cell(
        "terse, picture, dropout",
        "terse",
        _BOTH | {"modality_dropout": DROPOUT},
        "terse, picture",
        ("picture", "text"),
    ),
]


def _context(*parts: str) -> Cell:
    settings = {"modalities": ("id", "text"), "context": parts}
    return Cell(" ".join(parts) or "none", "full", settings, "none" if parts else "")


#: The cells of each part.
PARTS: dict[str, list[Cell]] = {
    "unseen": _ITEMS + _CHANGED,
    "known": _ITEMS,
    "ids": _inputs("id"),
    "context": [_context(), *map(_context, CONTEXT + OTHERS), _context(*CONTEXT)],
    "control": [_context(), _context(*CONTEXT)],
    "pretrained": [
        Cell(
            "terse, pretrained",
            "terse",
            _BOTH | {"picture_encoder": "pretrained"},
            "terse, picture",
            more_rivals=("terse",),
        )
    ],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parts = [name for name in PARTS if name != "pretrained"]
    parser.add_argument("--only", nargs="+", choices=PARTS, default=parts)
    parser.add_argument("--users", type=int, help="people of the control's world (default: 4,600)")
    add_settings_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Fit and evaluate what is not recorded, and write the table of differences."""
    records, settings = Records(options.root / "results"), read_settings(options.set)
    for part in options.only:
        bench = Bench(part, options.users)
        for seed in options.seeds:
            for cell in PARTS[part]:
                keys = keys_of(part, cell, seed)
                if options.again or not all(map(records.is_recorded, keys.values())):
                    record_cell(records, bench, cell, seed, settings, options)
    path = options.root / "results" / EXPERIMENT / "bazaar.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, differences(records).to_csv(index=False, float_format="%.6g"))


class Bench:
    """The data of a part, read when they are first needed.

    Args:
        part: name of ``PARTS``.
        users: people of the control's world; None for those of the bazaar.
    """

    def __init__(self, part: str, users: int | None = None) -> None:
        self.part, self.users = part, users

    @cached_property
    def dataset(self) -> Dataset:
        """The bazaar, or the same world without season, weekday and weather."""
        if self.part != "control":
            return load_dataset("bazaar")
        dials: dict[str, Any] = dict(OFF) if self.users is None else OFF | {"users": self.users}
        return bazaar.generate(slates=0, progress=False, **dials)

    @cached_property
    def split(self) -> Split:
        """Leave-one-out, or the split with unseen items."""
        is_unseen = self.part in ("unseen", "pretrained")
        return cold_item(self.dataset, seed=0) if is_unseen else leave_one_out(self.dataset)

    def items(self, text: str) -> pd.DataFrame:
        """Return the table of items with the texts of a cell, and with pictures."""
        world = self.dataset.oracle.world
        table = terse_items(world) if text == "terse" else self.dataset.items
        return table.assign(picture=list(pictures(world)))


def keys_of(part: str, cell: Cell, seed: int) -> dict[str, RunKey]:
    """Return the key of each evaluation of a cell, by the modality that is missing at test."""
    dataset = "bazaar" if part != "control" else " ".join(["bazaar", *(f"{d}=0" for d in OFF)])
    variants = {"": f"{part}: {cell.name}"}
    variants |= {name: f"{part}: {cell.name}, no {name} at test" for name in cell.missing}
    return {
        name: RunKey(EXPERIMENT, dataset, MultimodalRecommender.__name__, variant, seed)
        for name, variant in variants.items()
    }


def record_cell(
    records: Records,
    bench: Bench,
    cell: Cell,
    seed: int,
    settings: dict[str, Any],
    options: argparse.Namespace,
) -> None:
    """Fit the model of a cell and record all of its evaluations."""
    model = MultimodalRecommender(**RECIPE | cell.settings | settings, seed=seed)
    keys, split, start = keys_of(bench.part, cell, seed), bench.split, time.process_time()
    for key in keys.values():
        more = {"settings": model.get_params(), "split_hash": split.hash}
        records.start(key, command=options.command, **more)
    model.fit(
        split.train,
        items=bench.items(cell.text),
        users=bench.dataset.users,
        weather=bench.dataset.weather,
        progress=not options.quiet,
    )
    seconds = time.process_time() - start
    for missing, key in keys.items():
        scored = model.without(missing) if missing else model
        report = evaluate(scored, split, fit_cost=Cost(seconds, float("nan")), progress=False)
        last = {"training loss of the last epoch": float(model.history.frame()["loss"].iloc[-1])}
        records.finish(key, summary(report) | last, history=model.history.frame(), ranks=report)
        print(f"{key.variant}, seed {seed}: {report['ndcg@10']:.4f} ({seconds:.0f} s)", flush=True)


def pairs() -> Iterator[tuple[str, Cell, str, str]]:
    """Yield part, cell, missing modality, and the variant that it is compared with."""
    for part, cells in PARTS.items():
        for cell in cells:
            own = "unseen" if part == "pretrained" else part
            for rival in filter(None, (cell.rival, *cell.more_rivals)):
                yield part, cell, "", f"{own}: {rival}"
            for missing in cell.missing:
                plain = cell.name.removesuffix(", dropout")
                rival = cell.name if plain == cell.name else f"{plain}, no {missing} at test"
                yield part, cell, missing, f"{part}: {rival}"


def differences(records: Records) -> pd.DataFrame:
    """Return one row for each recorded cell, seed and rival, with the paired difference.

    Returns:
        Columns ``part variant seed ndcg@10 rival difference low high run``.
    """
    frame = records.frame()
    if not len(frame):
        return frame
    frame = frame[frame["experiment"] == EXPERIMENT].set_index(["variant", "seed"])
    variants = [
        key.variant
        for part, cells in PARTS.items()
        for cell in cells
        for key in keys_of(part, cell, 0).values()
    ]
    frame = frame.loc[sorted(frame.index, key=lambda pair: (variants.index(pair[0]), pair[1]))]
    rivals: dict[str, list[str]] = {}
    for part, cell, missing, rival in pairs():
        rivals.setdefault(keys_of(part, cell, 0)[missing].variant, []).append(rival)
    rows = []
    for (variant, seed), row in frame.iterrows():
        part, _, name = variant.partition(": ")
        entry = {"part": part, "variant": name, "seed": seed, "ndcg@10": row["ndcg@10"]}
        entry |= {"run": row["id"]}
        others = [rival for rival in rivals.get(variant, []) if (rival, seed) in frame.index]
        for rival in others:
            other = frame.loc[(rival, seed)]
            test = paired_test(*paired_values(records, row["id"], other["id"], "ndcg@10")[1:])
            result = {"rival": rival.partition(": ")[2], "difference": test.mean_difference}
            rows.append(entry | result | {"low": test.low, "high": test.high})
        if not others:
            rows.append(entry)
    return pd.DataFrame(rows)
