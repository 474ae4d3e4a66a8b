"""Picture encoders: pictures a second, against plain torch modules of the same network.

*Ours* is ``multimodal.ViT``; *peer* has the same sizes in torch's own modules: a convolution whose
stride is its width, learned positions, ``nn.TransformerEncoder``, and a norm. Both get the same
uint8 pictures and the same weights, and their outputs are compared first. The sides alternate in
rounds; reported are medians. A training step is the forward and the backward pass. ``--cnn``
measures our CNN too, which has no peer.

    python benchmarks/picture_encoder.py [--batch 256] [--layers 1] [--size 64] [--rounds 7] [--cnn]
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--size", type=int, default=64, help="hidden size")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cnn", action="store_true")
    options = parser.parse_args()

    import torch
    from torch import Tensor, nn

    from m6rec_lite.multimodal import CNN, ViT

    class Plain(nn.Module):
        """The peer."""

        def __init__(self, d: int, n_layers: int) -> None:
            super().__init__()
            self.embed = nn.Conv2d(3, d, 8, stride=8)
            self.positions = nn.Parameter(torch.zeros(16, d))
            layer = nn.TransformerEncoderLayer(
                d, 4, 4 * d, 0.0, activation="gelu", norm_first=True, batch_first=True
            )
            self.blocks = nn.TransformerEncoder(
                layer, n_layers, nn.LayerNorm(d), enable_nested_tensor=False
            )

        def forward(self, x: Tensor) -> Tensor:
            x = (x.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
            return self.blocks(self.embed(x).flatten(2).transpose(1, 2) + self.positions)

    torch.manual_seed(0)
    d = options.size
    ours, peer = ViT(d, 32, n_layers=options.layers), Plain(d, options.layers)
    with torch.no_grad():
        kernel = ours.embed.weight.reshape(d, 8, 8, 3).permute(0, 3, 1, 2)
        peer.embed.weight.copy_(kernel)
        assert peer.embed.bias is not None
        peer.embed.bias.copy_(ours.embed.bias)
        peer.positions.copy_(ours.positions.weight)
        for block, layer in zip(ours.transformer.blocks, peer.blocks.layers, strict=True):
            block.load_torch(layer)  # type: ignore[operator]
    pictures = torch.randint(0, 256, (options.batch, 32, 32, 3), dtype=torch.uint8)
    sides: dict[str, nn.Module] = {"ours": ours, "peer": peer}
    if options.cnn:
        sides["cnn"] = CNN(d, 32)
    with torch.no_grad():
        difference = float((ours.eval()(pictures) - peer.eval()(pictures)).abs().max())
    assert difference < 1e-3, f"the sides are different networks: {difference}"

    def seconds(net: nn.Module, train: bool) -> float:
        net.train(train)
        start = time.perf_counter()
        with torch.set_grad_enabled(train):
            out = net(pictures)
            if train:
                out.pow(2).mean().backward()
                net.zero_grad()
        return time.perf_counter() - start

    times: dict[str, list[float]] = {}
    for turn in range(options.rounds + 1):
        for name, net in sides.items():
            for train in (False, True):
                taken = seconds(net, train)
                if turn:  # the first round warms up
                    times.setdefault(f"{name} {'train' if train else 'encode'}", []).append(taken)
    rate = {name: options.batch / float(np.median(values)) for name, values in times.items()}
    print({name: round(value) for name, value in rate.items()})
    more = {"cnn, encode": round(rate["cnn encode"])} if options.cnn else {}
    print(
        json.dumps(
            {
                "name": f"ViT of {options.layers} layer(s) and size {d} on 32 x 32 pictures, batch "
                f"{options.batch}, {torch.get_num_threads()} thread(s), against torch's modules",
                "ours": round(rate["ours encode"]),
                "peer": round(rate["peer encode"]),
                "ratio": round(rate["ours encode"] / rate["peer encode"], 4),
                "unit": "pictures a second",
                "ours, training step": round(rate["ours train"]),
                "peer, training step": round(rate["peer train"]),
                "ratio, training step": round(rate["ours train"] / rate["peer train"], 4),
                "largest difference of the outputs": difference,
            }
            | more
        )
    )


if __name__ == "__main__":
    main()
