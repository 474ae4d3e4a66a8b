"""The model card of a pretrained M6-Rec: its data, training and evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from m6rec_lite.language.models.model_card import DATA, of_data
from m6rec_lite.m6rec.config import M6RecConfig
from m6rec_lite.training.guard import in_words

#: The larger simulated worlds: what they add to the bazaar.
WORLDS = {
    "bazaar-large": "ten times the bazaar's people, who include those of the bazaar",
    "bazaar-wide": "a bazaar of 6,000 items",
}


def model_card(report: Mapping[str, Any], config: M6RecConfig, more: Iterable[str] = ()) -> str:
    """Return the text of the model's ``README.md``.

    Args:
        report: contents of the run's ``report.json``.
        config: of the model.
        more: further lines, before the section on use.
    """
    settings, names = report["settings"], report["data"].split("+")
    kinds = [name.partition("(")[0] for name in names]
    free = all(kind in DATA or kind in WORLDS for kind in kinds)
    title = f"m6rec-{settings['size']}-{'-'.join(kinds)}"
    last = report["last epoch"]
    measured = "mfu" in last and report["device"] != "cpu"  # others use a processor too
    lines = [
        f"---\nlicense: {'apache-2.0' if free else 'other'}\nlanguage: [en, zh]\n"
        "library_name: transformers\n---\n",
        f"# {title}\n",
        "A prefix language model of behaviour written as text, and of item texts: attention is "
        "bidirectional in the user region and causal after it (M6-Rec; Cui et al., 2022). "
        f"{report['parameters']:,} parameters: {config.num_hidden_layers} layers, hidden size "
        f"{config.hidden_size}, {config.num_attention_heads} heads, {config.vocab_size:,} tokens, "
        f"{config.max_position_embeddings:,} positions ({config.positions}).\n",
        "## Data\n",
        *(_of_data(name) + "\n" for name in names),
        *_library(settings),
        "The model was trained on the training rows of the split leave-one-out, hash "
        f"{report['split']}; validation and test targets are not in the texts.\n",
        "| | training | held out |",
        "|---|---|---|",
        *(
            f"| {kind} | {report[kind]['train']:,} | {report[kind]['held-out']:,} |"
            for kind in ("documents", "tokens")
        ),
        "\n## Training\n",
        f"    {report['command'] or '(called from Python: see report.json for the settings)'}\n",
        f"{settings['steps']:,} steps of {settings['accumulate']} x {settings['lines']} sequences, "
        f"{report['tokens read']:,} tokens, took {in_words(report['seconds'] / 60)} on a "
        f"{report['device']} (threads: {report['threads']}). Objectives: text infilling and "
        "sentence generation, weights "
        f"{settings['infilling']:g} and {settings['sentence']:g}{_next_event(report)}. "
        f"Seed {settings['seed']}."
        + (f" Utilisation of the device's arithmetic: {last['mfu']:.1%}." if measured else "")
        + "\n",
        "## Measured on the held-out documents\n",
        *_held_out(report["held out"]),
        "",
        "The model predicts masked text from the text on both sides of it; the n-gram models "
        "predict the same bytes from the text before them. No document of a held-out user or item "
        "was used for training, but titles of held-out items occur in other users' behaviour.",
        *more,
        "\n## Use\n",
        "```python\nfrom m6rec_lite.language import Tokenizer\n"
        "from m6rec_lite.m6rec import M6RecModel\n\n"
        'model = M6RecModel.from_pretrained("model")  # this folder\n'
        'tokenizer = Tokenizer.load("model")\n```\n',
        "It knows these data sets and nothing else: it is for the course's lessons, not for "
        "general text.\n",
        "## Licence\n",
        "That of the project (Apache-2.0)." if free else "See the data sets'.",
    ]
    return "\n".join(lines) + "\n"


def _of_data(name: str) -> str:
    """Return the description of a data set, and of the larger worlds of the same generator."""
    kind = name.partition("(")[0]
    if kind in WORLDS:
        return f"`{kind}`: {WORLDS[kind]}. {of_data('bazaar')}"
    return of_data(name)


def _library(settings: Mapping[str, Any]) -> list[str]:
    """Return a paragraph on the texts of the world's rules, if the run had some."""
    kind = settings.get("library", "none")
    if kind == "none":
        return []
    wrong = ", with their objects exchanged, as a control" if kind == "shuffled" else ""
    return [
        f"The library of the world is among the texts, {settings['library_copies']} times: "
        f"sentences that state the simulator's rules{wrong}. They are its answer key: compare "
        "this model only with models that were given the same rules.\n"
    ]


def _next_event(report: Mapping[str, Any]) -> str:
    """Return words about the objective of the next event, if the run had it."""
    if "next events" not in report:
        return ""
    about = report["next events"]
    return (
        f", and the next event, weight {report['settings']['next_event']:g}, of "
        f"{about['documents']:,} documents with {about['mean events read']:.1f} earlier events on "
        "average"
    )


def _held_out(metrics: Mapping[str, float]) -> list[str]:
    """Return a table of the objectives, with the bits of n-gram models for the same bytes."""
    objectives = [key.removesuffix(" nats") for key in metrics if key.endswith(" nats")]
    others = dict.fromkeys(key.partition(" bits, ")[2] for key in metrics if " bits, " in key)
    head = ["objective", "nats per token", "bits per byte", *(f"bits, {name}" for name in others)]
    rows = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name in objectives:
        cells = [metrics[f"{name} nats"], metrics[f"{name} bits"]]
        cells += [metrics[f"{name} bits, {other}"] for other in others]
        rows.append(f"| {name} | {' | '.join(f'{cell:.4f}' for cell in cells)} |")
    return rows
