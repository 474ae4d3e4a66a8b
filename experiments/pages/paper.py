"""The page ``results/paper_against_ours.md``: the claims of M6-Rec beside what was measured here.

A claim is data and one function, which reads our figures from files under ``results/``: none is
typed in. What the paper reports is known from summaries of it, not from its own tables, and each
claim states from how many. The rule of ``paper_rule`` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from experiments.pages import paper_readers as readers
from experiments.pages.paper_rule import RULE, Comparison, Ours, verdict
from m6rec_lite.course.documents import table
from m6rec_lite.data.files import write_text

PAGE = "paper_against_ours.md"

TWO = "two summaries agree"
ONE = "one summary"
ABSTRACT = "the abstract; no figure"

_INTRODUCTION = """# The paper against ours

M6-Rec (Cui et al., 2022) learnt from the logs of a marketplace, which are not public, with a model
of about 300 million parameters. Ours learns on a laptop, from a simulated bazaar and from
MovieLens. A claim that holds here holds of the method when it is small; one that does not hold here
is not refuted where it was made. The paper's figures are percentages or shares of its own data, and
stand beside ours to show the direction of a difference, not its size.

A history in words says how long ago each event was, counted from the time of the question, as a
service knows it. So whatever ranks by such words (zero-shot, and the domain of which no history
was seen) knows the *query time*, and popularity, TF-IDF and the bigram do not. The retriever's rows
know nothing of it unless their settings say `use_query_time=True`.

The retriever is *M6-Rec blocks over item vectors*: it pools the text of each item into one vector,
starts from random weights, and is no pretrained language model. No row of this page compares a
pretrained model with its twin that was not pretrained over several seeds, or one model of many
tasks with models of one task: what pretraining and joint training buy is **not tested** here.

This page is written by code (`python -m experiments results --only pages`) from the
files of this folder.
"""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and how it is tested here.

    Attributes:
        name: the claim.
        reported: the figures of the paper.
        attested: how they are known.
        asks: what ours must show.
        read: ours, from the folder of results; None if there is nothing yet.
        caveat: what the comparison cannot show, beside the verdict; "" if there is nothing to add.
    """

    name: str
    reported: str
    attested: str
    asks: str
    read: Callable[[Path], Ours | None]
    caveat: str = ""


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "Scoring by text beats the specialised click model",
        "AUC, DIN to M6-Rec: .7332 to .7508; .7611 to .7995",
        TWO,
        "AUC above a DIN's that reads the same statistics",
        readers.clicks,
    ),
    Claim(
        "Retrieval by text alone beats retrieval by ids, over all items",
        "HR@100: YouTubeDNN 54.4 %, TwinBERT 69.6 %, M6-Rec 74.1 %",
        TWO,
        "on MovieLens-100K by titles and genres, NDCG@10 above the bigram over ids, above the best "
        "network over ids (best by these very figures), and above a T5 that writes ids (OpenP5)",
        partial(readers.retrieval, dataset="ml-100k", text_alone=True),
    ),
    Claim(
        "Retrieval by text and ids beats retrieval by ids, over all items",
        "as above; whether the paper adds ids is not known",
        TWO,
        "on the bazaar, NDCG@10 above the bigram and the best network over ids (best as above)",
        partial(readers.retrieval, dataset="bazaar", text_alone=False),
    ),
    Claim(
        "Retrieval by titles, genres and ids beats retrieval by ids, over all films",
        "as above",
        TWO,
        "on MovieLens-1M, NDCG@10 above the bigram, the best network over ids (best as above), and "
        "the best published network that does not know the query time (in its own order of ties)",
        partial(readers.retrieval, dataset="ml-1m", text_alone=False),
    ),
    Claim(
        "Retrieval reaches items never seen in training",
        "HR@100 on unseen items: YouTubeDNN fails, TwinBERT 49.6 %, M6-Rec 57.0 %",
        TWO,
        "reading text alone, HR@10 on unseen items above popularity, above a network over ids, and "
        "above TF-IDF, which reads text too",
        partial(
            readers.task,
            task="cold-items",
            metric="hr@10",
            ours="M6RecRetriever, text",
            shown=("hr@10", "ndcg@10"),
        ),
        "the network starts from random weights, so this says nothing of pretraining",
    ),
    Claim(
        "A pretrained model ranks before any tuning",
        "zero-shot recommendation is demonstrated",
        ABSTRACT,
        "NDCG@10 by likelihood alone above popularity",
        partial(
            readers.task,
            task="zero-shot",
            metric="ndcg@10",
            rivals=("Popularity",),
            shown=("ndcg@10",),
        ),
        "no twin without pretraining and no rule such as *items of the last event's domain first, "
        "then the popular ones* stands beside it; the bigram, which is shown, is far above",
    ),
    Claim(
        "It ranks in a domain of which it has seen no history",
        "zero-shot recommendation, open-ended domains",
        ABSTRACT,
        "NDCG@10 by likelihood alone above random order and above TF-IDF, to which that domain is "
        "as new; popularity there, which is shown, has seen it",
        partial(
            readers.task,
            task="closed-domain",
            metric="ndcg@10",
            rivals=("Random order", "ContentBased"),
            shown=("ndcg@10",),
        ),
        "one domain, and no twin without pretraining",
    ),
    Claim(
        "Explanations are better than a specialised writer's",
        "PETER+ to M6-Rec: BLEU-1 19.75 to 20.38, BLEU-4 3.06 to 3.59, ROUGE-1 26.35 to 34.16, "
        "feature matching .77 to .98",
        ONE,
        "naming the aspect that moved the rating more often than every reason that needs no model",
        partial(
            readers.task,
            task="explanation",
            metric="true aspect",
            shown=("true aspect", "feature matching", "bleu", "rouge"),
        ),
        "it beats only weak counting baselines, which draw from reviews of whatever item; a lookup "
        "by item is reported to be stronger, and is not yet in this table",
    ),
    Claim(
        "Conversation is better than a specialised system's",
        "KGSF to M6-Rec: perplexity 10.73 to 10.25, distinct-3 .40 to .46",
        ONE,
        "naming the item that the talk ends in more often than every choice that needs no model",
        partial(
            readers.task,
            task="conversation",
            metric="item hit",
            shown=("item exists", "item hit", "perplexity", "distinct-3"),
        ),
        "few questions; no model of this task alone stands beside the joint one",
    ),
    Claim(
        "In a new domain less data is enough (open-ended)",
        "less demand on the data of downstream domains and tasks",
        ABSTRACT,
        f"NDCG@10 above the best of all other models, in each domain, at up to {readers.FEW} "
        "examples (a number fixed before the file was there)",
        readers.new_domain,
        "the retriever is not pretrained; the pretrained one was run in one domain only, and is "
        "shown beside the other in that domain",
    ),
    Claim(
        "Late interaction buys speed for little accuracy",
        "AUC and latency: 24 layers .7995, 57 ms; distilled to 3 .7566, 16 ms; late 3 layers "
        ".7731, 16 ms; late 1 layer .7299, 10 ms",
        TWO,
        "at equal milliseconds, AUC above a small model's",
        readers.nothing,
    ),
    Claim(
        "Option-adapter tuning of about 1 % of the weights is as good as tuning all",
        "10 M model, three tasks: all .544/.575/.829; options and adapters .552/.586/.831; "
        "adapters .542/.574/.825; prompts .534/.531/.760",
        ONE,
        "the same tasks, no worse than tuning all weights by more than a margin set before",
        readers.nothing,
    ),
    Claim(
        "It fits a phone",
        "10 M .552/.586/.831; pruned to 2 M .537/.559/.798; ALBERT-tiny, 4 M, .534/.488/.750",
        ONE,
        "pruned and in 8 bits, above a small model of the same size",
        readers.nothing,
    ),
)


def page(results: Path, claims: Sequence[Claim] = CLAIMS) -> str:
    """Return the page, from the folder of results."""
    measured = [claim.read(results) for claim in claims]
    rows = [
        {
            "claim": claim.name,
            "the paper": claim.reported,
            "known from": claim.attested,
            "ours": "; ".join(ours.figures) if ours else "",
            "verdict": f"**{verdict(ours)}**{_caveat(claim, ours)}",
        }
        for claim, ours in zip(claims, measured, strict=True)
    ]
    parts = [_INTRODUCTION, table(pd.DataFrame(rows)), f"\n## The rule\n\n{RULE}"]
    parts += [section(claim, ours) for claim, ours in zip(claims, measured, strict=True) if ours]
    return "\n".join(parts)


def _caveat(claim: Claim, ours: Ours | None) -> str:
    return f"; {claim.caveat}" if ours and claim.caveat else ""


def section(claim: Claim, ours: Ours) -> str:
    """Return how a claim was tested, and every comparison that decided it."""
    lines = [f"## {claim.name}\n", f"Asked: {claim.asks}.\n", f"{ours.protocol}\n"]
    if ours.comparisons:
        lines.append(table(pd.DataFrame([_row(one) for one in ours.comparisons])) + "\n")
    else:
        lines.append("The file names no rival, so nothing is decided.\n")
    if claim.caveat:
        lines.append(f"Caveat: {claim.caveat}.\n")
    lines += [f"- `{command}`" for command in ours.commands]
    return "\n".join([*lines, ""])


def _row(one: Comparison) -> dict[str, str]:
    return {
        "ours less": one.rival,
        "in": one.metric,
        "seed": str(one.seed),
        "difference": f"{one.mean:+.4f} ({one.low:+.4f} to {one.high:+.4f})",
        "interval": "paired" if one.paired else "apart",
        "so ours is": one.says,
    }


def write_page(results: Path) -> Path:
    """Write ``paper_against_ours.md`` into the folder of results.

    Returns:
        its path.
    """
    path = results / PAGE
    write_text(path, page(results))
    return path
