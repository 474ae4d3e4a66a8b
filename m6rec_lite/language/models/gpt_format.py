"""Read and write a GPT in the format of ``GPT2LMHeadModel`` of ``transformers``.

``transformers`` itself reads and writes the files; this module maps the weights. GPT-2 stores the
weights of its linear maps transposed, as ``(in, out)`` (``Conv1D`` in ``transformers``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor, nn

from m6rec_lite.language.models.config import FROM_TRANSFORMERS, TO_TRANSFORMERS
from m6rec_lite.language.models.gpt import GPT, GPTConfig
from m6rec_lite.language.models.hub import ModelError, load_config, load_model
from m6rec_lite.language.models.model_folder import save_model_files
from m6rec_lite.nn.transformer import Block

if TYPE_CHECKING:
    from transformers import GPT2Config, GPT2LMHeadModel

    from m6rec_lite.language.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

#: Settings of a GPT-2 that ``GPT`` implements, with the only value that it supports.
_SUPPORTED = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}

Kind = TypeVar("Kind", bound=GPT)


def to_transformers(model: GPT, tokenizer: Tokenizer | None = None) -> GPT2LMHeadModel:
    """Convert a GPT to ``transformers``, with the same weights, dtype and logits.

    Args:
        model: on any device.
        tokenizer: sets the ids of the tokens that begin, end and pad a text in ``generate``.
    """
    import transformers

    ours = model.config
    config = transformers.GPT2Config(  # type: ignore[call-arg]  # it stores additional entries
        vocab_size=ours.vocab_size,
        n_positions=ours.max_position_embeddings,
        n_embd=ours.hidden_size,
        n_layer=ours.num_hidden_layers,
        n_head=ours.num_attention_heads,
        n_inner=ours.intermediate_size,
        activation_function=TO_TRANSFORMERS[ours.activation],
        resid_pdrop=ours.dropout,
        embd_pdrop=ours.dropout,
        attn_pdrop=ours.dropout,
        layer_norm_epsilon=ours.norm_eps,
        bos_token_id=None if tokenizer is None else tokenizer.id("[BOS]"),
        eos_token_id=None if tokenizer is None else tokenizer.id("[EOS]"),
        pad_token_id=None if tokenizer is None else tokenizer.id("[PAD]"),
        tokenizer_fingerprint=ours.tokenizer,
    )
    with torch.random.fork_rng():  # the constructor draws initial weights, which are replaced
        converted = transformers.GPT2LMHeadModel(config)
        nn.Module.to(converted, model.tokens.weight.dtype)
    with torch.no_grad():
        for weight, target in _pairs(model, converted):
            target.copy_(weight)
    return converted.eval()


def from_transformers(
    source: GPT2LMHeadModel,
    kind: type[Kind] = GPT,  # type: ignore[assignment]  # mypy: no defaults of generic types
) -> Kind:
    """Convert a model of ``transformers`` to a ``GPT`` in ``eval`` mode.

    Raises:
        ModelError: if it is a variant of GPT-2 that ``GPT`` does not implement.
    """
    model = _new_model(source.config, kind).to(next(source.parameters()).dtype)
    with torch.no_grad():
        for weight, values in _pairs(model, source):
            weight.copy_(values)
    return model.eval()


def write(model: GPT, folder: Path, tokenizer: Tokenizer | None = None) -> Path:
    """Write a model and, if hf_config, its tokenizer; see ``model_folder.save_model_files``."""
    return save_model_files(folder, to_transformers(model, tokenizer), tokenizer)


def read(kind: type[Kind], name: str | Path) -> Kind:
    """Load a GPT-2 by folder or name (``hub.find_model``), in ``eval`` mode and its own dtype.

    Raises:
        ModelError: if there is no such model, or it is not a GPT-2 that ``GPT`` implements.
    """
    from transformers import GPT2LMHeadModel

    config = load_config(name)
    if config.model_type != "gpt2":
        raise ModelError(
            f"{name} is a {config.model_type}, not a GPT-2: open it with AutoModelForCausalLM and "
            "wrap it in language.causal_lm.CausalLM, which generates and scores text as GPT does"
        )
    _check(config)  # before the weights are loaded
    return from_transformers(load_model(GPT2LMHeadModel, name)[0], kind)


def _check(config: GPT2Config) -> None:
    unsupported: dict[str, Any] = {
        name: getattr(config, name)
        for name, supported in _SUPPORTED.items()
        if getattr(config, name) != supported
    }
    if config.activation_function not in FROM_TRANSFORMERS:
        unsupported["activation_function"] = config.activation_function
    if unsupported:
        raise ModelError(
            f"this GPT-2 has {', '.join(f'{k}={v!r}' for k, v in unsupported.items())}, which "
            "language.gpt does not: open it with GPT2LMHeadModel of transformers"
        )


def _new_model(hf_config: GPT2Config, kind: type[Kind]) -> Kind:
    """Create a model of the same shape with initial weights."""
    _check(hf_config)
    rates = {hf_config.resid_pdrop, hf_config.embd_pdrop, hf_config.attn_pdrop}
    if len(rates) > 1:
        logger.warning(
            "this GPT-2 was trained with several dropout rates, %s; language.gpt has one, and "
            "takes resid_pdrop=%s",
            sorted(rates),
            hf_config.resid_pdrop,
        )
    config = GPTConfig(
        vocab_size=hf_config.vocab_size,
        max_position_embeddings=hf_config.n_positions,
        hidden_size=hf_config.n_embd,
        num_hidden_layers=hf_config.n_layer,
        num_attention_heads=hf_config.n_head,
        intermediate_size=hf_config.n_inner,
        activation=FROM_TRANSFORMERS[hf_config.activation_function],
        dropout=hf_config.resid_pdrop,
        norm_eps=hf_config.layer_norm_epsilon,
        tokenizer=getattr(hf_config, "tokenizer_fingerprint", None),
    )
    with torch.random.fork_rng():
        return kind(config)


def _pairs(model: GPT, other: GPT2LMHeadModel) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each weight of ``model`` with its counterpart in ``other``, in the shape of ours."""
    trunk: Any = other.transformer
    yield model.tokens.weight, trunk.wte.weight
    yield model.positions.weight, trunk.wpe.weight
    norms: list[tuple[nn.LayerNorm, Any]] = [
        (cast(nn.LayerNorm, model.transformer.norm), trunk.ln_f)
    ]
    blocks = cast(Iterable[Block], model.transformer.blocks)
    for block, layer in zip(blocks, trunk.h, strict=True):
        norms += [(block.norm_attention, layer.ln_1), (block.norm_ffn, layer.ln_2)]
        for linear, transposed in (
            (block.attention.qkv, layer.attn.c_attn),
            (block.attention.out, layer.attn.c_proj),
            (block.up_proj, layer.mlp.c_fc),
            (block.down_proj, layer.mlp.c_proj),
        ):
            yield linear.weight, transposed.weight.t()
            yield linear.bias, transposed.bias
    for norm, other_norm in norms:
        yield norm.weight, other_norm.weight
        yield norm.bias, other_norm.bias
