"""The data card of what lies around the bazaar: larger worlds, library, pictures, friendships.

Every figure of the card is computed here. ``write_card`` generates the larger worlds if they are
not on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.pages.regions import fill
from m6rec_lite.data import (
    Dataset,
    friendships,
    leave_one_out,
    library,
    library_rules,
    load_dataset,
    pictures,
    terse_items,
)
from m6rec_lite.data.bazaar import WORLD_VERSION, WORLDS, Dials
from m6rec_lite.evaluation.report import markdown_table

REGION = "worlds card"
#: First words of the region; the card is written again when the version changes.
FACT = f"World version {WORLD_VERSION}."
#: Section of the results on the Bayes filter.
RESULTS = "../docs/results.md#what-can-be-known-of-a-shopper-the-bayes-filter"
#: Pairs of shoppers that are drawn to compare friends with.
PAIRS = 100_000


def world_table(worlds: Mapping[str, Dataset]) -> pd.DataFrame:
    """Return one row for each world: its parameters, its size, and its default split."""
    default, rows = Dials().as_dict(), []
    for name, world in worlds.items():
        dials, split = world.oracle.world.dials.as_dict(), leave_one_out(world)
        changed = [f"{key}={value}" for key, value in dials.items() if value != default[key]]
        events = np.sort(world.interactions["item_id"].value_counts().to_numpy())[::-1]
        rows.append(
            {
                "name": name,
                "parameters": " ".join(changed) or "defaults",
                "people": f"{len(world.users):,}",
                "items": f"{len(world.items):,}",
                "events": f"{len(world.interactions):,}",
                "events of the top tenth of the items": (
                    f"{events[: len(events) // 10].sum() / events.sum():.0%}"
                ),
                "test users": f"{len(split.test):,}",
                "items of the split": f"{split.train.n_items:,}",
                "hash of the test pairs": f"`{split.hash}`",
            }
        )
    return pd.DataFrame(rows)


def check_prefix(small: Dataset, large: Dataset) -> None:
    """Check that the people of one world are the first of another, with all their rows.

    Raises:
        ValueError: if a table differs.
    """
    last = int(small.users["user_id"].max())
    for name in ("users", "interactions"):
        ours, theirs = getattr(small, name), getattr(large, name)
        theirs = theirs[theirs["user_id"] <= last]
        columns = ["user_id", *(["item_id", "timestamp"] if name == "interactions" else [])]
        if not np.array_equal(ours[columns].to_numpy(), theirs[columns].to_numpy()):
            raise ValueError(
                f"the first rows of {large.name}'s {name} are not those of {small.name}: move "
                f"the folder of {large.name} away, and it is generated again"
            )


def library_table(dataset: Dataset) -> pd.DataFrame:
    """Return one row for each kind of rule of the library: counts, and a sentence of a text."""
    world = dataset.oracle.world
    rules = Counter(rule.kind for rule in library_rules(world))
    texts = library(world)
    number = Counter(text.rules[0].kind for text in texts)
    examples: dict[str, str] = {}
    for text in texts:
        if text.locale == "en" and not text.held_out:
            examples.setdefault(text.rules[0].kind, text.text)
    return pd.DataFrame(
        {
            "kind of rule": list(rules),
            "rules": list(rules.values()),
            "texts": [number[kind] for kind in rules],
            "the first English text": [
                examples.get(kind, "").partition(";")[0].rstrip(".") for kind in rules
            ],
        }
    )


def terse_table(dataset: Dataset, items: pd.DataFrame) -> pd.DataFrame:
    """Return the texts of an English item with a terse text: as shipped, and terse.

    Args:
        dataset: the bazaar.
        items: see ``terse_items``.
    """
    english = ~items["title"].astype(str).str.contains(r"[\u4e00-\u9fff]")
    row = int(np.flatnonzero((items["terse"] & english).to_numpy())[0])
    return pd.DataFrame(
        [
            {"text": name, "title": table["title"].iloc[row],
             "description": table["description"].iloc[row]}
            for name, table in (("shipped", dataset.items), ("terse", items))
        ]
    )  # fmt: skip


def friend_table(dataset: Dataset, pairs: pd.DataFrame) -> pd.DataFrame:
    """Compare pairs of friends with random pairs of shoppers.

    Args:
        dataset: the bazaar.
        pairs: see ``friendships``.
    """
    users = dataset.users.set_index("user_id")
    shoppers = dataset.oracle.world.shoppers
    taste = shoppers.early + shoppers.late
    taste = taste / np.linalg.norm(taste, axis=1, keepdims=True)
    random = np.random.default_rng(0).choice(users.index.to_numpy(), (2, PAIRS))
    rows = []
    drawn = random[:, random[0] != random[1]]
    for name, (one, other) in (("friends", pairs.to_numpy().T), ("random pairs", drawn)):
        same = {
            f"same {label}": (users.loc[one, key].to_numpy() == users.loc[other, key].to_numpy())
            for label, key in (("city", "city"), ("age band", "age_band"))
        }
        cosine = np.einsum("ij,ij->i", taste[one - 1], taste[other - 1])
        rows.append(
            {"pairs": name}
            | {label: f"{equal.mean():.0%}" for label, equal in same.items()}
            | {"mean cosine of the tastes": f"{cosine.mean():.2f}"}
        )
    return pd.DataFrame(rows)


def card(bazaar: Dataset, worlds: Mapping[str, Dataset]) -> str:
    """Return the text of the card.

    Args:
        bazaar: the shipped bazaar.
        worlds: larger worlds by name, see ``WORLDS``.
    """
    world = bazaar.oracle.world
    texts, items = library(world), terse_items(world)
    chinese, held_out = (
        np.mean([condition(text) for text in texts])
        for condition in (lambda text: text.locale == "zh", lambda text: text.held_out)
    )
    images, pairs = pictures(world), friendships(world)
    return f"""{FACT} These parts do not change the tables above.

**Larger worlds.** `load_dataset("bazaar-large")` and `load_dataset("bazaar-wide")` are simulated on
first use by the generator of the bazaar, and kept on disk. `bazaar-large` has ten times the people
and the same items: its first {len(bazaar.users):,} people, with all their rows, are those of the
bazaar. Train on its other people to see what more data buy for the same test questions.
`bazaar-wide` is another world, with about as many people and more items, so that fewer events fall
on each item.

{markdown_table(world_table({"bazaar": bazaar, **worlds}))}

Results on them stand in [docs/results.md](../docs/results.md). Further parts are computed from a
world when they are asked for, and not stored. The same world gives the same result:

```python
from m6rec_lite.data import friendships, library, load_dataset, pictures, terse_items

world = load_dataset("bazaar").oracle.world  # bazaar-large and bazaar-wide have one too
texts = library(world)  # and library(world, shuffled=True)
items = terse_items(world)
images = pictures(world)
friends = friendships(world)
```

**The library** is a set of {len(texts):,} sentences that state how the world works, {chinese:.0%}
of them in Chinese and the others in English. It stands for the general text that a large language
model has read. It is written from the rules of the simulator: no user, no event, and no popularity
or quality of an item enters it. Each text lists the rules that it states. {held_out:.0%} of the
texts are held out for measuring perplexity; their rules are also stated by training texts, in other
phrasings. `language.library_corpus(dataset)` makes it a corpus; nothing reads it by default.

{markdown_table(library_table(bazaar))}

*The library is the simulator's answer key*, so a result with it needs three controls: the same
sentences about wrong pairs of words (`shuffled=True`), which teach the words but no rule; simple
models such as TF-IDF or EASE that are given the same rules as features; and a real language model
on real data (MovieLens), where the text was not written to fit the log.

**Terse texts.** The shipped texts of an item say its style and level. In `terse_items(world)`,
{items["terse"].mean():.0%} of the items have the text of a seller who says neither (column
`terse`). For example:

{markdown_table(terse_table(bazaar, items))}

**Pictures.** `pictures(world)` is an array of shape `{images.shape}` and type `{images.dtype}`
({images.nbytes / 2**20:.1f} MiB): one image for each item. The pattern shows the style, the marks
at the lower edge the level. The colour of the ground gives a faint hint of interest and domain, and
every pixel has noise. Popularity, quality and price do not enter a picture.

**Friendships.** `friendships(world)` has one row for each of {len(pairs):,} pairs of friends,
{2 * len(pairs) / len(bazaar.users):.1f} friends for each shopper on average. They are drawn from
what two shoppers have in common; no event of the log enters. In `bazaar-large` friends are of the
same block of {world.dials.users:,} shoppers, and those of the first block are the bazaar's.

{markdown_table(friend_table(bazaar, pairs))}

**The Bayes filter** (`m6rec_lite.data.BayesFilter`) ranks by the probabilities that follow
from the observed events and the rules of the world. The oracle knows the hidden state of a shopper,
which no model can know; the filter infers it. With enough states it is exact for a known shopper.
For an inferred one it is an approximation: a better one could rank better still. What it reaches,
and what each part of the rules buys, stands in the [results]({RESULTS}).
"""


def write_card(bazaar: Dataset, page: Path, *, progress: bool = True) -> bool:
    """Write the card to the region ``worlds card`` of a page; return whether the page changed.

    Args:
        bazaar: the shipped bazaar.
        page: ``datasets/README.md``.
        progress: whether to show progress bars while a world is generated.

    Raises:
        ValueError: if the people of the bazaar are not the first of ``bazaar-large``.
    """
    worlds = {name: load_dataset(name, progress=progress) for name in WORLDS}
    check_prefix(bazaar, worlds["bazaar-large"])
    return fill(page, REGION, card(bazaar, worlds))
