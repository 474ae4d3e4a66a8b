"""BERT on disk, in the format of ``transformers``' ``BertForMaskedLM``: written and read.

``transformers`` itself writes and reads the files, so that what it can open is decided by it. Here
stands which weight is which. Ours keeps queries, keys and values in one matrix, theirs in three.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import tokenizers
import torch
from tokenizers.processors import TemplateProcessing
from torch import Tensor

from m6rec_lite.language.models.bert import BERT, BERTConfig
from m6rec_lite.language.models.hub import ModelError, load_config, load_model
from m6rec_lite.language.models.model_folder import save_model_files
from m6rec_lite.language.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from transformers import BertForMaskedLM

logger = logging.getLogger(__name__)

#: Functions by our names and by theirs; GPT-2's approximation has several there.
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_new"}
_OURS = {"relu": "relu", "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}

Kind = TypeVar("Kind", bound=BERT)


def to_transformers(model: BERT) -> BertForMaskedLM:
    """The same model as ``transformers`` has it: same weights, dtype and logits."""
    import transformers

    ours = model.config
    config = transformers.BertConfig(
        vocab_size=ours.vocab_size,
        max_position_embeddings=ours.max_position_embeddings,
        hidden_size=ours.hidden_size,
        num_hidden_layers=ours.num_hidden_layers,
        num_attention_heads=ours.num_attention_heads,
        intermediate_size=ours.intermediate_size or 4 * ours.hidden_size,
        hidden_act=ACTIVATIONS[ours.activation],
        hidden_dropout_prob=ours.dropout,
        attention_probs_dropout_prob=ours.dropout,
        type_vocab_size=ours.n_segments,
        layer_norm_eps=ours.norm_eps,
        pad_token_id=ours.pad,
        tokenizer_fingerprint=ours.tokenizer,
    )
    with torch.random.fork_rng():  # its first weights are drawn, and replaced
        theirs = transformers.BertForMaskedLM(config).to(model.tokens.weight.dtype)
    with torch.no_grad():
        for weight, parts in _pairs(model, theirs):
            for part, piece in zip(parts, weight.chunk(len(parts)), strict=True):
                part.copy_(piece)
    return theirs.eval()


def from_transformers(theirs: BertForMaskedLM, kind: type[Kind] = BERT) -> Kind:
    """The same model as this package has it.

    Raises:
        ModelError: if it is a variant of BERT that this one is not.
    """
    given = theirs.config
    strange = {
        name: value
        for name, value, wanted in (
            ("hidden_act", given.hidden_act, tuple(_OURS)),
            ("is_decoder", given.is_decoder, (False,)),
            ("tie_word_embeddings", given.tie_word_embeddings, (True,)),
            (
                "position_embedding_type",
                getattr(given, "position_embedding_type", "absolute"),
                ("absolute",),
            ),
        )
        if value not in wanted
    }
    if strange:
        raise ModelError(
            f"this BERT has {', '.join(f'{k}={v!r}' for k, v in strange.items())}, which "
            f"language.bert does not; open it with {type(theirs).__name__} of transformers"
        )
    config = BERTConfig(
        vocab_size=given.vocab_size,
        max_position_embeddings=given.max_position_embeddings,
        hidden_size=given.hidden_size,
        num_hidden_layers=given.num_hidden_layers,
        num_attention_heads=given.num_attention_heads,
        intermediate_size=given.intermediate_size,
        activation=_OURS[given.hidden_act],
        dropout=given.hidden_dropout_prob,
        n_segments=given.type_vocab_size,
        norm_eps=given.layer_norm_eps,
        pad=given.pad_token_id,
        tokenizer=getattr(given, "tokenizer_fingerprint", None),
    )
    with torch.random.fork_rng():
        model = kind(config).to(next(theirs.parameters()).dtype)
    with torch.no_grad():
        for weight, parts in _pairs(model, theirs):
            weight.copy_(torch.cat([*parts]))
    return model.eval()


def write(model: BERT, folder: Path, tokenizer: Tokenizer | None = None) -> Path:
    """Write the model, and the tokenizer's files if it is given; see ``model_folder.place``.

    The tokenizer is kept so that ``AutoTokenizer`` puts ``[CLS] … [SEP]`` around a text, as the
    model was taught.
    """
    return save_model_files(folder, to_transformers(model), tokenizer and with_borders(tokenizer))


def read(kind: type[Kind], name: str | Path) -> Kind:
    """Read a BERT by any of its names (``hub.find_model``), in ``eval`` mode, in its own dtype.

    An encoder without the head that names hidden tokens gets a fresh one, and a log says so: its
    states are the model's, its logits mean nothing until they are trained.

    Raises:
        ModelError: if there is no such model, or it is no BERT.
    """
    from transformers import BertForMaskedLM

    found = load_config(name)
    if found.model_type != "bert":
        raise ModelError(f"{name} is a {found.model_type}, not a BERT: open it with TextEncoder")
    theirs, lacks = load_model(BertForMaskedLM, name, may_lack=("cls.",))
    if lacks:
        logger.warning(
            "%s has no head that names hidden tokens: use its states, or train the fresh head "
            "before you use its logits",
            name,
        )
    return from_transformers(theirs, kind)


def with_borders(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, which in ``transformers`` writes ``[CLS] … [SEP]`` around each text."""
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return Tokenizer(backend)


def _pairs(model: BERT, theirs: BertForMaskedLM) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Each weight of ours, and those of theirs that it is made of, one below the other."""
    embeddings, head = theirs.bert.embeddings, theirs.cls.predictions
    yield model.tokens.weight, [embeddings.word_embeddings.weight]
    yield model.positions.weight, [embeddings.position_embeddings.weight]
    yield model.segments.weight, [embeddings.token_type_embeddings.weight]
    yield model.bias, [head.bias]
    layers = [
        (model.norm, [embeddings.LayerNorm]),
        (model.dense, [head.transform.dense]),
        (model.norm_head, [head.transform.LayerNorm]),
    ]
    for block, layer in zip(model.transformer.blocks, theirs.bert.encoder.layer, strict=True):
        read, added = layer.attention.self, layer.attention.output
        layers += [
            (block.attention.qkv, [read.query, read.key, read.value]),
            (block.attention.out, [added.dense]),
            (block.norm_attention, [added.LayerNorm]),
            (block.up_proj, [layer.intermediate.dense]),
            (block.down_proj, [layer.output.dense]),
            (block.norm_ffn, [layer.output.LayerNorm]),
        ]
    for ours, parts in layers:
        yield ours.weight, [part.weight for part in parts]
        yield ours.bias, [part.bias for part in parts]
