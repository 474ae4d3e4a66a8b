"""The model card of a pretrained model: architecture, data, training cost and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from m6rec_lite.training.guard import in_words

#: Descriptions of data sets by name.
DATA = {
    "bazaar": (
        "The bazaar, this project's own simulated world (`m6rec_lite.data.bazaar`; card in "
        "`datasets/README.md`). Its shoppers are invented: no real person's behaviour is in it. "
        "English, with a Chinese share."
    ),
}
_OTHER = (
    "{name}. The model can reproduce its titles and histories; the licence of the data set decides "
    "whether the model may be redistributed (that of MovieLens forbids redistributing its rows)."
)

_TASKS = {
    "gpt": "A decoder-only Transformer (GPT-2's architecture) that predicts the next token",
    "bert": "A Transformer encoder (BERT's architecture) that predicts masked tokens",
}
_READ = {"gpt": "AutoModelForCausalLM", "bert": "AutoModelForMaskedLM"}


def model_card(name: str, about: Mapping[str, Any]) -> str:
    """Return the text of ``README.md``.

    Args:
        name: name of the model.
        about: content of ``pretraining.json``.
    """
    recipe, free = about["recipe"], about["dataset"].partition("(")[0] in DATA
    passes = recipe["epochs"]
    lines = [
        f"---\nlicense: {'apache-2.0' if free else 'other'}\nlanguage: [en, zh]\n"
        "library_name: transformers\n---\n",
        f"# {name}\n",
        f"{_TASKS[recipe['kind']]} of behaviour written as text, and of item texts. "
        f"{about['parameters']:,} parameters: {recipe['num_hidden_layers']} layers, hidden size "
        f"{recipe['hidden_size']}, {recipe['num_attention_heads']} heads, "
        f"{recipe['vocab_size']:,} tokens at most, {recipe['window']} positions.\n",
        "## Data\n",
        of_data(about["dataset"]) + "\n",
        f"The model was trained on the training rows of the split {about['split']}; validation and "
        "test targets are not in the texts.\n",
        "| documents | training | held out |",
        "|---|---|---|",
        *(
            f"| {kind} | {each['learnt from']:,} | {each['kept back']:,} |"
            for kind, each in about["documents"].items()
        ),
        "\n## Training\n",
        f"    {about['command'] or '(called from Python: see pretraining.json for the recipe)'}\n",
        f"{'One pass' if passes == 1 else f'{passes} passes'} over {about['tokens']:,} tokens took "
        f"{in_words(about['seconds'] / 60)} on a {about['device']} (threads: {about['threads']}). "
        f"Seed {recipe['seed']}.\n",
        "## Measured on the held-out documents\n",
        "| documents | tokens | nats per token | perplexity | bits per byte |",
        "|---|---|---|---|---|",
        *(
            f"| {kind} | {each['tokens']:,.0f} | {each['nats_a_token']:.4f} | "
            f"{each['perplexity']:.3f} | {each['bits_a_byte']:.4f} |"
            for kind, each in about["metrics"].items()
        ),
        "",
        _remark(recipe["kind"]),
        "\n## Use\n",
        "```python\nfrom transformers import AutoTokenizer, "
        f"{_READ[recipe['kind']]}\n\n"
        f'model = {_READ[recipe["kind"]]}.from_pretrained("checkpoints/{name}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("checkpoints/{name}")\n```\n',
        "It knows this data set and nothing else: it is for the course's lessons, not for general "
        "text.\n",
        "## Licence\n",
        "That of the project (Apache-2.0)." if free else "See the data set's.",
    ]
    return "\n".join(lines) + "\n"


def of_data(name: str) -> str:
    """Describe a data set; ``bazaar(seed=1)`` names a bazaar with other settings."""
    base, _, settings = name.partition("(")
    if base not in DATA:
        return _OTHER.format(name=name)
    if not settings:
        return DATA[base]
    return (
        f"{DATA[base]} It is not the one that is shipped: `bazaar.generate({settings}` has other "
        "shoppers and other items."
    )


def _remark(kind: str) -> str:
    if kind == "gpt":
        return (
            "Special tokens are predicted too and have no bytes; their nats are included in the "
            "bits. No document of a held-out user or item was used for training, but titles of "
            "held-out items occur in other users' behaviour."
        )
    return (
        "Only masked tokens are predicted, each from both sides: these metrics can be compared "
        "with those of a BERT with the same masking, not with a GPT's."
    )
