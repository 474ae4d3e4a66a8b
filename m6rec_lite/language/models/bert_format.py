"""Read and write a BERT in the format of ``BertForMaskedLM`` of ``transformers``.

``transformers`` itself reads and writes the files; this module maps the weights. ``BERT`` stores
the projections of queries, keys and values in one matrix, ``transformers`` in three.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import tokenizers
import torch
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn

from m6rec_lite.language.models.bert import BERT, BERTConfig
from m6rec_lite.language.models.config import FROM_TRANSFORMERS, TO_TRANSFORMERS
from m6rec_lite.language.models.hub import ModelError, load_config, load_model
from m6rec_lite.language.models.model_folder import save_model_files
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.nn.transformer import Block

if TYPE_CHECKING:
    from transformers import BertForMaskedLM

logger = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=BERT)


def to_transformers(model: BERT) -> BertForMaskedLM:
    """Convert a BERT to ``transformers``, with the same weights, dtype and logits."""
    import transformers

    ours = model.config
    config = transformers.BertConfig(  # type: ignore[call-arg]  # it stores additional entries
        vocab_size=ours.vocab_size,
        max_position_embeddings=ours.max_position_embeddings,
        hidden_size=ours.hidden_size,
        num_hidden_layers=ours.num_hidden_layers,
        num_attention_heads=ours.num_attention_heads,
        intermediate_size=ours.intermediate_size or 4 * ours.hidden_size,
        hidden_act=TO_TRANSFORMERS[ours.activation],
        hidden_dropout_prob=ours.dropout,
        attention_probs_dropout_prob=ours.dropout,
        type_vocab_size=ours.n_segments,
        layer_norm_eps=ours.norm_eps,
        pad_token_id=ours.pad,
        tokenizer_fingerprint=ours.tokenizer,
    )
    with torch.random.fork_rng():  # the constructor draws initial weights, which are replaced
        converted = transformers.BertForMaskedLM(config)
        nn.Module.to(converted, model.tokens.weight.dtype)
    with torch.no_grad():
        for weight, targets in _pairs(model, converted):
            for target, values in zip(targets, weight.chunk(len(targets)), strict=True):
                target.copy_(values)
    return converted.eval()


def from_transformers(
    source: BertForMaskedLM,
    kind: type[Kind] = BERT,  # type: ignore[assignment]  # mypy: no defaults of generic types
) -> Kind:
    """Convert a model of ``transformers`` to a ``BERT`` in ``eval`` mode.

    Raises:
        ModelError: if it is a variant of BERT that ``BERT`` does not implement.
    """
    hf_config = source.config
    unsupported = {
        name: value
        for name, value, supported in (
            ("hidden_act", hf_config.hidden_act, tuple(FROM_TRANSFORMERS)),
            ("is_decoder", hf_config.is_decoder, (False,)),
            ("tie_word_embeddings", hf_config.tie_word_embeddings, (True,)),
            (
                "position_embedding_type",
                getattr(hf_config, "position_embedding_type", "absolute"),
                ("absolute",),
            ),
        )
        if value not in supported
    }
    if unsupported:
        raise ModelError(
            f"this BERT has {', '.join(f'{k}={v!r}' for k, v in unsupported.items())}, which "
            f"language.bert does not; open it with {type(source).__name__} of transformers"
        )
    config = BERTConfig(
        vocab_size=hf_config.vocab_size,
        max_position_embeddings=hf_config.max_position_embeddings,
        hidden_size=hf_config.hidden_size,
        num_hidden_layers=hf_config.num_hidden_layers,
        num_attention_heads=hf_config.num_attention_heads,
        intermediate_size=hf_config.intermediate_size,
        activation=FROM_TRANSFORMERS[hf_config.hidden_act],
        dropout=hf_config.hidden_dropout_prob,
        n_segments=hf_config.type_vocab_size,
        norm_eps=hf_config.layer_norm_eps,
        pad=hf_config.pad_token_id,
        tokenizer=getattr(hf_config, "tokenizer_fingerprint", None),
    )
    with torch.random.fork_rng():
        model = kind(config).to(next(source.parameters()).dtype)
    with torch.no_grad():
        for weight, parts in _pairs(model, source):
            weight.copy_(torch.cat(parts))
    return model.eval()


def write(model: BERT, folder: Path, tokenizer: Tokenizer | None = None) -> Path:
    """Write a model and, if hf_config, its tokenizer; see ``model_folder.save_model_files``.

    The tokenizer is saved so that ``AutoTokenizer`` puts ``[CLS] … [SEP]`` around a text, as in
    training.
    """
    saved = None if tokenizer is None else _with_cls_and_sep(tokenizer)
    return save_model_files(folder, to_transformers(model), saved)


def read(kind: type[Kind], name: str | Path) -> Kind:
    """Load a BERT by folder or name (``hub.find_model``), in ``eval`` mode and its own dtype.

    A model without a masked-language-model head gets one with random weights, and a warning is
    logged: its hidden states can be used, its logits only after training.

    Raises:
        ModelError: if there is no such model, or it is not a BERT.
    """
    from transformers import BertForMaskedLM

    model_type = load_config(name).model_type
    if model_type != "bert":
        raise ModelError(f"{name} is a {model_type}, not a BERT: open it with TextEncoder")
    source, missing = load_model(BertForMaskedLM, name, may_lack=("cls.",))
    if missing:
        logger.warning(
            "%s has no head that predicts masked tokens: use its hidden states, or train the new "
            "head before you use its logits",
            name,
        )
    return from_transformers(source, kind)


def _with_cls_and_sep(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy that puts ``[CLS] … [SEP]`` around each text in ``transformers``."""
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return Tokenizer(backend)


def _pairs(model: BERT, other: BertForMaskedLM) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Yield each weight of ``model`` with the weights in ``other`` whose concatenation it is."""
    encoder: Any = other.bert
    head: Any = other.cls.predictions
    embeddings = encoder.embeddings
    yield model.tokens.weight, [embeddings.word_embeddings.weight]
    yield model.positions.weight, [embeddings.position_embeddings.weight]
    yield model.segments.weight, [embeddings.token_type_embeddings.weight]
    yield model.bias, [head.bias]
    modules: list[tuple[nn.Linear | nn.LayerNorm, list[Any]]] = [
        (model.norm, [embeddings.LayerNorm]),
        (model.dense, [head.transform.dense]),
        (model.norm_head, [head.transform.LayerNorm]),
    ]
    blocks = cast(Iterable[Block], model.transformer.blocks)
    for block, layer in zip(blocks, encoder.encoder.layer, strict=True):
        attention, output = layer.attention.self, layer.attention.output
        modules += [
            (block.attention.qkv, [attention.query, attention.key, attention.value]),
            (block.attention.out, [output.dense]),
            (block.norm_attention, [output.LayerNorm]),
            (block.up_proj, [layer.intermediate.dense]),
            (block.down_proj, [layer.output.dense]),
            (block.norm_ffn, [layer.output.LayerNorm]),
        ]
    for module, parts in modules:
        yield module.weight, [part.weight for part in parts]
        yield module.bias, [part.bias for part in parts]
