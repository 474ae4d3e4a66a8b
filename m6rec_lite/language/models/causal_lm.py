"""Causal language models of ``transformers`` with the interface that ``nn.sampling`` uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from m6rec_lite.language.models.hub import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _Cache(DynamicCache):
    """Cache of ``transformers`` with the method ``select`` that ``nn.sampling`` calls."""

    def select(self, rows: Tensor) -> None:
        """Keep these rows of the batch, in this order; a row may occur several times."""
        self.reorder_cache(cast(torch.LongTensor, rows))


class CausalLM(nn.Module):
    """Wrap a model of ``AutoModelForCausalLM`` for ``generate`` and the other decoders.

    Args:
        model: accepts ``position_ids`` and a cache, as GPT-2, Llama and Qwen do.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> Self:
        """Load a model by folder or name (``hub.find_model``), in ``eval`` mode.

        Raises:
            ModelError: if there is no such model, or it is not a causal language model.
        """
        from transformers import AutoModelForCausalLM

        return cls(load_model(AutoModelForCausalLM, name, **options)[0])

    @property
    def context(self) -> int | None:
        """Maximum length of an input in tokens; None if the model's config has no limit."""
        return getattr(self.model.config, "max_position_embeddings", None)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.model.device

    def new_cache(self) -> DynamicCache:
        """Return an empty cache."""
        return _Cache(config=self.model.config)

    def step(
        self,
        ids: Tensor,
        cache: DynamicCache,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        last: bool = True,
    ) -> Tensor:
        """Compute next-token logits and extend the cache; see ``nn.decoding.Step``."""
        output = self.model(
            input_ids=ids,
            past_key_values=cache,
            attention_mask=None if mask is None else mask.long(),
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1 if last else 0,
        )
        return output.logits[:, -1] if last else output.logits
