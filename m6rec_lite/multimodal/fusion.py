"""Fuse the vectors of several modalities into one vector for each row.

A modality is a kind of input, such as text or pictures. It gives each row one or more vectors, its
tokens. Rows may lack a modality: its values there do not affect the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from m6rec_lite.multimodal.cross_attention import CrossAttention
from m6rec_lite.nn.dropout import Dropout


class ModalityFusion(nn.Module, ABC):
    """Base of the fusions of the named modalities, whose vectors have length ``hidden_size``.

    Raises:
        ValueError: if there is no modality, or a name appears twice.
    """

    def __init__(
        self, modalities: Sequence[str], hidden_size: int, n_heads: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not modalities or len(set(modalities)) < len(modalities):
            raise ValueError(f"wanted the names of one or more modalities, got {list(modalities)}")
        self.modalities = tuple(modalities)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(hidden_size)

    def forward(
        self, x: Tensor, tokens: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> Tensor:
        """Add to each row what its modalities say.

        Args:
            x: ``(n, hidden_size)``, what is known of the rows before, such as a state.
            tokens: ``(n, k, hidden_size)`` by modality; k may differ between modalities.
            present: ``(n, k)`` or ``(n, 1)`` bool, False for missing tokens.

        Returns:
            ``(n, hidden_size)``.

        Raises:
            KeyError: if a modality is missing or unknown.
        """
        if not tokens.keys() == present.keys() == {*self.modalities}:
            raise KeyError(
                f"wanted tokens and masks of {', '.join(self.modalities)}, got tokens of "
                f"{', '.join(tokens) or 'none'} and masks of {', '.join(present) or 'none'}: mark "
                "rows without a modality by present"
            )
        masks = [present[name].expand(tokens[name].shape[:2]) for name in self.modalities]
        parts = [  # zeros in place of missing values, so that NaN there has no effect
            tokens[name].masked_fill(~mask[..., None], 0.0)
            for name, mask in zip(self.modalities, masks, strict=True)
        ]
        return x + self._fuse(x, parts, masks)

    @abstractmethod
    def _fuse(self, x: Tensor, tokens: list[Tensor], present: list[Tensor]) -> Tensor:
        """Return what is added to x; tokens ``(n, k, d)``, masks ``(n, k)``, by modality."""


class CrossAttentionFusion(ModalityFusion):
    """Each row attends to the tokens of all its modalities; a feed-forward network follows.

    ``h = x + CrossAttention(norm(x), tokens)``, and the result is ``h + FFN(norm(h))``. A learned
    vector of each modality is added to its tokens. Missing tokens are left out of the softmax.
    """

    def __init__(
        self, modalities: Sequence[str], hidden_size: int, n_heads: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__(modalities, hidden_size, n_heads, dropout)
        self.attention = CrossAttention(hidden_size, n_heads, dropout=dropout)
        self.kind = nn.Parameter(0.02 * torch.randn(len(modalities), hidden_size))
        self.norm_ffn = nn.LayerNorm(hidden_size)
        self.ffn = _mlp(hidden_size, 2 * hidden_size, hidden_size)
        for weight in self.ffn[2].parameters():
            nn.init.zeros_(weight)  # training starts with attention alone

    def _fuse(self, x: Tensor, tokens: list[Tensor], present: list[Tensor]) -> Tensor:
        memory = torch.cat([part + kind for part, kind in zip(tokens, self.kind, strict=True)], 1)
        query = self.norm(x)[:, None]  # one query for each row
        seen = self.dropout(self.attention(query, memory, torch.cat(present, dim=1))[:, 0])
        return seen + self.dropout(self.ffn(self.norm_ffn(x + seen)))


class MLPFusion(ModalityFusion):
    """An MLP of ``x`` and the mean vector of each modality, concatenated.

    A learned vector replaces the mean of a missing modality.
    """

    def __init__(
        self, modalities: Sequence[str], hidden_size: int, n_heads: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__(modalities, hidden_size, n_heads, dropout)
        self.missing = nn.Parameter(torch.zeros(len(modalities), hidden_size))
        self.mlp = _mlp((1 + len(modalities)) * hidden_size, 3 * hidden_size, hidden_size)

    def _fuse(self, x: Tensor, tokens: list[Tensor], present: list[Tensor]) -> Tensor:
        means = []
        for part, mask, missing in zip(tokens, present, self.missing, strict=True):
            count = mask.sum(dim=1, keepdim=True)  # missing tokens are 0
            means.append(torch.where(count > 0, part.sum(dim=1) / count.clamp(min=1), missing))
        return self.dropout(self.mlp(torch.cat([self.norm(x), *means], dim=1)))


#: The fusions by name.
FUSIONS: dict[str, type[ModalityFusion]]
FUSIONS = {"cross-attention": CrossAttentionFusion, "mlp": MLPFusion}


def _mlp(size: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, out))


def drop_modalities(present: Tensor, rate: float, draws: Tensor) -> Tensor:
    """Return masks in which some present modalities are missing (modality dropout).

    A modality of a row is dropped if its draw is below the rate. A row that would lose all it has
    keeps the one with the largest draw. Source: Neverova et al., *ModDrop: adaptive multi-modal
    gesture recognition*, 2015.

    Args:
        present: ``(n, modalities)`` bool.
        rate: probability of a drop, at least 0 and below 1.
        draws: ``(n, modalities)`` uniform numbers in [0, 1).

    Returns:
        ``(n, modalities)`` bool.

    Raises:
        ValueError: if the rate is out of range.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"modality_dropout must be at least 0 and below 1, got {rate!r}")
    kept = present & (draws >= rate)
    best = draws.masked_fill(~present, -1.0).argmax(dim=1)
    saved = torch.zeros_like(present)
    saved[torch.arange(len(present), device=present.device), best] = True
    return torch.where(kept.any(dim=1, keepdim=True), kept, saved & present)
