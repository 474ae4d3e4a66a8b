"""The last layer on the last token alone."""

import pytest
import torch

from m6rec_lite.m6rec import answers_with
from m6rec_lite.m6rec.compress.blocks import embed, last_state, run_blocks
from tests.m6rec.compress.small import a_model, rows, scorer


def test_the_last_token_is_computed_as_with_the_others():
    model, ids = a_model(1), torch.randint(11, 270, (1, 9))
    x, rotary = embed(model, ids, torch.arange(9)[None])
    mask = torch.ones(9, 9, dtype=torch.bool).tril()
    wanted = run_blocks(model.blocks, x, mask, rotary)[:, -1]
    torch.testing.assert_close(last_state(model.blocks[0], x, rotary), wanted)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_a_request_is_answered_as_in_a_batch(positions):
    both, examples = scorer(a_model(2, positions=positions)), rows(5)
    both.task("scoring").negative_share = 0.25
    answer = answers_with(both)
    got = [answer(*row) for row in zip(examples.known, examples.written, strict=True)]
    assert got == pytest.approx(both.task("scoring").predict(both.model, examples), abs=1e-6)
