"""The model card of ``checkpoints/bazaar-retriever``, written from its files and the records."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.compare import compare_runs
from experiments.pretrained_retriever import FINE_TUNING, key_of, variants
from experiments.records import CONFIG, METRICS, REPORT, Records, read_history
from m6rec_lite.data.bazaar import WORLDS
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation.report import markdown_table
from m6rec_lite.language.models.card_example import run_code
from m6rec_lite.language.models.model_card import of_data
from m6rec_lite.training.guard import in_words

FOLDER = Path("checkpoints") / "bazaar-retriever"

CODE = f"""from m6rec_lite.data import leave_one_out, load_dataset
from m6rec_lite.m6rec import M6RecRetriever

shop = load_dataset("bazaar")
split = leave_one_out(shop)
model = M6RecRetriever.load("{FOLDER.as_posix()}")
model = model.for_catalogue(split.item_ids, items=shop.items)
first = model.recommend(split.test.histories[:1], k=3)
print(first["item_id"].tolist())
"""

_HEAD = "---\nlicense: apache-2.0\nlanguage: [en, zh]\nlibrary_name: m6rec_lite\n---\n"

_LIMITS = """## Limits

- It knows the items of the bazaar by their ids and texts. `for_catalogue` describes any other item
  by its text alone, in the words of its tokenizer, which was trained on the bazaar's texts.
- It was trained and measured in one simulated world, with one seed; people, items and rules of
  choice are those of the world it is evaluated in. On other data nothing is measured.
- It reads the latest {max_length} events of a history and the time between them, not the query
  time, and nothing about the person.
- The items of the history were left out of its training softmax: it is not for repeat consumption
  (`filter_viewed=False`).
"""


def write_card(root: Path) -> Path | None:
    """Write ``README.md`` of the checkpoint; return its path, or None without the checkpoint."""
    card = root / FOLDER / "README.md"
    if not (root / FOLDER / "config.json").is_file():
        return None
    write_text(card, card_text(root, _output(root, card)))
    return card


def card_text(root: Path, output: str) -> str:
    """Return the card.

    Args:
        root: the project's folder.
        output: what ``CODE`` prints.
    """
    records = Records(root / "results")
    model = read_json(root / FOLDER / "config.json")
    settings, shown = model["settings"], variants({})
    key = key_of(model["class"], shown[0], model["settings"]["seed"])
    tuned = key_of(model["class"], shown[1], key.seed)
    report = read_json(records.folder(key) / REPORT)
    config = read_json(records.folder(key) / CONFIG)
    world = WORLDS["bazaar-large"]
    rival = key_of("EASE", "decay=0.8, all people's rows", key.seed)
    history = read_history(records.folder(key) / METRICS)
    lines = [
        _HEAD,
        f"# {FOLDER.name}\n",
        "M6-Rec's blocks over one vector for each item, of its text and its id: the recommender "
        f"`{model['class']}`, after M6-Rec (Cui et al., 2022). "
        f"{int(report['costs']['n_params']):,} parameters with the catalogue of `bazaar`; size "
        f"{settings['size']}, {settings['vocab_size']:,} tokens, vectors of "
        f"{settings['dimensions']} dimensions, the latest {settings['max_length']} events.\n",
        "## Data\n",
        of_data("bazaar") + "\n",
        f"The model was trained on {(world.blocks - 1) * world.users:,} people of `bazaar-large`: "
        f"those who are not among the {world.users:,} of `bazaar`. No row of a person of `bazaar` "
        "was used for training; both worlds have the same items and rules.\n",
        "## Training\n",
        f"    {config['command']}\n",
        f"{_training(history, config)} Seed {key.seed}.\n",
        "## Measured on the test questions of `bazaar`\n",
        f"{report['n_users']:,} questions (leave-one-out, hash {report['split_hash']}): all items "
        "are ranked that the person has not met.\n",
        markdown_table(_results(records, key.seed)),
        "\nPaired differences in NDCG@10, with 95 % intervals:\n",
        f"- without further training, minus EASE fitted to all people's rows: "
        f"{difference(records, key.id, rival.id)};",
        f"- fine-tuned, minus without further training: {difference(records, tuned.id, key.id)}.\n",
        "## Use\n",
        f"```python\n{CODE}```\n\nprints\n\n```text\n{output}```\n",
        "In a checkout, `m6rec_lite.language.checkpoints()` gives the folder by its name. "
        "Fine-tuned on the shop's own rows:\n",
        "```python\nmodel.adapt(split.train, validation=split.validation, "
        f"epochs={FINE_TUNING['epochs']}, lr={FINE_TUNING['lr']:g})\n```\n",
        _LIMITS.format(max_length=settings["max_length"]),
        "## Licence\n",
        "That of the project (Apache-2.0).",
    ]
    return "\n".join(lines) + "\n"


def difference(records: Records, first: str, second: str) -> str:
    """Return the paired difference of two runs in NDCG@10, as text with its interval."""
    _, test = compare_runs(records, first, second)
    return f"{test.mean_difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]"


def _training(history: pd.DataFrame, config: dict[str, Any]) -> str:
    """Return a sentence on the epochs, their time, and validation."""
    ndcg = history["ndcg@10"]
    best = int(history.loc[ndcg.idxmax(), "epoch"])
    state = "still rising" if best == len(history) else f"best after epoch {best}"
    minutes = in_words(config["pretraining_seconds"] / 60)
    return (
        f"{len(history)} epochs took {minutes} on a cpu (threads: {config['threads']}). "
        f"Validation NDCG@10, on these people, was {ndcg.iloc[0]:.4f} after the first epoch and "
        f"{ndcg.iloc[-1]:.4f} after the last: {state}."
    )


def _results(records: Records, seed: int) -> pd.DataFrame:
    """Return the rows of the table: this model, and rivals of the same rows."""
    kinds = ("the shop's rows", "the other people's rows", "all people's rows")
    pretrained, tuned = variants({})
    rows = [
        ("this model", "the other people's rows", key_of("M6RecRetriever", pretrained, seed)),
        ("this model, fine-tuned", "all people's rows", key_of("M6RecRetriever", tuned, seed)),
    ]
    for name in ("EASE", "ItemKNN"):
        rows += [(f"{name} (decay=0.8)", k, key_of(name, f"decay=0.8, {k}", seed)) for k in kinds]
    table = []
    for name, trained_on, key in rows:
        if records.is_recorded(key):
            report = read_json(records.folder(key) / REPORT)
            low, high = report["intervals"]["ndcg@10"]
            table.append(
                {"model": name, "trained on": trained_on}
                | {f"{m}@10".upper(): f"{report['metrics'][f'{m}@10']:.4f}" for m in ("hr", "ndcg")}
                | {"NDCG@10, 95 %": f"[{low:.4f}, {high:.4f}]"}
            )
    return pd.DataFrame(table)


def _output(root: Path, card: Path) -> str:
    """Return what ``CODE`` prints, from the card if it has the same code, else by running it."""
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    _, code, after = text.partition(f"```python\n{CODE}```\n\nprints\n\n```text\n")
    if code:
        return after.partition("```")[0]
    with contextlib.chdir(root):
        return run_code(CODE)
