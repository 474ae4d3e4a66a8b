"""Cross-attention: queries of one sequence attend to the keys and values of another.

Source: Vaswani et al., *Attention is all you need*, 2017, section 3.2.3 (encoder-decoder
attention). Tests compare it with ``torch.nn.MultiheadAttention``.
"""

from __future__ import annotations

from torch import Tensor, nn

from m6rec_lite.nn.attention import fused_attention, scaled_dot_product_attention


class CrossAttention(nn.Module):
    """Multi-head attention from ``x`` to ``memory``; the arguments are those of self-attention.

    Raises:
        ValueError: if ``n_heads`` does not divide ``hidden_size``.
    """

    def __init__(self, hidden_size: int, n_heads: int = 1, *, dropout: float = 0.0) -> None:
        super().__init__()
        if n_heads < 1 or hidden_size % n_heads:
            raise ValueError(f"hidden_size {hidden_size} cannot be split among {n_heads} heads")
        self.n_heads, self.dropout = n_heads, dropout
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key_value = nn.Linear(hidden_size, 2 * hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)
        for layer in (self.query, self.key_value, self.out):
            nn.init.zeros_(layer.bias)  # as torch does
        # Orthogonal: values and output keep the lengths and the angles of what they map.
        nn.init.orthogonal_(self.key_value.weight[hidden_size:])
        nn.init.orthogonal_(self.out.weight)

    def forward(self, x: Tensor, memory: Tensor, present: Tensor | None = None) -> Tensor:
        """Compute the attention output of each query.

        Args:
            x: ``(batch, queries, hidden_size)``.
            memory: ``(batch, keys, hidden_size)``.
            present: ``(batch, keys)`` bool, False for keys that are missing; None for all.

        Returns:
            The shape of x. A row without any present key gets only the bias of the output map.
        """
        q, k, v = self._split(x, memory)
        p = self.dropout if self.training else 0.0
        heads = fused_attention(q, k, v, _mask(present), dropout=p)
        return self.out(heads.transpose(1, 2).flatten(-2))

    def weights(self, x: Tensor, memory: Tensor, present: Tensor | None = None) -> Tensor:
        """Return the attention weights, ``(batch, heads, queries, keys)``, for plots."""
        return scaled_dot_product_attention(*self._split(x, memory), _mask(present))[1]

    def _split(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values: ``(batch, heads, time, head_dim)`` each."""
        shape = (self.n_heads, x.shape[-1] // self.n_heads)
        q = self.query(x).unflatten(-1, shape).transpose(1, 2)
        k, v = self.key_value(memory).unflatten(-1, (2, *shape)).unbind(dim=-3)
        return q, k.transpose(1, 2), v.transpose(1, 2)


def _mask(present: Tensor | None) -> Tensor | None:
    """Return the mask ``(batch, 1, 1, keys)`` of present keys."""
    return None if present is None else present[:, None, None, :]
