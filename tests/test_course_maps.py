"""t-SNE: its chances are those of the definition, and neighbours stay neighbours on paper."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from m6rec_lite.course.maps import neighbour_chances, tsne


def _islands(n: int = 20, kinds: int = 6, d: int = 10, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    centres = 4 * rng.normal(size=(kinds, d))
    kind = np.repeat(np.arange(kinds), n)
    return centres[kind] + 0.5 * rng.normal(size=(n * kinds, d)), kind


def test_each_row_counts_as_many_neighbours_as_asked() -> None:
    x, _ = _islands()
    p = neighbour_chances(x, 8.0)
    np.testing.assert_allclose(p, p.T)
    assert p.sum() == pytest.approx(1)
    assert (np.diag(p) == 0).all()
    # the rows before they were made symmetric, from scikit-learn's own search
    manifold = pytest.importorskip("sklearn.manifold._utils")
    rows = manifold._binary_search_perplexity(
        squareform(pdist(x, "sqeuclidean")).astype(np.float32), 8.0, 0
    )
    np.testing.assert_allclose(p, (rows + rows.T) / (2 * len(x)), atol=1e-5)


def test_neighbours_on_paper_are_of_one_kind() -> None:
    x, kind = _islands()
    y = tsne(x, neighbours=8, seed=1)
    assert y.shape == (120, 2)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-9)
    apart = squareform(pdist(y))
    np.fill_diagonal(apart, np.inf)
    assert (kind[apart.argmin(axis=1)] == kind).mean() > 0.98
    shuffled = np.random.default_rng(0).permutation(kind)
    assert (shuffled[apart.argmin(axis=1)] == shuffled).mean() < 0.4


def test_it_lowers_what_t_sne_lowers() -> None:
    x, _ = _islands(n=10)
    p = neighbour_chances(x, 5.0)

    def divergence(y: np.ndarray) -> float:
        w = 1 / (1 + squareform(pdist(y, "sqeuclidean")))
        np.fill_diagonal(w, 0)
        q, there = w / w.sum(), p > 0
        return float((p[there] * np.log(p[there] / q[there])).sum())

    short, long = (divergence(tsne(x, neighbours=5, steps=n)) for n in (8, 400))
    principal = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[0][:, :2]
    assert long < 0.6 * short
    assert long < divergence(principal)


def test_the_same_seed_gives_the_same_map() -> None:
    x, _ = _islands(n=5)
    np.testing.assert_array_equal(tsne(x, neighbours=4, steps=30), tsne(x, neighbours=4, steps=30))


def test_equal_vectors_are_no_accident() -> None:
    x = np.ones((6, 3))
    x[3:] = 2
    y = tsne(x, neighbours=2, steps=50)
    assert np.isfinite(y).all()


@pytest.mark.parametrize(
    ("vectors", "settings", "says"),
    [
        (np.ones((2, 3)), {}, "n >= 3"),
        (np.ones(5), {}, "shape"),
        (np.full((5, 2), np.nan), {}, "finite"),
        (np.eye(5), {"neighbours": 5}, "below n=5"),
        (np.eye(5), {"neighbours": 1}, "above 1"),
        (np.eye(5), {"neighbours": 2, "steps": 0}, "at least 1"),
    ],
)
def test_bad_input_is_refused(vectors, settings, says) -> None:
    with pytest.raises(ValueError, match=says):
        tsne(vectors, **settings)
