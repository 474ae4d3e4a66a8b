"""Fuse several vectors of an item, such as those of its title, tags, id and users, into one.

Parts may be missing, such as the description, or the collaborative vector of a new item. Every
fusion therefore takes a mask, and values of missing parts, even NaN, do not affect the result.

Each part has a name and its own length. ``Concatenation`` applies one linear map to all parts;
``Gate`` has a weight for each dimension of each part; ``AttentionFusion`` has one weight per part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from m6rec_lite.language.models.pooling import masked_softmax

#: The parts of n items: ``(n, size)`` each, by name.
Parts = Mapping[str, Tensor]


class Fusion(nn.Module, ABC):
    """Base class of the fusions: checks the parts and sets missing ones to 0.

    Args:
        sizes: length of the vectors of each part, by name.
        out_size: length of the fused vectors.

    Raises:
        ValueError: if there is no part, or a size is below 1.
    """

    def __init__(self, sizes: Mapping[str, int], out_size: int) -> None:
        super().__init__()
        if not sizes or min(*sizes.values(), out_size) < 1:
            raise ValueError(
                f"wanted at least one part, and sizes of at least 1; got {dict(sizes)} and "
                f"out_size={out_size!r}"
            )
        self.sizes = dict(sizes)
        self.out_size = out_size

    def forward(self, parts: Parts, present: Parts | None = None) -> Tensor:
        """Fuse the parts of n items.

        Args:
            parts: ``(n, size)`` each, by name, in any order.
            present: masks by name, ``(n,)`` bool, False for items without the part; parts that are
                not named are present for all items.

        Returns:
            ``(n, out_size)``; 0 for an item without any part.

        Raises:
            KeyError: if a part is not given for any item, or unknown.
            ValueError: if shapes do not match ``sizes``.
            TypeError: if a mask is not bool.
        """
        vectors, mask = self._check(parts, present or {})
        return self._fuse(vectors, mask) * mask.any(dim=1, keepdim=True)

    @abstractmethod
    def _fuse(self, parts: list[Tensor], present: Tensor) -> Tensor:
        """Fuse parts ``(n, size)``, missing ones 0; mask ``(n, parts)``; to ``(n, out_size)``."""

    def _check(self, parts: Parts, present: Parts) -> tuple[list[Tensor], Tensor]:
        """Return the parts in the order of ``sizes``, missing ones 0, and a mask ``(n, parts)``."""
        if parts.keys() != self.sizes.keys() or not present.keys() <= self.sizes.keys():
            raise KeyError(
                f"wanted the parts {', '.join(self.sizes)}; got {', '.join(parts) or 'none'} and "
                f"masks for {', '.join(present) or 'none'}. Give a part that some items lack with "
                "any numbers there, and present={name: mask}"
            )
        n = len(next(iter(parts.values())))
        vectors, masks = [], []
        for name, size in self.sizes.items():
            part = parts[name]
            mask = present.get(name)
            if mask is None:
                mask = torch.ones(n, dtype=torch.bool, device=part.device)
            if mask.dtype != torch.bool:
                raise TypeError(f"present[{name!r}] must be bool, got {mask.dtype}")
            if part.shape != (n, size) or mask.shape != (n,):
                raise ValueError(
                    f"part {name!r} must be ({n}, {size}) and its mask ({n},), got "
                    f"{tuple(part.shape)} and {tuple(mask.shape)}"
                )
            vectors.append(part.masked_fill(~mask[:, None], 0.0))
            masks.append(mask)
        return vectors, torch.stack(masks, dim=1)


class Concatenation(Fusion):
    """Concatenate the parts and apply a linear map; a trained vector replaces a missing part.

    Args:
        sizes: see ``Fusion``.
        out_size: see ``Fusion``.
    """

    def __init__(self, sizes: Mapping[str, int], out_size: int) -> None:
        super().__init__(sizes, out_size)
        self.map = nn.Linear(sum(sizes.values()), out_size)
        self.missing = nn.ParameterList(torch.zeros(n) for n in sizes.values())

    def _fuse(self, parts: list[Tensor], present: Tensor) -> Tensor:
        filled = [
            torch.where(present[:, i, None], part, missing)
            for i, (part, missing) in enumerate(zip(parts, self.missing, strict=True))
        ]
        return self.map(torch.cat(filled, dim=1))


class Gate(Fusion):
    """Weighted sum of the parts, with separate weights for each item and dimension.

    ``h_k = tanh(W_k x_k + b_k)``, ``g = softmax over the parts k of (V [x_1 ... x_K] + c)``, and
    the result is ``sum_k g_k h_k``. With two parts this is the gated multimodal unit of Arevalo et
    al., *Gated multimodal units for information fusion*, 2017 (its sigmoid is a softmax of two);
    missing parts are excluded from the softmax.

    Args:
        sizes: see ``Fusion``.
        out_size: see ``Fusion``.
    """

    def __init__(self, sizes: Mapping[str, int], out_size: int) -> None:
        super().__init__(sizes, out_size)
        self.maps = nn.ModuleList(nn.Linear(n, out_size) for n in sizes.values())
        self.gate = nn.Linear(sum(sizes.values()), len(sizes) * out_size)

    def _fuse(self, parts: list[Tensor], present: Tensor) -> Tensor:
        states = _map_parts(self.maps, parts).tanh()  # (n, parts, out_size)
        return (self._weights(parts, present) * states).sum(dim=1)

    def _weights(self, parts: list[Tensor], present: Tensor) -> Tensor:
        scores = self.gate(torch.cat(parts, dim=1)).unflatten(1, (len(parts), self.out_size))
        return masked_softmax(scores, present[:, :, None])

    def weights(self, parts: Parts, present: Parts | None = None) -> Tensor:
        """Return the weight of each part in each dimension, ``(n, parts, out_size)``."""
        return self._weights(*self._check(parts, present or {}))


class AttentionFusion(Fusion):
    """Weighted mean of the mapped parts, with one attention weight per part.

    ``h_k = W_k x_k + b_k``, ``a = softmax over k of (q . tanh(U h_k))``, and the result is
    ``sum_k a_k h_k``: additive attention over parts instead of words (Yang et al., *Hierarchical
    attention networks*, 2016, equations 5 to 7).

    Args:
        sizes: see ``Fusion``.
        out_size: see ``Fusion``.
    """

    def __init__(self, sizes: Mapping[str, int], out_size: int) -> None:
        super().__init__(sizes, out_size)
        self.maps = nn.ModuleList(nn.Linear(n, out_size) for n in sizes.values())
        self.proj = nn.Linear(out_size, out_size)
        self.query = nn.Linear(out_size, 1, bias=False)

    def _fuse(self, parts: list[Tensor], present: Tensor) -> Tensor:
        states = _map_parts(self.maps, parts)
        return torch.einsum("nk,nkd->nd", self._weights(states, present), states)

    def _weights(self, states: Tensor, present: Tensor) -> Tensor:
        return masked_softmax(self.query(self.proj(states).tanh())[:, :, 0], present)

    def weights(self, parts: Parts, present: Parts | None = None) -> Tensor:
        """Return the weight of each part, ``(n, parts)``; rows sum to 1, or to 0 without parts."""
        vectors, mask = self._check(parts, present or {})
        return self._weights(_map_parts(self.maps, vectors), mask)


def _map_parts(maps: nn.ModuleList, parts: list[Tensor]) -> Tensor:
    """Apply to each part its own map; return ``(n, parts, out_size)``."""
    return torch.stack([m(x) for m, x in zip(maps, parts, strict=True)], dim=1)
