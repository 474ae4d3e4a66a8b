"""A small generative adversarial network of histories.

A generator turns noise into sequences of items, a discriminator tells them from real ones, and each
learns from the other's errors. Items are discrete, so the generator's choices are relaxed by the
Gumbel softmax, through which gradients pass.

Sources: Goodfellow et al., *Generative adversarial nets*, 2014; Jang, Gu and Poole, *Categorical
reparameterization with Gumbel-softmax*, 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError, NotFittedError
from m6rec_lite.recommenders.params import check_whole


class Generator(nn.Module):
    """Map noise to a sequence of relaxed one-hot items, each read before the next is drawn.

    Args:
        n_items: size of the catalogue.
        hidden_size: size of the state, of the noise and of the embeddings.
    """

    def __init__(self, n_items: int, hidden_size: int) -> None:
        super().__init__()
        self.items = nn.Linear(n_items, hidden_size, bias=False)
        self.cell = nn.GRUCell(hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, n_items)

    def forward(self, noise: Tensor, length: int, temperature: float) -> Tensor:
        """Return ``(n, length, n_items)``: one-hot rows, with the gradients of a softmax."""
        state, read, steps = noise, torch.zeros_like(noise), []
        for _ in range(length):
            state = self.cell(read, state)
            item = F.gumbel_softmax(self.output(state), tau=temperature, hard=True)
            steps.append(item)
            read = self.items(item)
        return torch.stack(steps, dim=1)


class Discriminator(nn.Module):
    """Map a sequence of one-hot items to one logit: positive for real histories.

    Args:
        n_items: size of the catalogue.
        hidden_size: size of the state and of the embeddings.
    """

    def __init__(self, n_items: int, hidden_size: int) -> None:
        super().__init__()
        self.items = nn.Linear(n_items, hidden_size, bias=False)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, 1)

    def forward(self, items: Tensor) -> Tensor:
        """Map ``(n, length, n_items)`` to ``(n,)``."""
        _, state = self.gru(self.items(items))
        return self.output(state[-1])[:, 0]


@dataclass
class HistoryGAN:
    """Learn to sample histories of a fixed length.

    Args:
        length: number of items of a history; real ones are cut to their latest items, and shorter
            ones are not read.
        hidden_size: size of the states.
        steps: steps of both networks.
        batch_size: histories a step.
        lr: learning rate of Adam, for both networks.
        temperature: of the Gumbel softmax.
        seed: seed of the weights, the noise and the batches.

    Attributes:
        losses: ``(steps, 2)`` losses of discriminator and generator, after ``fit``.
    """

    length: int = 10
    hidden_size: int = 32
    steps: int = 300
    batch_size: int = 64
    lr: float = 2e-3
    temperature: float = 1.0
    seed: int = 0
    losses: np.ndarray = field(init=False, repr=False)
    _generator: Generator | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("length", "hidden_size", "steps", "batch_size"):
            setattr(self, name, check_whole(name, getattr(self, name)))

    def fit(self, train: Interactions) -> Self:
        """Train both networks in turn.

        Raises:
            DataError: if no history has ``length`` items.
        """
        histories: Histories = train.histories().last(self.length)
        full = histories.items[np.repeat(histories.lengths == self.length, histories.lengths)]
        real = torch.from_numpy(full.astype(np.int64)).reshape(-1, self.length)
        if not len(real):
            raise DataError(f"no history has {self.length} items: choose a smaller length")
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self._train(real, train.n_items)
        return self

    def _train(self, real: Tensor, n_items: int) -> None:
        generator = Generator(n_items, self.hidden_size)
        discriminator = Discriminator(n_items, self.hidden_size)
        networks: tuple[nn.Module, nn.Module] = (discriminator, generator)
        optimizers = [torch.optim.Adam(n.parameters(), self.lr, betas=(0.5, 0.9)) for n in networks]
        ones = torch.ones(self.batch_size)
        losses = []
        for _ in range(self.steps):
            rows = torch.randint(len(real), (self.batch_size,))
            true = F.one_hot(real[rows], n_items).float()
            noise = torch.randn(self.batch_size, self.hidden_size)
            false = generator(noise, self.length, self.temperature)
            told_apart = F.binary_cross_entropy_with_logits(discriminator(true), ones)
            told_apart += F.binary_cross_entropy_with_logits(
                discriminator(false.detach()), 0 * ones
            )
            optimizers[0].zero_grad()
            told_apart.backward()
            optimizers[0].step()
            deceived = F.binary_cross_entropy_with_logits(discriminator(false), ones)
            optimizers[1].zero_grad()
            deceived.backward()
            optimizers[1].step()
            losses.append((told_apart.item(), deceived.item()))
        self.losses = np.array(losses)
        self._generator = generator.eval()

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0) -> list[np.ndarray]:
        """Return ``n`` arrays of item indices; an item that is drawn again is left out.

        Raises:
            NotFittedError: before ``fit``.
        """
        if self._generator is None:
            raise NotFittedError("this HistoryGAN is not fitted: call fit(train) first")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            noise = torch.randn(n, self.hidden_size)
            drawn = self._generator(noise, self.length, self.temperature).argmax(dim=2).numpy()
        return [row[np.sort(np.unique(row, return_index=True)[1])] for row in drawn]
