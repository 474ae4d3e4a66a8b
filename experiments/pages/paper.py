"""The page ``results/paper_against_ours.md``: the claims of M6-Rec and our results.

A claim of the paper is decided by claims of our own that were registered before their runs
(``experiments.claim_rules``), or, where there is none, by the rule of ``paper_rule`` on what a
function reads from files under ``results/``. What the paper reports is known from summaries of it,
not from its own tables; each claim states the number of summaries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from experiments import claim_rules
from experiments.claim_rules import Result, judge, read_claim
from experiments.pages import paper_readers as readers
from experiments.pages.paper_rule import (
    FAILS,
    HOLDS,
    NOT_TRIED,
    RULE,
    Comparison,
    Evidence,
    verdict,
)
from experiments.records import Records
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation.report import markdown_table

PAGE = "paper_against_ours.md"
#: Folder of the registered claims.
REGISTERED = Path(__file__).parents[2] / "claims"
UNDECIDED = "undecided"
#: Words of this page for the verdicts of registered claims.
_WORDS = {
    claim_rules.HOLDS: HOLDS,
    claim_rules.FAILS: FAILS,
    claim_rules.UNDECIDED: UNDECIDED,
    claim_rules.NOT_RUN: NOT_TRIED,
}

TWO = "two summaries agree"
ONE = "one summary"
ABSTRACT = "the abstract; no figure"

_INTRODUCTION = """# The paper against ours

M6-Rec (Cui et al., 2022) was trained on the logs of a marketplace, which are not public, with a
model of about 300 million parameters. Our model is trained on a laptop, on a simulated bazaar and
on MovieLens. A claim that holds here holds for the method at a small scale; a claim that does not
hold here is not refuted for the original scale. The paper's figures are measured on its own data;
they show the direction of a difference, and its size cannot be compared with ours.

A history as text says how long before the query each event was, because a service knows the time
of the query. So a model that ranks by such text (zero-shot) uses the *query time*; popularity, the
rule and the bigram do not. The retriever does not use it unless its settings contain
`use_query_time=True`.

The retriever is *M6-Rec blocks over item vectors*: it pools the text of each item into one vector,
starts from random weights, and is not a pretrained language model. What pretraining is worth for
its blocks is a registered claim ([pretrained_blocks_help_the_retriever](../docs/claims.md)); what
joint training is worth for the tasks is on a page of its own ([one_model.md](one_model.md)).

This page is written by code (`python -m experiments results --only pages`) from the
files of this folder.
"""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and its test.

    Attributes:
        name: the claim.
        reported: the results of the paper.
        source: how they are known.
        criterion: what our results must show.
        read: returns our results from the folder of results; None if there are none.
        caveat: what the comparison cannot show; may be "".
        registered: names of registered claims that decide it, in place of ``read``.
    """

    name: str
    reported: str
    source: str
    criterion: str
    read: Callable[[Path], Evidence | None] = lambda results: None
    caveat: str = ""
    registered: tuple[str, ...] = ()

    def results(self, results: Path) -> list[Result]:
        """Return the results of the conditions of the registered claims."""
        records = Records(results)
        claims = [read_claim(REGISTERED / f"{name}.toml") for name in self.registered]
        return [result for claim in claims for result in judge(claim, records)]

    def verdict(self, results: Path) -> str:
        """Return whether the claim holds, by the registered claims or else by ``RULE``."""
        if self.registered:
            return _WORDS[claim_rules.verdict(self.results(results))]
        return verdict(self.read(results))


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "Scoring by text beats the specialised click model",
        "AUC, DIN to M6-Rec: .7332 to .7508; .7611 to .7995",
        TWO,
        "AUC above that of a DIN with the same statistics as input",
        readers.clicks,
    ),
    Claim(
        "Retrieval by text alone beats retrieval by ids, over all items",
        "HR@100: YouTubeDNN 54.4 %, TwinBERT 69.6 %, M6-Rec 74.1 %",
        TWO,
        "on MovieLens-100K by titles and genres, NDCG@10 above the bigram over ids, above the best "
        "network over ids (best on this test set), and above a T5 that generates ids (OpenP5)",
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
        "the best published network that does not use the query time (with its own order of ties)",
        partial(readers.retrieval, dataset="ml-1m", text_alone=False),
    ),
    Claim(
        "Retrieval reaches items never seen in training",
        "HR@100 on unseen items: YouTubeDNN fails, TwinBERT 49.6 %, M6-Rec 57.0 %",
        TWO,
        "with text as the only input, NDCG@10 on unseen items above TF-IDF with the decay that is "
        "best on validation, above a network over ids, and above popularity",
        registered=("text_reaches_unseen_items",),
        caveat="the network starts from random weights, so this does not test pretraining",
    ),
    Claim(
        "A pretrained model ranks before any tuning",
        "zero-shot recommendation is demonstrated",
        ABSTRACT,
        "on lists of twenty, likelihoods with popularity above popularity, and above a rule: items "
        "of the last event's domain first, then the popular ones",
        registered=("zero_shot_above_popularity", "zero_shot_above_last_domain"),
        caveat="125 validation lists chose the score and the weight of popularity; the bigram and "
        "EASE, which were fitted, are in [zero_shot.md](zero_shot.md)",
    ),
    Claim(
        "It ranks in a domain without any history in training",
        "zero-shot recommendation, open-ended domains",
        ABSTRACT,
        "the retriever, pretrained on other people's rows in four domains, above TF-IDF with decay "
        "in the fifth",
        registered=("four_domains_beat_tfidf_in_the_fifth",),
        caveat="one domain",
    ),
    Claim(
        "Explanations are better than those of a specialised model",
        "PETER+ to M6-Rec: BLEU-1 19.75 to 20.38, BLEU-4 3.06 to 3.59, ROUGE-1 26.35 to 34.16, "
        "feature matching .77 to .98",
        ONE,
        "names the aspect that influenced the rating more often than every baseline without a "
        "model",
        partial(
            readers.task,
            task="explanation",
            metric="true aspect",
            shown=("true aspect", "feature matching", "bleu", "rouge"),
        ),
        "the baselines are weak: they count words in reviews of any item; a lookup by item is "
        "reported to be stronger, and is not yet in this table",
    ),
    Claim(
        "Conversation is better than that of a specialised system",
        "KGSF to M6-Rec: perplexity 10.73 to 10.25, distinct-3 .40 to .46",
        ONE,
        "names the item at the end of the conversation more often than every baseline without a "
        "model",
        partial(
            readers.task,
            task="conversation",
            metric="item hit",
            shown=("item exists", "item hit", "perplexity", "distinct-3"),
        ),
        "few test cases; no comparison with a model of this task alone",
    ),
    Claim(
        "A new domain needs less data (open-ended)",
        "less data needed for downstream domains and tasks",
        ABSTRACT,
        f"NDCG@10 above the best of all other models, in each domain, at up to {readers.FEW} "
        "examples (a number fixed before the results were known)",
        readers.new_domain,
        "the retriever is not pretrained; the pretrained one was run in one domain only, and is "
        "compared with the other in that domain",
    ),
    Claim(
        "Late interaction is faster with a small loss of accuracy",
        "AUC and latency: 24 layers .7995, 57 ms; distilled to 3 .7566, 16 ms; late 3 layers "
        ".7731, 16 ms; late 1 layer .7299, 10 ms",
        TWO,
        "one joint layer against a dense network of the same size: at most a quarter of the time, "
        "at most .02 AUC less",
        registered=("late_interaction_four_times",),
    ),
    Claim(
        "Option-adapter tuning of about 1 % of the weights is as good as tuning all",
        "10 M model, three tasks: all .544/.575/.829; options and adapters .552/.586/.831; "
        "adapters .542/.574/.825; prompts .534/.531/.760",
        ONE,
        "LoRA and option tuning with adapters, at most 1.5 % of the weights: AUC of clicks at most "
        ".01 below that of training all",
        registered=("about_one_percent",),
    ),
    Claim(
        "It fits a phone",
        "10 M .552/.586/.831; pruned to 2 M .537/.559/.798; ALBERT-tiny, 4 M, .534/.488/.750",
        ONE,
        "10 million weights pruned to 2 million keep 97 % of the quality, and are above a dense "
        "network of 2 million trained alike",
        registered=("pruned_keeps_97",),
    ),
)


def page(results: Path, claims: Sequence[Claim] = CLAIMS) -> str:
    """Return the page from the files in a folder of results."""
    rows, sections = [], []
    for claim in claims:
        evidence, decided = claim.read(results), claim.results(results)
        if claim.registered:
            figures = [
                f"{result.condition}: {result.estimate}" for result in decided if result.ours
            ]
        else:
            figures = list(evidence.figures) if evidence else []
        rows.append(
            {
                "claim": claim.name,
                "the paper": claim.reported,
                "known from": claim.source,
                "ours": "; ".join(figures),
                "rule": " ".join(map(_link, claim.registered)) or "of this page",
                "verdict": f"**{claim.verdict(results)}**"
                + (f"; {claim.caveat}" if figures and claim.caveat else ""),
            }
        )
        if claim.registered:
            sections.append(registered_section(claim, decided))
        elif evidence:
            sections.append(section(claim, evidence))
    table = markdown_table(pd.DataFrame(rows))
    return "\n".join([_INTRODUCTION, table, f"\n## The rule\n\n{RULE}", *sections])


def _link(name: str) -> str:
    return f"[{name}](../docs/claims.md)"


def registered_section(claim: Claim, decided: Sequence[Result]) -> str:
    """Return the section of a claim that registered claims decide: their conditions."""
    names = ", ".join(f"[claims/{name}.toml](../claims/{name}.toml)" for name in claim.registered)
    lines = [f"## {claim.name}\n", f"Criterion: {claim.criterion}; registered in {names}.\n"]
    lines += [markdown_table(pd.DataFrame([result.row() for result in decided])) + "\n"]
    if claim.caveat:
        lines.append(f"Caveat: {claim.caveat}.\n")
    return "\n".join(lines)


def section(claim: Claim, evidence: Evidence) -> str:
    """Return the section of a claim: protocol and comparisons."""
    lines = [f"## {claim.name}\n", f"Criterion: {claim.criterion}.\n", f"{evidence.protocol}\n"]
    if evidence.comparisons:
        lines.append(markdown_table(pd.DataFrame(map(_row, evidence.comparisons))) + "\n")
    else:
        lines.append("The file has no other model, so there is no verdict.\n")
    if claim.caveat:
        lines.append(f"Caveat: {claim.caveat}.\n")
    lines += [f"- `{command}`" for command in evidence.commands]
    return "\n".join([*lines, ""])


def _row(comparison: Comparison) -> dict[str, str]:
    mean, low, high = comparison.mean, comparison.low, comparison.high
    return {
        "ours minus": comparison.other,
        "metric": comparison.metric,
        "seed": str(comparison.seed),
        "difference": f"{mean:+.4f} ({low:+.4f} to {high:+.4f})",
        "interval": "paired" if comparison.paired else "separate",
        "ours is": comparison.outcome,
    }


def write_page(results: Path) -> Path:
    """Write ``paper_against_ours.md`` to the folder of results; return its path."""
    path = results / PAGE
    write_text(path, page(results))
    return path
