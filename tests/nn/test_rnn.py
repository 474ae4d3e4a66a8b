"""Recurrent cells and runs: against torch's own on the same weights, in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from m6rec_lite.nn.rnn import CELLS, Recurrent

TORCH_LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
TORCH_CELLS = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
KINDS = list(CELLS)


def randn(*shape: int, seed: int = 0, grad: bool = False) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(grad)


def pair(kind: str, n_layers: int, bias: bool = True) -> tuple[Recurrent, nn.RNNBase]:
    """Ours and torch's with the same weights: 5 numbers in, states of 7."""
    torch.manual_seed(0)
    reference = TORCH_LAYERS[kind](5, 7, n_layers, batch_first=True, bias=bias, dtype=torch.float64)
    ours = Recurrent(kind, 5, 7, n_layers, bias=bias).double()
    ours.load_state_dict(
        {
            f"cells.{name.rpartition('_l')[2]}.{name.rpartition('_l')[0]}": weight
            for name, weight in reference.state_dict().items()
        }
    )
    return ours, reference


def states(kind: str, n_layers: int, batch: int) -> tuple[torch.Tensor, ...]:
    return tuple(randn(n_layers, batch, 7, seed=9 + i) for i in range(CELLS[kind].n_states))


def for_torch(kind: str, state: tuple[torch.Tensor, ...]) -> object:
    return state if kind == "lstm" else state[0]


def check(ours: list[torch.Tensor], reference: list[torch.Tensor]) -> None:
    for a, b in zip(ours, reference, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_equals_torchs(kind: str) -> None:
    reference = TORCH_CELLS[kind](5, 7, dtype=torch.float64)
    ours = CELLS[kind](5, 7).double()
    ours.load_state_dict(reference.state_dict())
    x, state = randn(4, 5), tuple(part[0] for part in states(kind, 1, 4))
    wanted = reference(x, for_torch(kind, state))
    check(list(ours(x, state)), list(wanted) if kind == "lstm" else [wanted])
    wanted = reference(x)
    check(list(ours(x)), list(wanted) if kind == "lstm" else [wanted])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_runs_equal_torchs_forward_and_backward(kind: str, n_layers: int, bias: bool) -> None:
    ours, peer = pair(kind, n_layers, bias)
    x, state = randn(4, 6, 5, grad=True), states(kind, n_layers, 4)
    out, last = ours(x, state)
    wanted, final = peer(x, for_torch(kind, state))
    final = final if kind == "lstm" else (final,)
    check([out, *last], [wanted, *final])
    pull = randn(4, 6, 7, seed=3)
    by = torch.autograd.grad((out * pull).sum() + last[-1].sum(), [x, *ours.parameters()])
    to = torch.autograd.grad((wanted * pull).sum() + final[-1].sum(), [x, *peer.parameters()])
    check(list(by), list(to))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_padded_and_packed_rows_equal_torchs(kind: str, lengths: list[int], seed: int) -> None:
    ours, reference = pair(kind, 2)
    x = randn(len(lengths), 7, 5, seed=seed, grad=True)  # one step longer than the longest row
    state, long = states(kind, 2, len(lengths)), torch.tensor(lengths)
    packed = pack_padded_sequence(x, long, batch_first=True, enforce_sorted=False)
    wanted, final = reference(packed, for_torch(kind, state))
    final = final if kind == "lstm" else (final,)
    padded = pad_packed_sequence(wanted, batch_first=True, total_length=7)[0]
    out, last = ours(x, state, lengths=long)
    check([out, *last], [padded, *final])
    again, last = ours(packed, state)
    check([again.data, *last], [wanted.data, *final])
    (by,) = torch.autograd.grad((out**2).sum(), x)
    (to,) = torch.autograd.grad((padded**2).sum(), x)
    check([by], [to])
    for row, length in enumerate(lengths):
        assert (out[row, length:] == 0).all()
        assert (by[row, length:] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_forgets_what_was(kind: str) -> None:
    ours, _ = pair(kind, 2)
    x, starts = randn(2, 6, 5), torch.zeros(2, 6, dtype=torch.bool)
    starts[0, 4] = starts[1, 0] = True
    out, last = ours(x, states(kind, 2, 2), starts=starts)
    fresh, end = ours(x[:1, 4:])
    check([out[:1, 4:], *(part[:, :1] for part in last)], [fresh, *end])
    whole, _ = ours(x[1:])  # a start at the first step: the state given is not read
    check([out[1:]], [whole])


def test_long_products_vanish_in_an_rnn_and_not_in_an_lstm_that_keeps() -> None:
    """The gradient of the last state by the first input, 40 steps before."""
    result = {}
    for kind in ("rnn", "lstm"):
        net, _ = pair(kind, 1)
        if kind == "lstm":
            with torch.no_grad():
                net.cells[0].bias_ih[7:14] = 5.0  # the forget gate stays open
        x = randn(1, 40, 5, grad=True)
        (g,) = torch.autograd.grad(net(x)[1][-1].sum(), x)
        result[kind] = float(g[0, 0].norm() / g[0, -1].norm())
    assert result["rnn"] < 1e-6
    assert result["lstm"] > 1e-2


def test_bad_input_is_refused_with_a_reason() -> None:
    net = Recurrent("gru", 3, 4)
    for lengths in ([0, 2], [1, 6], [1]):
        with pytest.raises(ValueError, match="each from 1 to time=5"):
            net(torch.zeros(2, 5, 3), lengths=torch.tensor(lengths))
    with pytest.raises(ValueError, match="at least one row and one step"):
        net(torch.zeros(2, 0, 3))
    with pytest.raises(ValueError, match="leave lengths and packing out"):
        net(
            torch.zeros(2, 5, 3),
            lengths=torch.tensor([1, 2]),
            starts=torch.zeros(2, 5, dtype=torch.bool),
        )
    with pytest.raises(ValueError, match=r"starts must be \(batch, time\) = \(2, 5\)"):
        net(torch.zeros(2, 5, 3), starts=torch.zeros(5, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="kind must be one of rnn, lstm, gru"):
        Recurrent("elman", 3, 4)
    with pytest.raises(ValueError, match="n_layers must be at least 1"):
        Recurrent("rnn", 3, 4, 0)
    with pytest.raises(ValueError, match="input_size and hidden_size"):
        Recurrent("rnn", 0, 4)
