"""The formats of ``GPT2LMHeadModel`` and ``BertForMaskedLM`` of ``transformers``.

``transformers`` itself reads and writes the files; this module maps configurations and weights.
GPT-2 stores the weights of its linear maps transposed, as ``(in, out)`` (``Conv1D``). BERT stores
the projections of queries, keys and values in three matrices, where ``nn.attention`` has one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tokenizers
import torch
from tokenizers.processors import TemplateProcessing
from torch import Tensor

from m6rec_lite.language.models.model_folder import ModelError, save_model_files
from m6rec_lite.language.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

#: Activation functions by the names that ``transformers`` uses, and the names by function.
ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
_NAMES = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_new"}

#: Each weight of a model with the weights of the other one whose concatenation it is.
Pairs = Iterator[tuple[Tensor, list[Tensor]]]


@dataclass(frozen=True)
class Format:
    """The correspondence between a model of this package and one of ``transformers``.

    Attributes:
        name: of the architecture, for messages.
        model_type: of the architecture, in ``config.json``.
        model_class: name of the class in ``transformers``.
        advice: what to do with another architecture, for messages.
        names: names in ``transformers`` of those fields of the configuration that have another.
        dropout: names of further dropout rates, which equal the field ``dropout``.
        supported: values that are implemented here, by field of ``transformers``.
        pairs: function from a model and its counterpart to their weights.
        token_ids: special tokens by the field with their id, where they are no fields here.
        may_lack: prefixes of the weights that are initialised at random where they are missing.
        wraps: whether the saved tokenizer puts ``[CLS] … [SEP]`` around a text, as in training.
    """

    name: str
    model_type: str
    model_class: str
    advice: str
    names: Mapping[str, str]
    dropout: tuple[str, ...]
    supported: Mapping[str, Any]
    pairs: Callable[[Any, Any], Pairs]
    token_ids: Mapping[str, str] = field(default_factory=dict)
    may_lack: tuple[str, ...] = ()
    wraps: bool = False


def to_transformers(model: Any, tokenizer: Tokenizer | None = None) -> PreTrainedModel:
    """Convert a model to ``transformers``, with the same weights, dtype and logits.

    Args:
        model: on any device.
        tokenizer: sets the ids of the tokens that begin, end and pad a text in ``generate``.
    """
    import transformers

    form: Format = model.format
    values = {
        form.names.get(f.name, f.name): getattr(model.config, f.name) for f in fields(model.config)
    }
    values["tokenizer_fingerprint"] = values.pop("tokenizer")
    values[form.names["activation"]] = _NAMES[model.config.activation]
    values |= dict.fromkeys(form.dropout, model.config.dropout)
    for key, token in form.token_ids.items():
        values[key] = None if tokenizer is None else tokenizer.id(token)
    if values.get("intermediate_size", ...) is None:  # GPT-2 has n_inner, which may be None
        values["intermediate_size"] = 4 * model.config.hidden_size
    kind = getattr(transformers, form.model_class)
    with torch.random.fork_rng():  # the constructor draws initial weights, which are replaced
        other = kind(kind.config_class(**values)).to(model.tokens.weight.dtype)
    with torch.no_grad():
        for weight, targets in form.pairs(model, other):
            for target, part in zip(targets, weight.chunk(len(targets)), strict=True):
                target.copy_(part)
    return other.eval()


def from_transformers(kind: Any, other: PreTrainedModel) -> Any:
    """Convert a model of ``transformers``, with the same weights, dtype and logits.

    Args:
        kind: class of the result.
        other: its counterpart.

    Raises:
        ModelError: if it is a variant of the architecture that the class does not implement.
    """
    form: Format = kind.format
    rates = {getattr(other.config, name) for name in (form.names["dropout"], *form.dropout)}
    config = _config(kind, other.config)
    if len(rates) > 1:
        logger.warning(
            "this %s was trained with several dropout rates, %s; %s has one, and takes %s=%s",
            form.name, sorted(rates), kind.__name__, form.names["dropout"], config.dropout,
        )  # fmt: skip
    with torch.random.fork_rng():
        model = kind(config).to(next(other.parameters()).dtype)
    with torch.no_grad():
        for weight, parts in form.pairs(model, other):
            weight.copy_(torch.cat(parts))
    return model.eval()


def _config(kind: Any, config: Any) -> Any:
    """Convert the configuration of a model of ``transformers``."""
    form: Format = kind.format
    activation = form.names["activation"]
    unsupported = {
        name: getattr(config, name)
        for name, supported in form.supported.items()
        if getattr(config, name, supported) != supported
    }
    if getattr(config, activation) not in ACTIVATIONS:
        unsupported[activation] = getattr(config, activation)
    if unsupported:
        raise ModelError(
            f"this {form.name} has {', '.join(f'{k}={v!r}' for k, v in unsupported.items())}, "
            f"which {kind.__name__} does not support: open it with {form.model_class} of "
            "transformers"
        )
    names = [f.name for f in fields(kind.config_class) if f.name != "tokenizer"]
    values = {name: getattr(config, form.names.get(name, name)) for name in names}
    values["activation"] = ACTIVATIONS[values["activation"]]
    return kind.config_class(**values, tokenizer=getattr(config, "tokenizer_fingerprint", None))


def write(model: Any, folder: Path, tokenizer: Tokenizer | None = None) -> Path:
    """Write a model and, if given, its tokenizer; see ``model_folder.save_model_files``."""
    other = to_transformers(model, tokenizer)
    if tokenizer is not None and model.format.wraps:
        tokenizer = _with_cls_and_sep(tokenizer)
    return save_model_files(folder, other, tokenizer)


def read(kind: Any, name: str | Path) -> Any:
    """Load a model by folder or name (``hub.find_model``), in ``eval`` mode and its own dtype.

    A BERT without a masked-language-model head gets one with random weights, and a warning is
    logged: its hidden states can be used, its logits only after training.

    Raises:
        ModelError: if there is no such model, or the class does not implement it.
    """
    import transformers

    from m6rec_lite.language.models.hub import load_config, load_model

    form: Format = kind.format
    config = load_config(name)
    if config.model_type != form.model_type:
        raise ModelError(f"{name} is a {config.model_type}, not a {form.name}: {form.advice}")
    _config(kind, config)  # raises before the weights are loaded
    source = getattr(transformers, form.model_class)
    other, missing = load_model(source, name, may_lack=form.may_lack)
    if missing:
        logger.warning(
            "%s has no head that predicts masked tokens: use its hidden states, or train the new "
            "head before you use its logits",
            name,
        )
    return from_transformers(kind, other)


def _with_cls_and_sep(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy that puts ``[CLS] … [SEP]`` around each text in ``transformers``."""
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return Tokenizer(backend)


def _module_pairs(modules: list[tuple[Any, list[Any]]]) -> Pairs:
    """Yield the weights and the biases of modules with those of their counterparts."""
    for module, parts in modules:
        yield module.weight, [part.weight for part in parts]
        yield module.bias, [part.bias for part in parts]


def _gpt2_pairs(model: Any, other: Any) -> Pairs:
    trunk = other.transformer
    yield model.tokens.weight, [trunk.wte.weight]
    yield model.positions.weight, [trunk.wpe.weight]
    norms = [(model.transformer.norm, [trunk.ln_f])]
    for block, layer in zip(model.transformer.blocks, trunk.h, strict=True):
        norms += [(block.norm_attention, [layer.ln_1]), (block.norm_ffn, [layer.ln_2])]
        for linear, transposed in (
            (block.attention.qkv, layer.attn.c_attn),
            (block.attention.out, layer.attn.c_proj),
            (block.up_proj, layer.mlp.c_fc),
            (block.down_proj, layer.mlp.c_proj),
        ):
            yield linear.weight, [transposed.weight.t()]
            yield linear.bias, [transposed.bias]
    yield from _module_pairs(norms)


def _bert_pairs(model: Any, other: Any) -> Pairs:
    embeddings, head = other.bert.embeddings, other.cls.predictions
    yield model.tokens.weight, [embeddings.word_embeddings.weight]
    yield model.positions.weight, [embeddings.position_embeddings.weight]
    yield model.segments.weight, [embeddings.token_type_embeddings.weight]
    yield model.bias, [head.bias]
    modules = [
        (model.norm, [embeddings.LayerNorm]),
        (model.dense, [head.transform.dense]),
        (model.norm_head, [head.transform.LayerNorm]),
    ]
    for block, layer in zip(model.transformer.blocks, other.bert.encoder.layer, strict=True):
        attention, output = layer.attention.self, layer.attention.output
        modules += [
            (block.attention.qkv, [attention.query, attention.key, attention.value]),
            (block.attention.out, [output.dense]),
            (block.norm_attention, [output.LayerNorm]),
            (block.up_proj, [layer.intermediate.dense]),
            (block.down_proj, [layer.output.dense]),
            (block.norm_ffn, [layer.output.LayerNorm]),
        ]
    yield from _module_pairs(modules)


GPT2 = Format(
    name="GPT-2",
    model_type="gpt2",
    model_class="GPT2LMHeadModel",
    advice=(
        "open it with AutoModelForCausalLM and wrap it in language.CausalLM, which generates and "
        "scores text as GPT does"
    ),
    names={
        "intermediate_size": "n_inner",
        "activation": "activation_function",
        "dropout": "resid_pdrop",
        "norm_eps": "layer_norm_epsilon",
    },
    dropout=("embd_pdrop", "attn_pdrop"),
    supported={
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
        "tie_word_embeddings": True,
    },
    pairs=_gpt2_pairs,
    token_ids={"bos_token_id": "[BOS]", "eos_token_id": "[EOS]", "pad_token_id": "[PAD]"},
)
BERT = Format(
    name="BERT",
    model_type="bert",
    model_class="BertForMaskedLM",
    advice="open it with TextEncoder",
    names={
        "activation": "hidden_act",
        "dropout": "hidden_dropout_prob",
        "n_segments": "type_vocab_size",
        "norm_eps": "layer_norm_eps",
        "pad": "pad_token_id",
    },
    dropout=("attention_probs_dropout_prob",),
    supported={
        "is_decoder": False,
        "tie_word_embeddings": True,
        "position_embedding_type": "absolute",
    },
    pairs=_bert_pairs,
    may_lack=("cls.",),
    wraps=True,
)
