"""Continued pretraining on one domain, and what it forgets in the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from m6rec_lite.data import DataError, Dataset, Split
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.corpora import behaviour_documents
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.infilling import Infilling, Objective, SentenceGeneration
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import PretrainingLoss, judge
from m6rec_lite.m6rec.optimizer import make_adamw
from m6rec_lite.m6rec.token_file import TokenFile
from m6rec_lite.nn.schedules import warm_up
from m6rec_lite.training import fit


class DomainTexts(NamedTuple):
    """Batches of the behaviour in one domain, of training users and of held-out users."""

    train: PretrainingBatches
    held_out: PretrainingBatches


def domain_texts(
    dataset: Dataset,
    split: Split,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    share: float = 0.05,
    lines: int = 8,
    seq_len: int = 128,
    seed: int = 0,
) -> dict[str, DomainTexts]:
    """Return the training rows of each domain as batches of text.

    Args:
        dataset: whose items have a ``domain``.
        split: only its training rows are read.
        tokenizer: of the model.
        folder: where the files of tokens are written.
        share: of held-out users. Use that of pretraining, and its seed, so that they are held out
            there too.
        lines: sequences in a batch.
        seq_len: tokens in a sequence.
        seed: of the draw of held-out users.

    Raises:
        DataError: if the items have no domains, or a domain has no held-out user.
    """
    if "domain" not in dataset.items:
        raise DataError(f"{dataset.name!r} has no domains to compare; load_dataset('bazaar') has")
    domain_of = dataset.items.set_index("item_id")["domain"].astype(str)
    domains = domain_of.reindex(split.train.item_ids).to_numpy()
    text, texts = BehaviourText(dataset, train=split.train), dict[str, DomainTexts]()
    objectives: dict[str, Objective] = {
        "infilling": Infilling(),
        "sentence": SentenceGeneration(tokenizer),
    }
    for domain in np.unique(domains):
        rows = split.train.select(domains[split.train.items] == domain)
        corpus = behaviour_documents(rows, text, share=share, seed=seed)
        parts = []
        for name, documents in (("train", corpus.train), ("held_out", corpus.held_out)):
            if not documents:
                raise DataError(f"the domain {domain!r} has no {name} documents: another share=")
            file = TokenFile.write(
                Path(folder) / f"{domain}-{name}", documents, tokenizer, progress=False
            )
            parts.append(
                PretrainingBatches(file, objectives, tokenizer, batch_size=lines, seq_len=seq_len)
            )
        texts[str(domain)] = DomainTexts(*parts)
    return texts


def continue_pretraining(
    model: M6RecModel,
    texts: Mapping[str, DomainTexts],
    domain: str,
    *,
    steps: int,
    lr: float = 3e-4,
    limit: int = 8,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Pretrain a model further on one domain, in place, and measure every domain before and after.

    Args:
        model: pretrained; of an adapted model only the trained weights change.
        texts: from ``domain_texts``.
        domain: to train on, a name of ``texts``.
        steps: of the optimizer.
        lr: maximum learning rate, with warm-up over a tenth of the steps.
        limit: batches of held-out text of each domain.
        seed: of the order of batches.
        progress: show a progress bar.

    Returns:
        A row for each domain and objective, with ``domain objective before after change trained``:
        nats a predicted token, and whether the domain was trained on. A change above 0 there where
        it was not is what the model forgot.

    Raises:
        KeyError: on an unknown domain.
    """
    train = texts[domain].train

    def measure() -> dict[tuple[str, str], float]:
        model.eval()
        return {
            (name, key.removesuffix(" nats")): value
            for name, batches in texts.items()
            for key, value in judge(model, batches.held_out, limit=limit).items()
            if key.endswith(" nats")
        }

    before = measure()
    fit(
        model,
        train,
        PretrainingLoss(dict.fromkeys(train.objectives, 1.0)),
        optimizer=make_adamw(model, lr=lr, weight_decay=0.01, betas=(0.9, 0.98)),
        schedule=warm_up(max(1, steps // 10), 0.01),
        steps=steps,
        clip_norm=1.0,
        seed=seed,
        progress=progress,
    )
    after = measure()
    rows = [
        {"domain": name, "objective": objective, "before": value, "after": after[name, objective]}
        for (name, objective), value in before.items()
    ]
    table = pd.DataFrame(rows)
    table["change"] = table["after"] - table["before"]
    return table.assign(trained=table["domain"] == domain)
