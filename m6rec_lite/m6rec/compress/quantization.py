"""Quantization: weights as whole numbers of 4 or 8 bits, with one scale for each block.

A block of n weights of a row has the scale ``s = max |w| / (2^(b-1) - 1)`` (absmax), and each
weight the code ``round(w / s)``. Read back, a weight differs from the original by at most half a
step, ``s / 2``. Smaller blocks have smaller steps and more scales: 4 bits in blocks of 64 with
float32 scales take 4.5 bits a weight. Source: Dettmers et al., *8-bit optimizers via block-wise
quantization*, 2022, section 2.1.

``quantize_weights`` saves bytes; the weights are read back before each product. In
``quantize_dynamic`` the products themselves are computed in 8 bits, by torchao or torch.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.m6rec.compress.sharing import FactorizedEmbedding, replace_embedding
from m6rec_lite.m6rec.model import M6RecModel


def quantize_blockwise(weight: Tensor, bits: int = 4, block: int = 64) -> tuple[Tensor, Tensor]:
    """Return codes and scales of a matrix.

    Args:
        weight: ``(rows, columns)`` floats.
        bits: b, 4 or 8.
        block: n, weights that share a scale; rows are padded with zeros to a multiple of it.

    Returns:
        ``(rows, blocks, n)`` int8 codes, or ``(rows, blocks, n / 2)`` uint8 with two codes in each
        byte if b is 4; and ``(rows, blocks, 1)`` float32 scales.

    Raises:
        ValueError: if a weight is NaN or infinite, or a setting is out of range.
    """
    if bits not in (4, 8) or block < 2 or block % 2:
        raise ValueError(f"bits must be 4 or 8 and block even, got {bits!r} and {block!r}")
    if not bool(torch.isfinite(weight).all()):
        bad = int((~torch.isfinite(weight)).sum())
        raise ValueError(
            f"{bad} of {weight.numel()} weights are NaN or infinite: they have no code, and would "
            "spoil the scale of their blocks. Train again from the last good checkpoint"
        )
    blocks = F.pad(weight.float(), (0, -weight.shape[1] % block)).unflatten(1, (-1, block))
    most = 2 ** (bits - 1) - 1
    scales = blocks.abs().amax(-1, keepdim=True) / most
    divisor = scales.where(scales > 0, 1.0)  # a block of zeros has the scale 0
    codes = (blocks / divisor).round().clamp(-most, most).to(torch.int8)
    return (codes if bits == 8 else pack_nibbles(codes)), scales


def dequantize_blockwise(codes: Tensor, scales: Tensor, columns: int) -> Tensor:
    """Return the weights, ``(..., columns)`` float32, from codes and scales."""
    if codes.dtype == torch.uint8:
        codes = unpack_nibbles(codes)
    return (codes * scales).flatten(-2)[..., :columns]


def pack_nibbles(codes: Tensor) -> Tensor:
    """Pack pairs of codes of -8 to 7, ``(..., n)`` int8, into bytes, ``(..., n / 2)`` uint8."""
    shifted = (codes + 8).to(torch.uint8)  # 0 to 15
    return shifted[..., 0::2] | (shifted[..., 1::2] << 4)


def unpack_nibbles(packed: Tensor) -> Tensor:
    """Return what ``pack_nibbles`` packed."""
    pairs = torch.stack([packed & 15, packed >> 4], dim=-1)
    return pairs.flatten(-2).to(torch.int8) - 8


class QuantizedWeight(nn.Module):
    """A matrix ``(rows, columns)`` as codes and scales, in buffers: stored, and not trained."""

    codes: Tensor
    scales: Tensor

    def __init__(
        self, weight: Tensor, bits: int, block: int, bias: nn.Parameter | None = None
    ) -> None:
        super().__init__()
        self.columns, self.bits, self.block, self.bias = weight.shape[1], bits, block, bias
        codes, scales = quantize_blockwise(weight.detach(), bits, block)
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)

    @property
    def weight(self) -> Tensor:
        """The whole matrix, ``(rows, columns)`` float32."""
        return dequantize_blockwise(self.codes, self.scales, self.columns)


class QuantizedLinear(QuantizedWeight):
    """A linear map whose weight is read back from its codes at each call."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the map."""
        return F.linear(x, self.weight, self.bias)


class QuantizedEmbedding(QuantizedWeight):
    """An embedding that reads back only the rows that are looked up."""

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors of tokens, ``(..., columns)``."""
        return dequantize_blockwise(self.codes[ids], self.scales[ids], self.columns)


def quantize_weights(model: M6RecModel, bits: int = 4, block: int = 64) -> M6RecModel:
    """Quantize the embedding and the linear maps of a model in place; return the model.

    It can then be used and stored (``save_compressed``), but not trained. Norms and biases keep
    their 32 bits. See ``quantize_blockwise``.
    """
    for parent in [module for module in model.modules() if module is not model]:
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, QuantizedLinear(child.weight, bits, block, child.bias))
    if isinstance(model.embedding, FactorizedEmbedding):  # its linear map is done
        codes: Any = QuantizedEmbedding(model.embedding.codes.weight, bits, block)
        model.embedding.codes = codes
    else:
        replace_embedding(model, QuantizedEmbedding(model.embedding.weight, bits, block))
    return model


def quantize_dynamic(model: M6RecModel) -> str:
    """Replace the linear maps of a model's blocks by products in 8 bits; return the library's name.

    Weights are quantized once, inputs at each call. torchao is used where it is installed (the
    extra ``compress``), else ``torch.ao``, which torch has declared deprecated in its favour. The
    model is changed in place; it can be used, and neither trained nor stored.
    """
    if importlib.util.find_spec("torchao") is not None:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

        quantize_(model.blocks, Int8DynamicActivationInt8WeightConfig())
        return "torchao"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the deprecation of torch.ao
        kinds = {nn.Linear}
        torch.ao.quantization.quantize_dynamic(model.blocks, kinds, torch.qint8, inplace=True)
    return "torch"
