"""Mix the documents of two files of tokens in every batch, in fixed shares."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.batches import Batch, PretrainingBatches
from m6rec_lite.m6rec.infilling import Objective
from m6rec_lite.m6rec.token_file import TokenFile
from m6rec_lite.training.batches import Epoch


class MixedBatches:
    """Batches of two sources of ``PretrainingBatches``: the sequences of both, one after the other.

    The share of a source is its number of sequences in a batch. A round has as many batches as one
    of ``main``. Of ``extra``, each round draws the documents anew and begins again when all are
    used. ``source`` indexes the tokens of ``main``'s file, followed by those of ``extra``'s.

    Args:
        main: the source that determines the rounds.
        extra: a source with other objectives, and the same tokenizer and ``seq_len``.

    Raises:
        ValueError: if the sources do not fit.
    """

    def __init__(self, main: PretrainingBatches, extra: PretrainingBatches) -> None:
        if main.seq_len != extra.seq_len or main.objectives.keys() & extra.objectives.keys():
            raise ValueError(
                "both sources must have the same seq_len and different objectives, got "
                f"{main.seq_len} and {extra.seq_len}, {list(main.objectives)} and "
                f"{list(extra.objectives)}"
            )
        self.main, self.extra = main, extra

    @property
    def objectives(self) -> Mapping[str, Objective]:
        """The objectives of both sources, by name."""
        return self.main.objectives | self.extra.objectives

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of both sources."""
        return self.main.tokenizer

    @property
    def files(self) -> list[TokenFile]:
        """The files of tokens that ``source`` indexes, one after the other."""
        return [*self.main.files, *self.extra.files]

    @property
    def rounds(self) -> int:
        """Parts of a pass over ``main``; see ``PretrainingBatches``."""
        return self.main.rounds

    @rounds.setter
    def rounds(self, rounds: int) -> None:
        self.main.rounds = rounds

    def epoch(self, seed: int, epoch: int) -> Epoch[Batch]:
        """Return the batches of a round."""
        main, extra = self.main.epoch(seed, epoch), self.extra.epoch(seed, epoch)
        offset = len(self.main.file.tokens)
        return Epoch(len(main), lambda i: _join(main[i], extra[i % len(extra)], offset))


def _join(first: Batch, second: Batch, offset: int) -> Batch:
    """Join two batches of the same ``seq_len``; ``offset`` is added to ``source`` of the second."""
    grids = ("ids", "segment_ids", "position_ids", "is_prefix")
    batch = {name: torch.cat([first[name], second[name]]) for name in grids}
    cells = first["ids"].numel()
    moved = {name: (at + cells, tokens) for name, (at, tokens) in second["targets"].items()}
    source = {name: at + offset * (at >= 0) for name, at in second["source"].items()}
    sums = {name: first[name] + second[name] for name in ("tokens", "pairs")}
    return (
        batch
        | sums
        | {
            "targets": first["targets"] | moved,
            "source": first["source"] | source,
        }
    )
