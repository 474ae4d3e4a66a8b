"""Semantic ids: residual k-means, collisions, and the tree of codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from m6rec_lite.recommenders import CodeTree, SemanticIds, resolve_collisions
from m6rec_lite.recommenders.sequential.semantic_ids import k_means, nearest

some_codes = arrays(np.int64, st.tuples(st.integers(1, 30), st.integers(1, 3)),
                    elements=st.integers(0, 3))  # fmt: skip


def same_groups(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two labelings put the same items together."""
    return bool(((first[:, None] == first) == (second[:, None] == second)).all())


def test_the_first_code_is_the_coarse_group_and_the_second_the_fine_one() -> None:
    coarse, fine = np.repeat(np.arange(4), 12), np.tile(np.repeat(np.arange(4), 3), 4)
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    vectors = 20 * directions[coarse] + 4 * directions[4 + fine] + rng.normal(size=(48, 16)) / 50
    ids = SemanticIds.fit(vectors, levels=2, k=4)
    assert same_groups(ids.codes[:, 0], coarse)
    assert same_groups(ids.codes[:, 1], fine)  # the same residual under every coarse group
    assert ids.n_collisions == 48 - 16


def test_a_cluster_is_nearest_to_its_members_and_their_mean() -> None:
    vectors = np.random.default_rng(1).normal(size=(200, 5))
    cluster, centroids = k_means(vectors, 7, np.random.default_rng(0))
    distances = np.linalg.norm(vectors[:, None] - centroids, axis=2)
    np.testing.assert_array_equal(cluster, distances.argmin(axis=1))
    np.testing.assert_array_equal(nearest(vectors, centroids), cluster)
    means = np.array([vectors[cluster == c].mean(axis=0) for c in range(7)])
    assert np.linalg.norm(means - centroids, axis=1).max() < 0.1


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 3), st.integers(0, 9))
def test_codes_rebuild_the_vectors_better_level_by_level(
    n: int, k: int, levels: int, seed: int
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, 4)).round(1)
    ids = SemanticIds.fit(vectors, levels=levels, k=k, seed=seed)
    errors = [np.square(vectors).sum()]
    residuals = vectors
    for level in range(levels):
        residuals = residuals - ids.codebooks[level, ids.codes[:, level]]
        errors.append(np.square(residuals).sum())
    assert (np.diff(errors) <= 1e-9).all() or k == 1  # one centroid is the mean, then zero
    again = SemanticIds.fit(vectors, levels=levels, k=k, seed=seed)
    np.testing.assert_array_equal(again.codes, ids.codes)


def test_fewer_vectors_than_clusters_are_rebuilt_exactly() -> None:
    vectors = np.repeat(np.eye(3), 2, axis=0)
    ids = SemanticIds.fit(vectors, levels=1, k=8)
    np.testing.assert_allclose(ids.codebooks[0, ids.codes[:, 0]], vectors)
    assert ids.codes[:, 1].tolist() == [0, 1, 0, 1, 0, 1]
    assert ids.n_collisions == 3


@given(some_codes)
def test_the_further_code_numbers_equal_rows_in_their_order(codes: np.ndarray) -> None:
    resolved = resolve_collisions(codes)
    assert len(np.unique(resolved, axis=0)) == len(codes)
    np.testing.assert_array_equal(resolved[:, : codes.shape[1]], codes)
    if resolved.shape == codes.shape:
        assert len(np.unique(codes, axis=0)) == len(codes)
        return
    seen: dict[tuple[int, ...], int] = {}
    for row in resolved.tolist():
        first = tuple(row[:-1])
        assert row[-1] == seen.get(first, 0)
        seen[first] = row[-1] + 1


@given(some_codes)
def test_the_tree_holds_every_prefix_once_and_nothing_else(codes: np.ndarray) -> None:
    codes = resolve_collisions(codes)
    tree = CodeTree.build(codes)
    prefixes = {tuple(row[:m]) for row in codes.tolist() for m in range(codes.shape[1] + 1)}
    assert len(tree.paths) == tree.first[-1] == len(prefixes)
    followed = {
        (*path[:depth], code)
        for depth in range(codes.shape[1])
        for node in range(tree.first[depth], tree.first[depth + 1])
        for path in [tree.paths[node].tolist()]
        for code in np.flatnonzero(tree.followers[node] >= 0).tolist()
    }
    assert followed == prefixes - {()}
    for item, row in enumerate(codes.tolist()):
        node = 0
        for depth, code in enumerate(row):
            assert tree.nodes[item, depth] == node
            node = tree.followers[node, code]
        assert tree.nodes[item, -1] == node


def test_equal_codes_are_refused() -> None:
    with pytest.raises(ValueError, match="apply resolve_collisions first"):
        CodeTree.build(np.array([[1, 2], [1, 2]]))
    with pytest.raises(ValueError, match="levels must be at least 1"):
        SemanticIds.fit(np.eye(3), levels=0)
