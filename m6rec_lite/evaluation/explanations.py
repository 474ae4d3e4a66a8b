"""Metrics of the features (aspects, properties) that explanations name.

An explanation that overlaps with a reference may still give the wrong reason. Sources: Li, Zhang
and Chen, *Generate neural template explanations for recommendation* (NETE), 2020; PETER (Li, Zhang
and Chen, *Personalized transformer for explainable recommendation*, 2021) uses the same metrics.
In the papers a feature is a single token; here it may also be a phrase.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from m6rec_lite.evaluation.text import Tokens, check_pairs, ngrams, tokens


def features_in(
    texts: Iterable[Tokens], features: Mapping[str, str] | Iterable[str]
) -> list[frozenset[str]]:
    """Return the features that each text names: those whose tokens occur in it consecutively.

    Args:
        texts: token sequences.
        features: words or phrases; or a mapping from phrase to feature, if several phrases name
            the same one (``{"workmanship": "quality", "research": "quality"}``).

    Raises:
        ValueError: if a phrase has no token.
    """
    phrases = features if isinstance(features, Mapping) else {name: name for name in features}
    by_tokens: dict[tuple[str, ...], set[str]] = {}
    for phrase, feature in phrases.items():
        by_tokens.setdefault(tuple(tokens(phrase)), set()).add(feature)
    if () in by_tokens:
        raise ValueError(
            f"the phrase of the feature {min(by_tokens[()])!r} has no word or mark in it"
        )
    sizes = {len(key) for key in by_tokens}
    return [
        frozenset().union(
            *(by_tokens.get(gram, ()) for size in sizes for gram in ngrams(text, size))
        )
        for text in texts
    ]


def feature_matching(named: Sequence[Collection[str]], targets: Sequence[str]) -> float:
    """Return the feature matching ratio (FMR): the share of texts that name their target feature.

    ``FMR = 1/N sum_u [f_u in E_u]`` for the target feature f_u and the named features E_u.

    Args:
        named: for each text the features it names (see ``features_in``).
        targets: for each text its target feature.
    """
    check_pairs(named, targets)
    return float(np.mean([target in names for names, target in zip(named, targets, strict=True)]))


def feature_coverage(named: Sequence[Collection[str]], features: Collection[str]) -> float:
    """Return the feature coverage ratio (FCR): ``|union of E_u| / |F|``.

    Args:
        named: for each text the features it names.
        features: F, all features.
    """
    if not len(features):
        raise ValueError("features is empty: name all features there are")
    return len(set().union(*named) & set(features)) / len(set(features))


def feature_diversity(named: Sequence[Collection[str]]) -> float:
    """Return DIV, the mean number of features that two texts share; lower is more diverse.

    ``DIV = 2 / (N (N - 1)) sum_(u < v) |E_u intersect E_v|``. A feature named by m texts is shared
    by ``m (m - 1) / 2`` pairs, which gives the sum from counts. NaN for fewer than two texts.
    """
    n = len(named)
    counts = Counter(feature for names in named for feature in set(names))
    shared = sum(m * (m - 1) / 2 for m in counts.values())
    return shared / (n * (n - 1) / 2) if n > 1 else float("nan")
