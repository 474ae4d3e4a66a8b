"""Recurrent networks: one cell applied at every step, with a state passed from step to step.

Three cells, written from their equations, and ``Recurrent``, which runs a cell over padded or
packed sequences in one or more layers. Weights have the names and shapes of ``torch.nn``, so that
``load_state_dict`` works in both directions; tests compare outputs and gradients with torch.

Notation as in torch: x is the input, h the state, W_i and W_h their weight matrices, s the
logistic sigmoid, ``*`` the element-wise product. The matrices of all gates are stacked in one.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from m6rec_lite.nn.dropout import Dropout

#: State of a cell: (h,), or (h, c) of an LSTM; each ``(batch, hidden_size)``.
State = tuple[Tensor, ...]


class Cell(nn.Module):
    """Base class of the cells: the weights, and the product with x, which needs no state.

    Args:
        input_size: size of x.
        hidden_size: size of h.
        bias: whether both linear maps have a bias.
    """

    gates: ClassVar[int]  # matrices stacked in each weight
    n_states: ClassVar[int] = 1

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        super().__init__()
        if input_size < 1 or hidden_size < 1:
            raise ValueError(
                f"input_size and hidden_size must be at least 1, got {input_size}, {hidden_size}"
            )
        self.hidden_size = hidden_size
        rows = self.gates * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows)) if bias else None
        self.bias_hh = nn.Parameter(torch.empty(rows)) if bias else None
        for weight in self.parameters():
            nn.init.uniform_(weight, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))

    def project(self, x: Tensor) -> Tensor:
        """Return ``W_i x + b_i`` of all gates: ``(..., gates * hidden_size)``.

        It does not depend on the state, so one product covers a whole sequence.
        """
        return F.linear(x, self.weight_ih, self.bias_ih)

    def step(self, projected: Tensor, state: State) -> State:
        """Return the next state, given ``project(x)`` and the previous state."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """Return the next state, given x ``(batch, input_size)`` and a state (default zeros)."""
        if state is None:
            zeros = x.new_zeros(len(x), self.hidden_size)
            state = (zeros,) * self.n_states
        return self.step(self.project(x), state)


class RNNCell(Cell):
    """``h' = tanh(W_i x + b_i + W_h h + b_h)``; arguments as in ``Cell``.

    Source: Elman, *Finding structure in time*, 1990.
    """

    gates = 1

    def step(self, projected: Tensor, state: State) -> State:
        """Apply the equation."""
        (h,) = state
        return (torch.tanh(projected + F.linear(h, self.weight_hh, self.bias_hh)),)


class LSTMCell(Cell):
    """Long short-term memory: a second state c, updated by addition; arguments as in ``Cell``.

    ``i, f, o = s(...)`` (input, forget and output gate) and ``g = tanh(...)`` (candidate), each of
    ``W_i x + b_i + W_h h + b_h``; then ``c' = f * c + i * g``, ``h' = o * tanh(c')``. Source:
    Hochreiter and Schmidhuber, *Long short-term memory*, 1997; f is from Gers et al., 2000.
    """

    gates = 4
    n_states = 2

    def step(self, projected: Tensor, state: State) -> State:
        """Compute the gates, in torch's order i, f, g, o, and the next state."""
        h, c = state
        i, f, g, o = (projected + F.linear(h, self.weight_hh, self.bias_hh)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GRUCell(Cell):
    """Gated recurrent unit: z interpolates between h and a candidate; arguments as in ``Cell``.

    ``r, z = s(W_i x + b_i + W_h h + b_h)`` and ``n = tanh(W_i x + b_i + r * (W_h h + b_h))``, each
    with its own weights; then ``h' = (1 - z) * n + z * h``. Source: Cho et al., *Learning phrase
    representations using RNN encoder-decoder*, 2014 (there r is applied before the product with
    W_h; applied after it, as in torch and cuDNN, W_h h of all gates is one product).
    """

    gates = 3

    def step(self, projected: Tensor, state: State) -> State:
        """Compute the gates, in torch's order r, z, n, and the next state."""
        (h,) = state
        x_r, x_z, x_n = projected.chunk(3, dim=-1)
        h_r, h_z, h_n = F.linear(h, self.weight_hh, self.bias_hh).chunk(3, dim=-1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        return ((1 - z) * n + z * h,)


CELLS: dict[str, type[Cell]] = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell}


class Recurrent(nn.Module):
    """Run a cell over sequences, in layers: each layer reads the states of the layer below.

    Args:
        kind: ``rnn``, ``lstm`` or ``gru``.
        input_size: size of x.
        hidden_size: size of each layer's state.
        n_layers: number of layers.
        dropout: dropout rate between layers, in training.
        bias: whether the linear maps have a bias.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        kind: Literal["rnn", "lstm", "gru"],
        input_size: int,
        hidden_size: int,
        n_layers: int = 1,
        *,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if kind not in CELLS:
            raise ValueError(f"kind must be one of {', '.join(CELLS)}, got {kind!r}")
        if n_layers < 1:
            raise ValueError(f"n_layers must be at least 1, got {n_layers!r}")
        sizes = [input_size] + [hidden_size] * (n_layers - 1)
        self.cells = nn.ModuleList(CELLS[kind](size, hidden_size, bias=bias) for size in sizes)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: State | None = None,
        *,
        lengths: Tensor | None = None,
        starts: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run all layers over all steps.

        Args:
            x: ``(batch, time, input_size)``, or packed.
            state: initial state, (h,) or (h, c), each ``(n_layers, batch, hidden_size)``; zeros
                by default.
            lengths: ``(batch,)`` of padded x, from 1 to time; later steps are not read.
            starts: ``(batch, time)`` bool, True resets the state before this step (a new session
                in the same row). Not allowed with lengths or packed x.

        Returns:
            The last layer's h at every step, ``(batch, time, hidden_size)`` (0 after the end of a
            row) or packed like x; and each layer's state after the last step of each row.

        Raises:
            ValueError: if there is no step, a length is out of range, or ``starts`` is combined
                with lengths or packed x.
        """
        if starts is not None and (isinstance(x, PackedSequence) or lengths is not None):
            raise ValueError("starts is for rows of one length: leave lengths and packing out")
        if isinstance(x, PackedSequence):
            return self._run_packed(x, state)
        if lengths is not None:
            outputs, state = self._run_packed(_pack(x, lengths), state)
            return pad_packed_sequence(outputs, True, total_length=x.shape[1])[0], state
        batch, time = x.shape[:2]
        if time == 0 or batch == 0:
            raise ValueError(f"x must hold at least one row and one step, got {tuple(x.shape)}")
        if starts is not None and starts.shape != (batch, time):
            raise ValueError(
                f"starts must be (batch, time) = {(batch, time)}, got {tuple(starts.shape)}"
            )
        keep = None if starts is None else (~starts).t()[..., None].to(x.dtype)  # (time, batch, 1)
        flat, state = self._run(x.transpose(0, 1).flatten(0, 1), [batch] * time, state, keep)
        return flat.unflatten(0, (time, batch)).transpose(0, 1), state

    def _run_packed(self, x: PackedSequence, state: State | None) -> tuple[PackedSequence, State]:
        """Run rows sorted by falling length; sort the state likewise and restore its order."""
        order, inverse = x.sorted_indices, x.unsorted_indices
        if state is not None and order is not None:
            state = tuple(part[:, order] for part in state)
        data, state = self._run(x.data, x.batch_sizes.tolist(), state, None)
        if inverse is not None:
            state = tuple(part[:, inverse] for part in state)
        return PackedSequence(data, x.batch_sizes, order, inverse), state

    def _run(
        self, x: Tensor, sizes: list[int], state: State | None, keep: Tensor | None
    ) -> tuple[Tensor, State]:
        """Run all layers; x holds the rows of step 0, then of step 1, ...; ``sizes`` per step."""
        finals: list[State] = []
        for layer, module in enumerate(self.cells):
            cell = cast(Cell, module)
            if state is None:
                zeros = x.new_zeros(sizes[0], cell.hidden_size)
                initial: State = (zeros,) * cell.n_states
            else:
                initial = tuple(part[layer] for part in state)
            x = x if layer == 0 else self.dropout(x)
            x, final = _run_layer(cell, x, sizes, initial, keep)
            finals.append(final)
        return x, tuple(torch.stack(parts) for parts in zip(*finals, strict=True))


def _run_layer(
    cell: Cell, x: Tensor, sizes: list[int], state: State, keep: Tensor | None
) -> tuple[Tensor, State]:
    """Run one layer; ``sizes`` must not rise, and a finished row keeps its last state."""
    outputs, ended = [], []
    for t, projected in enumerate(cell.project(x).split(sizes)):
        n = len(projected)
        if n < len(state[0]):
            ended.append(tuple(part[n:] for part in state))
            state = tuple(part[:n] for part in state)
        if keep is not None:
            state = tuple(part * keep[t] for part in state)
        state = cell.step(projected, state)
        outputs.append(state[0])
    parts = zip(state, *reversed(ended), strict=True)
    return torch.cat(outputs), tuple(torch.cat(part) for part in parts)


def _pack(x: Tensor, lengths: Tensor) -> PackedSequence:
    """Pack padded rows."""
    if len(lengths) != len(x) or int(lengths.min()) < 1 or int(lengths.max()) > x.shape[1]:
        raise ValueError(
            f"lengths must be ({len(x)},), each from 1 to time={x.shape[1]}, got "
            f"{lengths.tolist()[:8]}: leave empty rows out and cut longer ones"
        )
    return pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
