"""M6-Rec's network: a prefix language model.

A row of tokens is ``[BOS'] what is known of the user [EOS'] [BOS] what is to be written [EOS]``.
Attention is bidirectional within the user region, and causal in the region after it, which also
attends to the user region (Cui et al., *M6-Rec*, 2022; Raffel et al., *T5*, 2020, section 3.2.1).

The blocks are those of ``nn.transformer``. The class is a ``transformers`` model, so that
``save_pretrained``, ``from_pretrained``, ``generate`` and the tools that use these work. By its
method ``step`` it also works with ``nn.sampling``.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, PreTrainedModel
from transformers import initialization as init
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast

from m6rec_lite.data.files import sealed_files
from m6rec_lite.language.models.model_folder import ModelError, check_folder, check_sums
from m6rec_lite.m6rec.config import M6RecConfig
from m6rec_lite.nn.attention import AttentionContext
from m6rec_lite.nn.cache import Cache
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.masks import causal_mask
from m6rec_lite.nn.positions import LearnedPositions, rotary_angles
from m6rec_lite.nn.transformer import Block


class M6RecModel(PreTrainedModel, GenerationMixin):
    """The prefix language model.

    Args:
        config: the shape of the model.
    """

    config: M6RecConfig
    config_class = M6RecConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    # transformers annotates these two as instance attributes.
    _no_split_modules: ClassVar[list[str]] = ["Block"]  # type: ignore[misc]
    _tied_weights_keys: ClassVar[dict[str, str]] = {  # type: ignore[misc]
        "head.weight": "embedding.weight"
    }

    def __init__(self, config: M6RecConfig) -> None:
        super().__init__(config)
        d, shape = config.hidden_size, config.blocks()
        self.embedding = nn.Embedding(config.vocab_size, d)
        self.positions = None
        if config.positions == "learned":
            self.positions = LearnedPositions(config.max_position_embeddings, d)
        self.dropout = Dropout(config.dropout)
        blocks = [Block(shape) for _ in range(config.num_hidden_layers)]
        for linear in (part for block in blocks for part in (block.attention.out, block.down_proj)):
            # torch's stub allows tensors and modules alone
            linear.adds_to_residual = True  # type: ignore[assignment]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(d, shape.norm_eps)
        self.head = nn.Linear(d, config.vocab_size, bias=False)
        self.loss_type = "ForCausalLM"
        self.gradient_checkpointing = False
        self.post_init()

    @classmethod
    def from_pretrained(  # type: ignore[override]  # options of transformers are passed on
        cls, name: str | Path, *args: Any, **options: Any
    ) -> Self:
        """Load a model as ``transformers`` does, and check that its files are undamaged.

        Args:
            name: a folder, or a name on the hub.
            args: see ``transformers``.
            options: see ``transformers``.

        Raises:
            ModelError: if the model does not exist, or is damaged.
        """
        folder = Path(name)
        if folder.is_dir():
            check_sums(check_folder(folder))
        try:
            return super().from_pretrained(name, *args, **options)
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            raise ModelError(
                f"{name} cannot be read as {cls.__name__}: {error}; copy the folder again, or save "
                "the model again"
            ) from error

    def save_pretrained(  # type: ignore[override]  # likewise
        self, save_directory: str | Path, **options: Any
    ) -> None:
        """Save a model with checksums; the files replace older ones once all are written.

        Args:
            save_directory: created if it does not exist.
            options: see ``transformers``.
        """
        folder = Path(save_directory)
        with sealed_files(folder) as fresh:
            super().save_pretrained(fresh, **options)
            names = {path.name for path in fresh.iterdir()}
            for old in folder.glob("model*.safetensors*") if names else ():
                if old.name not in names:  # of a model that was divided otherwise
                    old.unlink()

    def _init_weights(self, module: nn.Module) -> None:
        """Draw normal weights, scaled down by depth in residual projections (GPT-2, 2.3)."""
        super()._init_weights(module)
        std = self.config.initializer_range
        # transformers calls this for modules with weights of their own, so not for a Block
        ends_branch = getattr(module, "adds_to_residual", False)
        if isinstance(module, nn.Linear) and ends_branch:  # two per block: variances add up
            depth = 2 * self.config.num_hidden_layers
            init.normal_(module.weight, mean=0.0, std=std / math.sqrt(depth))
        elif isinstance(module, LearnedPositions):
            init.normal_(module.weight, mean=0.0, std=std)

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embedding."""
        return self.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embedding."""
        self.embedding = value  # type: ignore[assignment]  # it is an embedding

    def get_output_embeddings(self) -> nn.Linear:
        """Return the linear map from states to logits."""
        return self.head

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the linear map from states to logits."""
        self.head = new_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        prefix_length: Tensor | int | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Return the logits of the next token, and the loss if labels are given.

        Args:
            input_ids: see ``states``, also for the next five arguments.
            labels: ``(batch, time)``, aligned with ``input_ids``: the token at t is predicted
                from those before it. -100 is ignored.
            use_cache: return the keys and values computed so far; by default when not training.
            output_hidden_states: return the input of the first block and the output of each,
                the last one normalized.
            logits_to_keep: number of last positions, or indices of positions, whose logits are
                computed; 0 for all.
            return_dict: False returns a tuple.
            kwargs: ``num_items_in_batch`` is the number of labels over which the loss is averaged,
                if an optimizer step has several batches; others are ignored.

        Returns:
            ``loss``, ``logits`` ``(batch, kept, vocab_size)``, ``past_key_values`` and
            ``hidden_states``.

        Raises:
            ValueError: see ``states``.
        """
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        checkpointing = self.gradient_checkpointing and self.training
        if use_cache and past_key_values is None and not checkpointing:
            past_key_values = DynamicCache(config=self.config)
        layers: list[Tensor] = []
        hidden = self.states(
            input_ids,
            attention_mask,
            prefix_length,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            layers=layers if output_hidden_states else None,
        )  # (batch, time, hidden_size)
        if isinstance(logits_to_keep, Tensor):
            hidden = hidden[:, logits_to_keep]
        elif logits_to_keep:
            hidden = hidden[:, -logits_to_keep:]
        logits = self.head(hidden)
        loss = None
        if labels is not None:
            options = {k: v for k, v in kwargs.items() if k == "num_items_in_batch"}
            loss = self.loss_function(logits, labels, self.config.vocab_size, **options)
        output = CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            # ours has the methods of transformers' Cache, and is no subclass of it
            past_key_values=past_key_values if use_cache else None,  # type: ignore[arg-type]
            hidden_states=tuple(layers) if output_hidden_states else None,
        )
        return output.to_tuple() if return_dict is False else output

    def states(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        prefix_length: Tensor | int | None = None,
        *,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        layers: list[Tensor] | None = None,
    ) -> Tensor:
        """Return the last hidden state of every position, without computing logits.

        Args:
            input_ids: ``(batch, time)``; or ``inputs_embeds``.
            attention_mask: padding mask ``(batch, past + time)``, 1 for real tokens and 0 for
                padding, which may be anywhere; or a full attention mask, bool
                ``(batch, 1, time, past + time)``, such as ``batches.packed_prefix_mask``, with
                which ``prefix_length`` is ignored.
            prefix_length: number of real tokens of the user region from each row's start,
                ``(batch,)`` or one for all; soft prompts and cached tokens count. 0 is causal
                attention everywhere. None looks for ``[EOS']`` in ``input_ids``; a row without
                one is causal. Required with ``inputs_embeds``.
            position_ids: ``(batch, time)``; by default the index among each row's real tokens.
            past_key_values: cache of earlier tokens, to which the new ones are added. A user
                region must be passed in one call, since its first tokens attend to its last ones.
            inputs_embeds: ``(batch, time, hidden_size)`` in place of ``input_ids``.
            layers: a list to which the input of the first block and each block's output are
                appended.

        Returns:
            ``(batch, time, hidden_size)``.

        Raises:
            ValueError: unless exactly one of ``input_ids`` and ``inputs_embeds`` is given, if a
                mask's shape is wrong, or if the user region cannot be determined.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give input_ids or inputs_embeds, one of them")
        x = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        if attention_mask is not None and attention_mask.ndim == 4:
            mask = attention_mask
            default = torch.arange(past, past + x.shape[1], device=x.device)[None]
        else:
            real = self._real(attention_mask, x, past)
            mask = self._attention_mask(real, input_ids, prefix_length, x.shape[1])
            default = (real.cumsum(1) - 1).clamp_min(0)[:, past:]
        positions = default if position_ids is None else position_ids
        rotary = None
        if self.positions is not None:
            x = x + self.positions(positions)
        else:
            rotary = rotary_angles(
                positions, self.config.blocks().head_dim, base=self.config.rotary_base
            )
        x = self.dropout(x)
        for i, block in enumerate(self.blocks):
            if layers is not None:
                layers.append(x)
            if self.gradient_checkpointing and self.training:
                context = AttentionContext(mask, rotary=rotary)
                x = self._gradient_checkpointing_func(block.__call__, x, context)
            else:
                context = AttentionContext(mask, rotary=rotary, cache=past_key_values, layer=i)
                x = block(x, context)
        x = self.norm(x)
        if layers is not None:
            layers.append(x)
        return x

    @property
    def context(self) -> int | None:
        """Maximum length of an input in tokens; None with rotary positions."""
        return None if self.positions is None else self.config.max_position_embeddings

    def step(
        self,
        ids: Tensor,
        cache: Cache,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        last: bool = True,
    ) -> Tensor:
        """Compute next-token logits and extend the cache; implements ``nn.decoding.Step``.

        The tokens of the first call must hold the whole user region, up to ``[EOS']``.
        """
        prefix = None if cache.get_seq_length() == 0 else 0
        hidden = self.states(ids, mask, prefix, position_ids=positions, past_key_values=cache)
        return self.head(hidden[:, -1] if last else hidden)

    def _real(self, attention_mask: Tensor | None, x: Tensor, past: int) -> Tensor:
        """Return which tokens are no padding, ``(batch, past + time)`` bool."""
        shape = (x.shape[0], past + x.shape[1])
        if attention_mask is None:
            return torch.ones(shape, dtype=torch.bool, device=x.device)
        if tuple(attention_mask.shape) != shape:
            raise ValueError(
                f"attention_mask is {tuple(attention_mask.shape)}, wanted {shape}: one number for "
                f"each token, the {past} that the cache holds included"
            )
        return attention_mask != 0

    def _attention_mask(
        self, real: Tensor, input_ids: Tensor | None, prefix_length: Tensor | int | None, time: int
    ) -> Tensor:
        """Return the attention mask, ``(batch, 1, time, past + time)`` bool."""
        past = real.shape[1] - time
        if prefix_length is not None:
            if isinstance(prefix_length, Tensor):
                if tuple(prefix_length.shape) != (len(real),):
                    raise ValueError(
                        f"prefix_length is {tuple(prefix_length.shape)}, wanted ({len(real)},): "
                        "one number a row"
                    )
                prefix_length = prefix_length.to(real.device)[:, None]
            known = real.cumsum(1)[:, past:] <= prefix_length  # (batch, time)
        elif input_ids is not None and self.config.user_end_token_id is not None:
            ends = input_ids == self.config.user_end_token_id
            # A token with an [EOS'] at or after its position belongs to the user region.
            known = ends.flip(1).cumsum(1).flip(1) > 0
        else:
            raise ValueError(
                "prefix_length is not given, and without input_ids it cannot be determined: pass "
                "how many real tokens of each row are the user region, soft prompts included (0: "
                "none)"
            )
        prefix = torch.cat([torch.zeros_like(real[:, :past]), known], dim=1)  # all attend to it
        causal = causal_mask(time, past=past, device=real.device)
        return (real[:, None, :] & (prefix[:, None, :] | causal))[:, None]


AutoConfig.register(M6RecConfig.model_type, M6RecConfig)
AutoModelForCausalLM.register(M6RecConfig, M6RecModel)
