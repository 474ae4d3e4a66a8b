"""GPT on disk, in the format of ``transformers``' ``GPT2LMHeadModel``: written and read.

``transformers`` itself writes and reads the files, so that what it can open is decided by it. Here
stands which weight is which. GPT-2 keeps the matrices of its linear maps the other way round,
``(in, out)``, as its first code did (``Conv1D`` there).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from m6rec_lite.language.models.gpt import GPT, GPTConfig
from m6rec_lite.language.models.hub import ModelError, load_config, load_model
from m6rec_lite.language.models.model_folder import save_model_files

if TYPE_CHECKING:
    from transformers import GPT2Config, GPT2LMHeadModel

    from m6rec_lite.language.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

#: Functions by our names and by theirs, which has several for one.
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_new"}
_OURS = {name: ours for ours, name in ACTIVATIONS.items()} | {"gelu_pytorch_tanh": "gelu_tanh"}

#: Variants of GPT-2 that this package's is not, and what it is instead.
_FIXED = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}

Kind = TypeVar("Kind", bound=GPT)


def to_transformers(model: GPT, tokenizer: Tokenizer | None = None) -> GPT2LMHeadModel:
    """The same model as ``transformers`` has it: same weights, dtype and logits.

    Args:
        model: on any device.
        tokenizer: tells ``transformers``' ``generate`` which tokens begin, end and pad a text.
    """
    import transformers

    ours = model.config
    config = transformers.GPT2Config(
        vocab_size=ours.vocab_size,
        n_positions=ours.max_position_embeddings,
        n_embd=ours.hidden_size,
        n_layer=ours.num_hidden_layers,
        n_head=ours.num_attention_heads,
        n_inner=ours.intermediate_size,
        activation_function=ACTIVATIONS[ours.activation],
        resid_pdrop=ours.dropout,
        embd_pdrop=ours.dropout,
        attn_pdrop=ours.dropout,
        layer_norm_epsilon=ours.norm_eps,
        bos_token_id=None if tokenizer is None else tokenizer.id("[BOS]"),
        eos_token_id=None if tokenizer is None else tokenizer.id("[EOS]"),
        pad_token_id=None if tokenizer is None else tokenizer.id("[PAD]"),
        tokenizer_fingerprint=ours.tokenizer,
    )
    with torch.random.fork_rng():  # its first weights are drawn, and replaced
        theirs = transformers.GPT2LMHeadModel(config).to(model.tokens.weight.dtype)
    with torch.no_grad():
        for weight, part in _pairs(model, theirs):
            part.copy_(weight)
    return theirs.eval()


def from_transformers(theirs: GPT2LMHeadModel, kind: type[Kind] = GPT) -> Kind:
    """The same model as this package has it, in ``eval`` mode.

    Raises:
        ModelError: if it is a variant of GPT-2 that this one is not.
    """
    model = _blank(theirs.config, kind).to(next(theirs.parameters()).dtype)
    with torch.no_grad():
        for weight, part in _pairs(model, theirs):
            weight.copy_(part)
    return model.eval()


def write(model: GPT, folder: Path, tokenizer: Tokenizer | None = None) -> Path:
    """Write the model, and the tokenizer's files if it is given; see ``model_folder.place``."""
    return save_model_files(folder, to_transformers(model, tokenizer), tokenizer)


def read(kind: type[Kind], name: str | Path) -> Kind:
    """Read a GPT-2 by any of its names (``hub.find_model``), in ``eval`` mode, in its own dtype.

    Raises:
        ModelError: if there is no such model, or it is no GPT-2 that ``GPT`` can be.
    """
    from transformers import GPT2LMHeadModel

    found = load_config(name)
    if found.model_type != "gpt2":
        raise ModelError(
            f"{name} is a {found.model_type}, not a GPT-2: open it with AutoModelForCausalLM and "
            "wrap it in language.causal_lm.CausalLM, which writes and judges text as GPT does"
        )
    _check(found)  # before the weights are read
    return from_transformers(load_model(GPT2LMHeadModel, name)[0], kind)


def _check(given: GPT2Config) -> None:
    strange: dict[str, Any] = {
        name: getattr(given, name)
        for name, wanted in _FIXED.items()
        if getattr(given, name) != wanted
    }
    if given.activation_function not in _OURS:
        strange["activation_function"] = given.activation_function
    if strange:
        raise ModelError(
            f"this GPT-2 has {', '.join(f'{k}={v!r}' for k, v in strange.items())}, which "
            "language.gpt does not: open it with GPT2LMHeadModel of transformers"
        )


def _blank(given: GPT2Config, kind: type[Kind]) -> Kind:
    """A model of the same shape, its weights not yet those."""
    _check(given)
    rates = {given.resid_pdrop, given.embd_pdrop, given.attn_pdrop}
    if len(rates) > 1:
        logger.warning(
            "this GPT-2 was trained with dropout of %s in different places; language.gpt has one, "
            "and takes resid_pdrop=%s",
            sorted(rates),
            given.resid_pdrop,
        )
    config = GPTConfig(
        vocab_size=given.vocab_size,
        max_position_embeddings=given.n_positions,
        hidden_size=given.n_embd,
        num_hidden_layers=given.n_layer,
        num_attention_heads=given.n_head,
        intermediate_size=given.n_inner,
        activation=_OURS[given.activation_function],
        dropout=given.resid_pdrop,
        norm_eps=given.layer_norm_epsilon,
        tokenizer=getattr(given, "tokenizer_fingerprint", None),
    )
    with torch.random.fork_rng():
        return kind(config)


def _pairs(model: GPT, theirs: GPT2LMHeadModel) -> Iterator[tuple[Tensor, Tensor]]:
    """Each weight of ours and the same of theirs, both ours way round."""
    trunk = theirs.transformer
    yield model.tokens.weight, trunk.wte.weight
    yield model.positions.weight, trunk.wpe.weight
    norms = [(model.transformer.norm, trunk.ln_f)]
    for block, layer in zip(model.transformer.blocks, trunk.h, strict=True):
        norms += [(block.norm_attention, layer.ln_1), (block.norm_ffn, layer.ln_2)]
        for ours, turned in (
            (block.attention.qkv, layer.attn.c_attn),
            (block.attention.out, layer.attn.c_proj),
            (block.up_proj, layer.mlp.c_fc),
            (block.down_proj, layer.mlp.c_proj),
        ):
            yield ours.weight, turned.weight.t()
            yield ours.bias, turned.bias
    for ours, norm in norms:
        yield ours.weight, norm.weight
        yield ours.bias, norm.bias
