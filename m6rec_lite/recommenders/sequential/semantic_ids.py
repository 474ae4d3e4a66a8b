"""Semantic ids: a few codes for each item, from coarse to fine, so that similar items share codes.

Residual k-means clusters the item vectors; the number of the cluster is the first code. What a
centroid leaves of each vector, the residual, is clustered again, for the second code, and so on.
Items with the same codes get a further code that counts them.

Source: Rajput et al., *Recommender systems with generative retrieval* (TIGER), 2023, who learn the
codebooks by an autoencoder (RQ-VAE). Residual k-means, with balanced clusters, in its place: Deng
et al., *OneRec*, 2025.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from m6rec_lite.recommenders.params import check_whole

ITERATIONS = 30  #: of Lloyd's algorithm


def nearest(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the index of the centroid nearest to each vector, ``(n,)`` int64."""
    return (np.square(centroids).sum(axis=1) - 2 * vectors @ centroids.T).argmin(axis=1)


def k_means(vectors: np.ndarray, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cluster vectors by Lloyd's algorithm, from a start by k-means++.

    Source of the start: Arthur and Vassilvitskii, *k-means++: the advantages of careful seeding*,
    2007.

    Args:
        vectors: ``(n, d)``.
        k: number of clusters; clusters beyond the number of distinct vectors stay empty.
        rng: of the start.

    Returns:
        ``(n,)`` int64 cluster of each vector, and ``(k, d)`` centroids.
    """
    centroids = np.repeat(vectors[[rng.integers(len(vectors))]], k, axis=0)
    distance = np.square(vectors - centroids[0]).sum(axis=1)  # to the nearest centroid so far
    for i in range(1, k):
        if distance.sum() == 0:  # every vector is a centroid
            break
        centroids[i] = vectors[rng.choice(len(vectors), p=distance / distance.sum())]
        distance = np.minimum(distance, np.square(vectors - centroids[i]).sum(axis=1))
    for _ in range(ITERATIONS):
        cluster = nearest(vectors, centroids)
        sizes = np.bincount(cluster, minlength=k)[:, None]
        sums = np.zeros_like(centroids)
        np.add.at(sums, cluster, vectors)
        centroids = np.where(sizes > 0, sums / np.maximum(sizes, 1), centroids)
    return nearest(vectors, centroids), centroids


@dataclass(frozen=True, eq=False)
class SemanticIds:
    """Codes of items, distinct for each item.

    Attributes:
        codes: ``(n_items, levels)`` int64, or ``(n_items, levels + 1)`` if items collide: the last
            code then numbers the items whose first codes are the same, in their order.
        codebooks: ``(levels, k, d)`` centroids; those of an item's codes sum to about its vector.
    """

    codes: np.ndarray
    codebooks: np.ndarray

    @classmethod
    def fit(cls, vectors: np.ndarray, *, levels: int = 3, k: int = 32, seed: int = 0) -> Self:
        """Compute the codes of item vectors by residual k-means.

        Args:
            vectors: ``(n_items, d)``.
            levels: number of codes of each item, without the one that resolves collisions.
            k: number of different codes of each level.
            seed: seed of the clusterings.
        """
        check_whole("levels", levels)
        check_whole("k", k)
        rng, residuals = np.random.default_rng(seed), vectors.astype(np.float64)
        codes, codebooks = [], []
        for _ in range(levels):
            cluster, centroids = k_means(residuals, k, rng)
            residuals = residuals - centroids[cluster]
            codes.append(cluster)
            codebooks.append(centroids)
        return cls(resolve_collisions(np.stack(codes, axis=1)), np.stack(codebooks))

    @property
    def n_collisions(self) -> int:
        """Number of items whose first ``levels`` codes are also those of an earlier item."""
        first = self.codes[:, : len(self.codebooks)]
        return len(first) - len(np.unique(first, axis=0))


def resolve_collisions(codes: np.ndarray) -> np.ndarray:
    """Append a code that numbers the rows of equal codes from 0; no column if all rows differ.

    Args:
        codes: ``(n_items, levels)`` int64.
    """
    _, group, sizes = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    if sizes.max(initial=1) == 1:
        return codes
    order = np.argsort(group, kind="stable")  # the items of each group stand together, in order
    number = np.empty(len(codes), dtype=np.int64)
    number[order] = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.column_stack([codes, number])


@dataclass(frozen=True, eq=False)
class CodeTree:
    """The prefixes of all codes as a tree: which codes may follow a prefix.

    Nodes are numbered from the root, depth by depth; those of one depth are sorted by their codes.
    The nodes of the last depth are the items.

    Attributes:
        first: ``(n_codes + 2,)`` index of the first node of each depth, and the number of nodes.
        paths: ``(n_nodes, n_codes)`` int64 codes from the root to each node, then 0.
        followers: ``(n_nodes, k)`` int64 node that follows by each code; -1 if there is none.
        nodes: ``(n_items, n_codes + 1)`` int64 node of each item at each depth.
    """

    first: np.ndarray
    paths: np.ndarray
    followers: np.ndarray
    nodes: np.ndarray

    @classmethod
    def build(cls, codes: np.ndarray) -> Self:
        """Build the tree of ``(n_items, n_codes)`` codes.

        Raises:
            ValueError: if two items have the same codes.
        """
        n_items, n_codes = codes.shape
        first, nodes = [0], [np.zeros(n_items, dtype=np.int64)]
        paths = [np.zeros((1, n_codes), dtype=np.int64)]
        for depth in range(1, n_codes + 1):
            prefixes, node = np.unique(codes[:, :depth], axis=0, return_inverse=True)
            first.append(first[-1] + len(paths[-1]))
            nodes.append(first[-1] + node)
            paths.append(np.pad(prefixes, ((0, 0), (0, n_codes - depth))))
        if len(paths[-1]) < n_items:
            raise ValueError("items share all codes; apply resolve_collisions first")
        first.append(first[-1] + n_items)
        tree = cls(
            np.array(first),
            np.concatenate(paths),
            np.full((first[-1], int(codes.max(initial=0)) + 1), -1),
            np.stack(nodes, axis=1),
        )
        tree.followers[tree.nodes[:, :-1], codes] = tree.nodes[:, 1:]
        return tree
