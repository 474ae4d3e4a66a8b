"""Several vectors of one item made one: its title's, its tags', its id's, those of its users.

Parts may be missing: an item without a description, or one too new to have collaborative vectors.
So every fusion takes a mask, and what stands in a missing part (NaN, too) cannot reach the result.

Each part has a name and its own length. ``Concatenation`` looks at all dimensions of all parts at
once; ``Gate`` decides for each dimension which part to believe; ``AttentionFusion`` for each part
as a whole. The weights of the last two can be read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

#: The parts of n items: ``(n, size)`` each, by name.
Parts = Mapping[str, Tensor]


class Fusion(nn.Module, ABC):
    """Base of the fusions: checks the parts, and blanks what is missing.

    Args:
        sizes: length of each part's vectors, by name.
        out_size: length of the result.

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
            present: ``(n,)`` bool by name, False where an item lacks the part; parts that are not
                named are there for all.

        Returns:
            ``(n, out_size)``; 0 for an item that lacks all parts.

        Raises:
            KeyError: if a part is missing as a whole, or unknown.
            ValueError: if shapes do not fit.
            TypeError: if a mask is not bool.
        """
        given, there = self._check(parts, present or {})
        return self._fuse(given, there) * there.any(dim=1, keepdim=True)

    @abstractmethod
    def _fuse(self, parts: list[Tensor], present: Tensor) -> Tensor:
        """``(n, size)`` each, missing ones 0, and ``(n, parts)`` bool to ``(n, out_size)``."""

    def _check(self, parts: Parts, present: Parts) -> tuple[list[Tensor], Tensor]:
        """The parts in the order of ``sizes``, what is missing 0; and ``(n, parts)`` bool."""
        if parts.keys() != self.sizes.keys() or not present.keys() <= self.sizes.keys():
            raise KeyError(
                f"wanted the parts {', '.join(self.sizes)}; got {', '.join(parts) or 'none'} and "
                f"masks for {', '.join(present) or 'none'}. Give a part that some items lack with "
                "any numbers there, and present={name: mask}"
            )
        n = len(next(iter(parts.values())))
        found, there = [], []
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
            found.append(part.masked_fill(~mask[:, None], 0.0))
            there.append(mask)
        return found, torch.stack(there, dim=1)


class Concatenation(Fusion):
    """The parts side by side, then one linear map; a missing part is a vector that is learnt.

    Args:
        sizes: see ``Fusion``.
        out_size: see there.
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
    """A weighted sum of the parts, each dimension with weights of its own for each item.

    ``h_k = tanh(W_k x_k + b_k)``, ``g = softmax over the parts k of (V [x_1 ... x_K] + c)``, and
    the result is ``sum_k g_k h_k``. With two parts this is the gated multimodal unit of Arevalo et
    al., *Gated multimodal units for information fusion*, 2017 (its sigmoid is a softmax of two);
    missing parts are left out of the softmax.

    Args:
        sizes: see ``Fusion``.
        out_size: see there.
    """

    def __init__(self, sizes: Mapping[str, int], out_size: int) -> None:
        super().__init__(sizes, out_size)
        self.maps = nn.ModuleList(nn.Linear(n, out_size) for n in sizes.values())
        self.gate = nn.Linear(sum(sizes.values()), len(sizes) * out_size)

    def _fuse(self, parts: list[Tensor], present: Tensor) -> Tensor:
        states = _mapped(self.maps, parts).tanh()  # (n, parts, out_size)
        return (self._weights(parts, present) * states).sum(dim=1)

    def _weights(self, parts: list[Tensor], present: Tensor) -> Tensor:
        scores = self.gate(torch.cat(parts, dim=1)).unflatten(1, (len(parts), self.out_size))
        return _softmax(scores, present[:, :, None])

    def weights(self, parts: Parts, present: Parts | None = None) -> Tensor:
        """How far each dimension believes each part: ``(n, parts, out_size)``, for pictures."""
        return self._weights(*self._check(parts, present or {}))


class AttentionFusion(Fusion):
    """A weighted mean of the mapped parts, one weight a part: a learned question asks each.

    ``h_k = W_k x_k + b_k``, ``a = softmax over k of (q . tanh(U h_k))``, and the result is
    ``sum_k a_k h_k``: additive attention over parts in place of words (Yang et al., *Hierarchical
    attention networks*, 2016, equations 5 to 7).

    Args:
        sizes: see ``Fusion``.
        out_size: see there.
    """

    def __init__(self, sizes: Mapping[str, int], out_size: int) -> None:
        super().__init__(sizes, out_size)
        self.maps = nn.ModuleList(nn.Linear(n, out_size) for n in sizes.values())
        self.proj = nn.Linear(out_size, out_size)
        self.query = nn.Linear(out_size, 1, bias=False)

    def _fuse(self, parts: list[Tensor], present: Tensor) -> Tensor:
        states = _mapped(self.maps, parts)
        return torch.einsum("nk,nkd->nd", self._weights(states, present), states)

    def _weights(self, states: Tensor, present: Tensor) -> Tensor:
        return _softmax(self.query(self.proj(states).tanh())[:, :, 0], present)

    def weights(self, parts: Parts, present: Parts | None = None) -> Tensor:
        """How much each part counts: ``(n, parts)``; they add up to 1, or to 0 without parts."""
        given, there = self._check(parts, present or {})
        return self._weights(_mapped(self.maps, given), there)


def _mapped(maps: nn.ModuleList, parts: list[Tensor]) -> Tensor:
    """Each part by its own map, ``(n, parts, out_size)``."""
    return torch.stack([m(x) for m, x in zip(maps, parts, strict=True)], dim=1)


def _softmax(scores: Tensor, present: Tensor) -> Tensor:
    """Over the parts (dimension 1), those that are there; 0 where none is."""
    scores = scores.masked_fill(~present, torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=1).masked_fill(~present, 0.0)
