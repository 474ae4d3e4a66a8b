"""An encoder-decoder that reads a text, a picture and a context, and writes a text.

Source: Vaswani et al., *Attention is all you need*, 2017, figure 1, with the norm before each
branch. A test compares ``DecoderBlock`` with ``torch.nn.TransformerDecoderLayer``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.multimodal.cross_attention import CrossAttention
from m6rec_lite.multimodal.picture_encoders import PictureEncoder
from m6rec_lite.nn.attention import AttentionContext
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.positions import LearnedPositions
from m6rec_lite.nn.transformer import Block, Transformer, TransformerConfig

PAD = -1  #: after the end of a text


class DecoderBlock(nn.Module):
    """Causal self-attention, attention to the memory, and a feed-forward network, pre-norm."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.block = Block(config)
        self.cross = CrossAttention(config.hidden_size, config.n_heads, dropout=config.dropout)
        self.norm = nn.LayerNorm(config.hidden_size, config.norm_eps)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, memory: Tensor, present: Tensor | None = None) -> Tensor:
        """Map ``(n, time, d)`` and the memory ``(n, keys, d)`` to ``(n, time, d)``."""
        block, causal = self.block, AttentionContext(causal=True)
        x = x + block.dropout(block.attention(block.norm_attention(x), causal))
        x = x + self.dropout(self.cross(self.norm(x), memory, present))
        return x + block.dropout(block.ffn(block.norm_ffn(x)))


class EncoderDecoder(nn.Module):
    """Encode text, picture regions and context together, and write with cross-attention to them.

    Args:
        vocab_size: size of the tokenizer.
        picture: encoder of the pictures; its ``hidden_size`` is that of the model.
        max_length: largest number of tokens of a text that is read or written.
        start, end: ids of the tokens that start and end a written text.
        n_layers: number of blocks of the encoder, and of the decoder.
        context_sizes: number of codes of each part of the context, as in ``ContextTable.sizes``.
    """

    def __init__(
        self,
        vocab_size: int,
        picture: PictureEncoder,
        max_length: int,
        start: int,
        end: int,
        n_layers: int = 2,
        context_sizes: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        d = picture.hidden_size
        config = TransformerConfig(d, n_layers=n_layers, n_heads=4)
        self.start, self.end, self.max_length, self.picture = start, end, max_length, picture
        self.words = nn.Embedding(vocab_size, d)
        self.positions = LearnedPositions(max_length, d)
        self.kind = nn.Parameter(0.02 * torch.randn(2, d))  # of text and of picture
        self.encoder = Transformer(config)
        self.decoder = nn.ModuleList(DecoderBlock(config) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d)
        # After all else: what a model without context draws does not change.
        self.context = nn.ModuleList(nn.Embedding(n, d) for n in (context_sizes or {}).values())

    def encode(
        self, read: Tensor, pictures: Tensor, pictured: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Encode ``(n, time)`` token ids, padded with -1, and ``(n, side, side, 3)`` pictures.

        Args:
            read: token ids.
            pictures: uint8 pictures.
            pictured: ``(n,)`` bool, False for rows whose picture is missing.
            context: ``(n, parts)`` int64 codes, as of ``ContextTable``; one token for each part.
                A code of 0, unknown, is missing; so are all of them with None.

        Returns:
            The memory ``(n, keys, d)``, and which keys are present, ``(n, keys)`` bool.

        Raises:
            ValueError: if the context has another number of parts than the model.
        """
        text = self._embed(read) + self.kind[0]
        regions = self.picture(pictures) + self.kind[1]
        memory, masks = [text, regions], [read != PAD, pictured[:, None].expand(regions.shape[:2])]
        if context is not None:
            if context.shape[1:] != (len(self.context),):
                raise ValueError(
                    f"this model reads {len(self.context)} parts of a context, got codes of "
                    f"{tuple(context.shape)}: pass context_sizes=table.sizes when it is made"
                )
            columns = zip(self.context, context.unbind(dim=1), strict=True)
            memory += [values(codes)[:, None] for values, codes in columns]
            masks += [context > 0]
        present = torch.cat(masks, dim=1)
        return self.encoder(torch.cat(memory, dim=1), present[:, None, None, :]), present

    def decode(self, written: Tensor, memory: Tensor, present: Tensor) -> Tensor:
        """Return the scores of the token after each of ``written``: ``(n, time, vocab_size)``."""
        x = self._embed(written)
        for block in self.decoder:
            x = block(x, memory, present)
        return self.norm(x) @ self.words.weight.t()

    def loss(self, written: Tensor, *inputs: Tensor) -> Tensor:
        """Return the mean cross-entropy of the tokens after the first of each row.

        Args:
            written: ``(n, time)`` int64: the start token, the text, the end token, padding.
            inputs: arguments of ``encode``.
        """
        scores = self.decode(written[:, :-1], *self.encode(*inputs))
        return F.cross_entropy(scores.flatten(0, 1), written[:, 1:].flatten(), ignore_index=PAD)

    @torch.no_grad()
    def write(self, *inputs: Tensor) -> list[list[int]]:
        """Return the greedily written token ids of each row; ``inputs`` are those of ``encode``."""
        memory, present = self.encode(*inputs)
        written = torch.full((len(memory), 1), self.start)
        while written.shape[1] < self.max_length and not (written == self.end).any(dim=1).all():
            scores = self.decode(written, memory, present)[:, -1]
            written = torch.cat([written, scores.argmax(dim=1, keepdim=True)], dim=1)
        texts = [ids[1:] for ids in written.tolist()]
        return [ids[: ids.index(self.end)] if self.end in ids else ids for ids in texts]

    def _embed(self, tokens: Tensor) -> Tensor:
        """Return ``(n, time, d)``: the vectors of tokens and positions."""
        return self.words(tokens.clamp(min=0)) + self.positions(torch.arange(tokens.shape[1]))
