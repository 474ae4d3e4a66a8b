"""Whether explanations name the right features, cover many of them, and differ from one another.

An explanation that overlaps with a reference may still give the wrong reason. These look at the
features (aspects, properties) that texts name. Sources: Li, Zhang and Chen, *Generate neural
template explanations for recommendation* (NETE), 2020; the same four figures judge PETER (Li,
Zhang and Chen, *Personalized transformer for explainable recommendation*, 2021). Their authors
look for features of a single token; here a feature may also be a phrase.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from m6rec_lite.evaluation.text import Tokens, check_pairs, ngrams, tokens


def features_in(
    texts: Iterable[Tokens], features: Mapping[str, str] | Iterable[str]
) -> list[frozenset[str]]:
    """The features that each text names: those whose tokens stand in it side by side, in order.

    Args:
        texts: each as tokens.
        features: words or phrases; or a mapping from phrase to feature, where several phrases speak
            of one (``{"workmanship": "quality", "research": "quality"}``).

    Raises:
        ValueError: if a phrase has no token.
    """
    named = features if isinstance(features, Mapping) else {each: each for each in features}
    meant: dict[tuple[str, ...], set[str]] = {}
    for phrase, feature in named.items():
        meant.setdefault(tuple(tokens(phrase)), set()).add(feature)
    if () in meant:
        raise ValueError(f"the phrase of the feature {min(meant[()])!r} has no word or mark in it")
    sizes = {len(key) for key in meant}
    return [
        frozenset().union(*(meant.get(run, ()) for size in sizes for run in ngrams(text, size)))
        for text in texts
    ]


def feature_matching(named: Sequence[Collection[str]], wanted: Sequence[str]) -> float:
    """FMR: the share of texts that name the feature they should.

    ``FMR = 1/N sum_u [f_u in E_u]`` for the wanted feature f_u and those named, E_u.

    Args:
        named: for each text the features it names (see ``features_in``).
        wanted: for each text the one it should.
    """
    check_pairs(named, wanted)
    return float(np.mean([feature in some for some, feature in zip(named, wanted, strict=True)]))


def feature_coverage(named: Sequence[Collection[str]], features: Collection[str]) -> float:
    """FCR: the share of all features that some text names: ``FCR = |union of E_u| / |F|``.

    A model that always gives the same reason covers one of F.

    Args:
        named: for each text the features it names.
        features: F, all there are.
    """
    if not len(features):
        raise ValueError("features is empty: name all features there are")
    return len(set().union(*named) & set(features)) / len(set(features))


def feature_diversity(named: Sequence[Collection[str]]) -> float:
    """DIV: how many features two texts share, on average over all pairs; lower is more diverse.

    ``DIV = 2 / (N (N - 1)) sum_(u < v) |E_u intersect E_v|``. A feature named by m texts is shared
    by ``m (m - 1) / 2`` pairs, so counting is enough. NaN for fewer than two texts.
    """
    n = len(named)
    counts = Counter(feature for some in named for feature in set(some))
    shared = sum(m * (m - 1) / 2 for m in counts.values())
    return shared / (n * (n - 1) / 2) if n > 1 else float("nan")
