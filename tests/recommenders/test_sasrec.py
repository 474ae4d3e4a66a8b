"""SASRec: its positions and its attention maps; the rest is in the sequential contract."""

import numpy as np
import pytest
import torch

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders import NotFittedError, SASRec
from m6rec_lite.recommenders.sequential.sequences import NextItemBatches
from tests.contracts.sequential import SMALL, chain, network

ROWS = [[0, 1, 2, 3, 4], [5, 3, 1], [2, 2, 6, 7], [7, 6, 5, 4, 3, 2, 1, 0]]


@pytest.fixture(scope="module")
def fitted():
    users = np.repeat(np.arange(len(ROWS)), [len(row) for row in ROWS])
    items = np.concatenate(ROWS)
    train = Interactions(
        user_ids=np.arange(len(ROWS)), item_ids=np.arange(8), users=users, items=items,
        timestamps=np.arange(len(items)), events=np.zeros(len(items), np.int8),
        values=np.ones(len(items), np.float32),
    )  # fmt: skip
    return SASRec(hidden_size=8, n_heads=2, max_length=6, epochs=2).fit(train, progress=False)


def histories(rows, item_ids=None):
    return Histories.from_lists(rows, np.arange(8) if item_ids is None else item_ids)


def test_positions_count_from_the_end_so_that_the_last_is_trained() -> None:
    """Every row, short or long, asks at position 0; only long rows use the highest positions."""
    train = Interactions.from_frame(chain())
    model = SASRec(**SMALL, dropout=0.0)
    net = network(model)
    batch = NextItemBatches(train.histories(), batch_size=200, max_length=12).epoch(0, 0)[0]
    (g,) = torch.autograd.grad(model._loss(net, batch), net.positions.weight)
    longest = int(batch["lengths"][0])
    assert (g[:longest].abs().sum(1) > 0).all()
    assert (g[longest:] == 0).all()


def test_rows_add_up_to_one_and_look_at_no_later_item(fitted):
    maps = fitted.attention_maps(histories(ROWS))
    assert [m.shape for m in maps] == [(2, 2, t, t) for t in (5, 3, 4, 6)]  # 8 items cut to 6
    for m in maps:
        np.testing.assert_allclose(m.sum(axis=-1), 1, rtol=1e-5)
        assert np.all(np.triu(m, 1) == 0)
        assert np.ptp(m[:, :, -1]) > 1e-6, "weights that are all alike were not learnt"


def test_the_maps_rebuild_the_state_that_scores(fitted):
    """Mixing each block's values by its map gives what the network gives."""
    network, items = fitted._network, torch.tensor([5, 3, 1, 0])
    maps = torch.from_numpy(fitted.attention_maps(histories([items.tolist()]))[0])
    with torch.no_grad():
        x = network.embed(items, torch.tensor([3, 2, 1, 0]))  # (time, hidden_size)
        for block, weights in zip(network.transformer.blocks, maps, strict=True):
            v = block.attention.split(block.norm_attention(x))[:, 2].transpose(0, 1)
            mixed = (weights @ v).transpose(0, 1).flatten(1)
            x = x + block.attention.out(mixed)
            x = x + block.ffn(block.norm_ffn(x))
        wanted = network(items, Packing(torch.tensor([4])))
    torch.testing.assert_close(network.transformer.norm(x), wanted)


def test_a_map_of_the_past_does_not_change_with_what_follows(fitted):
    short, long = fitted.attention_maps(histories([[1, 2, 3], [1, 2, 3, 4]]))
    assert short.shape[-1] == 3
    assert not np.allclose(short, long[:, :, :3, :3])  # positions count from the end
    other = fitted.attention_maps(histories([[1, 2, 3, 7]]))[0]
    np.testing.assert_allclose(long[:, :, :3, :3], other[:, :, :3, :3], rtol=1e-5)


def test_an_empty_history_has_an_empty_map(fitted):
    assert fitted.attention_maps(histories([[]]))[0].shape == (2, 2, 0, 0)


def test_bad_questions_are_refused(fitted):
    with pytest.raises(NotFittedError):
        SASRec().attention_maps(histories(ROWS))
    with pytest.raises(DataError, match="fitted on 8"):
        fitted.attention_maps(histories([[0]], np.arange(9)))
