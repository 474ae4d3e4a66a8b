"""Recurrent networks: the same small net at every step, which hands its state to the next.

Three cells, written from their equations, and ``Recurrent``, which runs one through sequences, in
layers, padded or packed. Weights have the names and shapes of ``torch.nn``'s, so that
``load_state_dict`` goes both ways; tests hold both equal, forward and backward.

Letters as in torch: x what comes in, h the state, W_i and W_h the maps of each, s the logistic
sigmoid, ``*`` entry by entry. What torch keeps as one matrix is the gates' maps one upon another.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from m6rec_lite.nn.dropout import Dropout

#: The state of a cell: (h,), or (h, c) of an LSTM; each ``(batch, hidden_size)``.
State = tuple[Tensor, ...]


class Cell(nn.Module):
    """Base of the cells: weights, and the product with x, which needs no state.

    Args:
        input_size: of x.
        hidden_size: of h.
        bias: whether both maps add one.
    """

    gates: ClassVar[int]  # maps one upon another
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
        """``W_i x + b_i`` of all gates: ``(..., input_size)`` to ``(..., gates * hidden_size)``.

        It does not depend on the state, so a whole sequence is done in one product.
        """
        return F.linear(x, self.weight_ih, self.bias_ih)

    def step(self, projected: Tensor, state: State) -> State:
        """The next state from ``project(x)`` and the one before."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """One step: ``(batch, input_size)`` and a state (zeros by default) to the next state."""
        if state is None:
            zeros = x.new_zeros(len(x), self.hidden_size)
            state = (zeros,) * self.n_states
        return self.step(self.project(x), state)


class RNNCell(Cell):
    """``h' = tanh(W_i x + b_i + W_h h + b_h)``. Source: Elman, *Finding structure in time*, 1990.

    Args: as of ``Cell``.
    """

    gates = 1

    def step(self, projected: Tensor, state: State) -> State:
        """One equation."""
        (h,) = state
        return (torch.tanh(projected + F.linear(h, self.weight_hh, self.bias_hh)),)


class LSTMCell(Cell):
    """A second state c that is added to, rather than multiplied by a matrix at each step.

    ``i, f, o = s(...)`` (what to let in, what to keep, what to show) and ``g = tanh(...)`` (what is
    new), each of ``W_i x + b_i + W_h h + b_h``; then ``c' = f * c + i * g``, ``h' = o * tanh(c')``.
    Source: Hochreiter and Schmidhuber, *Long short-term memory*, 1997; f is from Gers et al., 2000.

    Args: as of ``Cell``.
    """

    gates = 4
    n_states = 2

    def step(self, projected: Tensor, state: State) -> State:
        """Gates in torch's order: i, f, g, o."""
        h, c = state
        i, f, g, o = (projected + F.linear(h, self.weight_hh, self.bias_hh)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GRUCell(Cell):
    """One state; a gate z keeps a share of it, and the rest is new.

    ``r, z = s(W_i x + b_i + W_h h + b_h)`` and ``n = tanh(W_i x + b_i + r * (W_h h + b_h))``, each
    with maps of its own; then ``h' = (1 - z) * n + z * h``. Source: Cho et al., *Learning phrase
    representations using RNN encoder-decoder*, 2014 (there r stands within the product with W_h;
    behind it, as in torch and cuDNN, all of W_h h is one product).

    Args: as of ``Cell``.
    """

    gates = 3

    def step(self, projected: Tensor, state: State) -> State:
        """Gates in torch's order: r, z, n."""
        (h,) = state
        x_r, x_z, x_n = projected.chunk(3, dim=-1)
        h_r, h_z, h_n = F.linear(h, self.weight_hh, self.bias_hh).chunk(3, dim=-1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        return ((1 - z) * n + z * h,)


CELLS: dict[str, type[Cell]] = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell}


class Recurrent(nn.Module):
    """A cell run through sequences, in layers: each layer reads the states of the one below.

    Args:
        kind: ``rnn``, ``lstm`` or ``gru``.
        input_size: of x.
        hidden_size: of each layer's state.
        n_layers: how many.
        dropout: between layers, while training.
        bias: whether maps add one.

    Raises:
        ValueError: on a setting out of range.
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
            state: to begin with, ``(n_layers, batch, hidden_size)`` each of (h,) or (h, c); zeros
                by default.
            lengths: ``(batch,)`` of padded x, from 1 to time: what lies behind is not read.
            starts: ``(batch, time)`` bool: forget the state before this step (a new session in the
                same row). Not with lengths, nor packed.

        Returns:
            The last layer's h of every step, ``(batch, time, hidden_size)`` (0 behind a row's
            length) or packed as x was; and each layer's state after each row's last step.

        Raises:
            ValueError: if there is no step, a length is 0 or beyond, or ``starts`` stands with
                what it cannot stand with.
        """
        if isinstance(x, PackedSequence) or lengths is not None:
            if starts is not None:
                raise ValueError("starts is for rows of one length: leave lengths and packing out")
            packed = x if isinstance(x, PackedSequence) else _pack(x, lengths)
            outputs, state = self._run_packed(packed, state)
            if isinstance(x, PackedSequence):
                return outputs, state
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
        """Rows lie from the longest to the shortest; the state follows and comes back in order."""
        order, back = x.sorted_indices, x.unsorted_indices
        if state is not None and order is not None:
            state = tuple(part[:, order] for part in state)
        data, state = self._run(x.data, x.batch_sizes.tolist(), state, None)
        if back is not None:
            state = tuple(part[:, back] for part in state)
        return PackedSequence(data, x.batch_sizes, order, back), state

    def _run(
        self, x: Tensor, sizes: list[int], state: State | None, keep: Tensor | None
    ) -> tuple[Tensor, State]:
        """All layers over ``(steps one behind another, input_size)``, ``sizes`` rows a step."""
        finals = []
        for layer, cell in enumerate(self.cells):
            if state is None:
                zeros = x.new_zeros(sizes[0], cell.hidden_size)
                first: State = (zeros,) * cell.n_states
            else:
                first = tuple(part[layer] for part in state)
            x = x if layer == 0 else self.dropout(x)
            x, final = _run_layer(cell, x, sizes, first, keep)
            finals.append(final)
        return x, tuple(torch.stack(parts) for parts in zip(*finals, strict=True))


def _run_layer(
    cell: Cell, x: Tensor, sizes: list[int], state: State, keep: Tensor | None
) -> tuple[Tensor, State]:
    """One layer; ``sizes`` never rise, and a row that has ended keeps its state."""
    outputs, ended = [], []
    for t, now in enumerate(cell.project(x).split(sizes)):
        if len(now) < len(state[0]):
            ended.append(tuple(part[len(now) :] for part in state))
            state = tuple(part[: len(now)] for part in state)
        if keep is not None:
            state = tuple(part * keep[t] for part in state)
        state = cell.step(now, state)
        outputs.append(state[0])
    parts = zip(state, *reversed(ended), strict=True)
    return torch.cat(outputs), tuple(torch.cat(part) for part in parts)


def _pack(x: Tensor, lengths: Tensor) -> PackedSequence:
    """Padded rows as torch packs them."""
    if len(lengths) != len(x) or int(lengths.min()) < 1 or int(lengths.max()) > x.shape[1]:
        raise ValueError(
            f"lengths must be ({len(x)},), each from 1 to time={x.shape[1]}, got "
            f"{lengths.tolist()[:8]}: leave empty rows out and cut longer ones"
        )
    return pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
