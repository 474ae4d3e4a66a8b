"""The nats of every written token of held-out batches, to compare models token by token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from m6rec_lite.m6rec.batches import Batch, packed_prefix_mask
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.training.batches import Epoch


@torch.no_grad()
def token_nats(
    model: M6RecModel,
    batches: Epoch[Batch] | Sequence[Batch],
    *,
    limit: int | None = None,
    both_ways: bool = True,
) -> pd.DataFrame:
    """Return ``-ln P`` of each token that a model must write.

    Args:
        model: in ``eval`` mode.
        batches: of ``PretrainingBatches.epoch`` or ``MixedBatches.epoch``.
        limit: maximum number of batches.
        both_ways: read the user region with bidirectional attention; False is causal attention
            everywhere, as in a model that was trained so.

    Returns:
        One row a token: ``objective``; ``batch``, the index of its batch; ``token``, its id;
        ``nats``; ``source``, its index in the batches' files, -1 for a token that ends a span; and
        ``opens``, whether it is the first token of a masked span.

    Raises:
        ValueError: if there is no batch.
    """
    rows = []
    device = model.get_output_embeddings().weight.device
    opening = np.array([model.config.bos_token_id, model.config.mask_token_id])
    for i in range(len(batches) if limit is None else min(limit, len(batches))):
        batch = batches[i]
        ids, segments = batch["ids"].to(device), batch["segment_ids"].to(device)
        is_prefix = batch["is_prefix"].to(device) & both_ways
        positions = batch["position_ids"].to(device)
        mask = packed_prefix_mask(segments, is_prefix)
        hidden = model.states(ids, mask, position_ids=positions).flatten(0, 1)
        for name, (at, token) in batch["targets"].items():
            logits = model.head(hidden[at.to(device)]).float()
            nats = F.cross_entropy(logits, token.to(device), reduction="none")
            source = batch["source"][name]
            columns = {"objective": name, "batch": i, "token": token.numpy(), "source": source}
            columns["nats"] = nats.cpu().numpy()
            before = batch["ids"].flatten()[at].numpy()
            columns["opens"] = np.isin(before, opening) & (source >= 0)
            rows.append(pd.DataFrame(columns))
    if not rows:
        raise ValueError("there is no batch: pass batches of held-out documents, and limit above 0")
    return pd.concat(rows, ignore_index=True)
