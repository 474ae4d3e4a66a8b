"""Any causal language model of ``transformers``, as ``nn.sampling`` wants a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from m6rec_lite.language.models.hub import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _Cache(DynamicCache):
    """``transformers``' cache with our name for choosing rows."""

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, each once or several times."""
        self.reorder_cache(rows)


class CausalLM(nn.Module):
    """A model of ``AutoModelForCausalLM`` that ``generate`` and the others accept.

    Args:
        model: one that takes ``position_ids`` and a cache, as GPT-2, Llama, Qwen and their like.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> Self:
        """Read a model by any of its names (``hub.find_model``), in ``eval`` mode.

        Raises:
            ModelError: if there is no such model, or it is no causal language model.
        """
        from transformers import AutoModelForCausalLM

        return cls(load_model(AutoModelForCausalLM, name, **options)[0])

    @property
    def context(self) -> int | None:
        """Tokens that can be read at most, where the model says so."""
        return getattr(self.model.config, "max_position_embeddings", None)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def new_cache(self) -> DynamicCache:
        """An empty cache, in which nothing was read."""
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
        """Read on and say what comes next; see ``nn.decoding.Step``."""
        given = self.model(
            input_ids=ids,
            past_key_values=cache,
            attention_mask=None if mask is None else mask.long(),
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1 if last else 0,
        )
        return given.logits[:, -1] if last else given.logits
