"""The encoder-decoder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from m6rec_lite.multimodal import DecoderBlock, EncoderDecoder, ViT
from m6rec_lite.nn import TransformerConfig

START, END = 0, 1


def block_like(layer: nn.TransformerDecoderLayer, d: int, heads: int) -> DecoderBlock:
    """A decoder block with the weights of torch's layer."""
    ours = DecoderBlock(TransformerConfig(d, n_heads=heads, ffn_size=32, dropout=0.0))
    encoder = nn.TransformerEncoderLayer(d, heads, 32, batch_first=True)
    encoder.self_attn, encoder.linear1, encoder.linear2 = (
        layer.self_attn, layer.linear1, layer.linear2,
    )  # fmt: skip
    encoder.norm1, encoder.norm2 = layer.norm1, layer.norm3
    ours.block.load_torch(encoder)
    cross, theirs = ours.cross, layer.multihead_attn
    with torch.no_grad():
        cross.query.weight.copy_(theirs.in_proj_weight[:d])
        cross.query.bias.copy_(theirs.in_proj_bias[:d])
        cross.key_value.weight.copy_(theirs.in_proj_weight[d:])
        cross.key_value.bias.copy_(theirs.in_proj_bias[d:])
    cross.out.load_state_dict(theirs.out_proj.state_dict())
    ours.norm.load_state_dict(layer.norm2.state_dict())
    return ours


def test_a_block_equals_torch():
    torch.manual_seed(0)
    theirs = nn.TransformerDecoderLayer(
        16, 4, 32, dropout=0.0, activation="gelu", norm_first=True, batch_first=True
    ).eval()
    ours = block_like(theirs, 16, 4).eval()
    x, memory = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    present = torch.rand(2, 7) < 0.7
    present[:, 0] = True
    expected = theirs(
        x,
        memory,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(5),
        tgt_is_causal=True,
        memory_key_padding_mask=~present,
    )
    torch.testing.assert_close(ours(x, memory, present), expected)


def model(seed: int = 0, **context: dict[str, int]) -> EncoderDecoder:
    torch.manual_seed(seed)
    picture = ViT(16, 16, n_heads=2)
    return EncoderDecoder(12, picture, max_length=6, start=START, end=END, n_layers=1, **context)


def inputs(n: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    read = torch.tensor([[5, 6, -1]]).repeat(n, 1)
    pictures = torch.randint(0, 60, (n, 16, 16, 3), generator=generator, dtype=torch.uint8)
    pictures[::2, :8] += 150  # even rows have a bright upper half
    return read, pictures, torch.ones(n, dtype=torch.bool)


def test_padding_and_missing_pictures_have_no_effect():
    net, (read, pictures, pictured) = model().eval(), inputs()
    written = torch.tensor([[START, 7, 8, END]]).repeat(4, 1)
    loss = net.loss(written, read, pictures, pictured)
    longer = torch.cat([read, torch.full((4, 1), -1)], dim=1)
    torch.testing.assert_close(net.loss(written, longer, pictures, pictured), loss)
    padded = torch.cat([written, torch.full((4, 1), -1)], dim=1)
    torch.testing.assert_close(net.loss(padded, read, pictures, pictured), loss)
    none = torch.zeros_like(pictured)
    blind = net.loss(written, read, pictures, none)
    torch.testing.assert_close(net.loss(written, read, 255 - pictures, none), blind)
    assert abs(blind.item() - loss.item()) > 1e-5


def test_a_token_does_not_depend_on_later_ones():
    net, given = model().eval(), inputs()
    memory, present = net.encode(*given)
    written = torch.tensor([[START, 7, 8, 9]]).repeat(4, 1)
    other = written.clone()
    other[:, 3] = 4
    scores, changed = (net.decode(ids, memory, present) for ids in (written, other))
    torch.testing.assert_close(scores[:, :3], changed[:, :3])
    assert not torch.allclose(scores[:, 3], changed[:, 3])


def test_it_learns_to_write_what_the_picture_shows():
    net, given = model(), inputs(16)
    bright = torch.arange(16) % 2 == 0
    word = torch.where(bright, 8, 9)
    ends = torch.full((16,), END)
    written = torch.stack([torch.full((16,), START), torch.full((16,), 7), word, ends], dim=1)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        net.loss(written, *given).backward()
        optimizer.step()
    net.eval()
    assert net.write(*given) == [[7, int(w)] for w in word]
    blind = net.write(given[0], given[1], torch.zeros(16, dtype=torch.bool))
    assert len({tuple(row) for row in blind}) == 1


def test_writing_ends_at_the_longest_text():
    net, given = model().eval(), inputs()
    with torch.no_grad():
        net.words.weight[END] = 0.0  # never the largest score
    texts = net.write(*given)
    assert all(len(text) <= 5 for text in texts)


def test_a_text_that_is_too_long_is_refused():
    net, (_, pictures, pictured) = model(), inputs()
    with pytest.raises(ValueError, match="max_length=6"):
        net.encode(torch.full((4, 7), 5), pictures, pictured)


SIZES = {"place": 3, "weather": 4}


def test_without_context_a_model_that_can_read_one_equals_one_that_cannot():
    given, written = inputs(), torch.tensor([[START, 7, 8, END]]).repeat(4, 1)
    plain, net = model().eval(), model(context_sizes=SIZES).eval()
    loss = plain.loss(written, *given)
    torch.testing.assert_close(net.loss(written, *given), loss, rtol=0, atol=0)
    unknown = torch.zeros(4, 2, dtype=torch.int64)
    torch.testing.assert_close(net.loss(written, *given, unknown), loss)


def test_each_part_of_the_context_changes_what_is_written_and_gets_a_gradient():
    net, given = model(context_sizes=SIZES).eval(), inputs()
    written = torch.tensor([[START, 7, 8, END]]).repeat(4, 1)
    codes = torch.tensor([[1, 2], [2, 2], [1, 3], [0, 1]])
    scores = net.decode(written, *net.encode(*given, codes))
    for part in range(2):
        other = codes.clone()
        other[:2, part] = 3 - codes[:2, part]
        changed = net.decode(written, *net.encode(*given, other))
        assert not torch.allclose(changed[:2], scores[:2])
        torch.testing.assert_close(changed[2:], scores[2:])
    net.loss(written, *given, codes).backward()
    place, weather = (values.weight.grad.abs().sum(dim=1) > 0 for values in net.context)
    assert place.tolist() == [False, True, True]  # only codes that occur; 0 is missing
    assert weather.tolist() == [False, True, True, True]


def test_it_learns_to_write_what_only_the_context_says():
    net, (read, pictures, pictured) = model(context_sizes={"weather": 3}), inputs(16)
    codes = 1 + torch.arange(16)[:, None] % 4 // 2  # not told by the brightness of the picture
    word = 7 + codes[:, 0]
    start, end = torch.full((16,), START), torch.full((16,), END)
    written = torch.stack([start, word, end], dim=1)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        net.loss(written, read, pictures, pictured, codes).backward()
        optimizer.step()
    net.eval()
    assert net.write(read, pictures, pictured, codes) == [[int(w)] for w in word]


def test_a_context_with_other_parts_is_refused():
    net, given = model(context_sizes=SIZES), inputs()
    with pytest.raises(ValueError, match="reads 2 parts of a context"):
        net.encode(*given, torch.ones(4, 3, dtype=torch.int64))
