import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgesqueeze.errors import CodecError
from edgesqueeze.numerics import kmeans
from edgesqueeze.numerics.kmeans import _slices, kmeans_1d

_values = hnp.arrays(np.float32, st.integers(1, 200), elements=st.floats(-1e6, 1e6, width=32))


def _plain_lloyd(values, num_centroids, iterations=300):
    """The textbook form: distances from every value to every centroid."""
    values = values.astype(np.float64)
    centroids = np.linspace(values.min(), values.max(), num_centroids)
    for _ in range(iterations):
        nearest = np.abs(values[:, None] - centroids).argmin(axis=1)
        means = [values[nearest == i].mean() if (nearest == i).any() else c for i, c in enumerate(centroids)]
        if np.array_equal(means, centroids):
            break
        centroids = np.array(means)
    return centroids


@pytest.mark.parametrize("num_centroids", [2, 5, 16, 32])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_textbook_algorithm(num_centroids, seed):
    values = np.random.default_rng(seed).laplace(size=700).astype(np.float32)
    centroids, _ = kmeans_1d(values, num_centroids, 300)
    np.testing.assert_allclose(centroids, _plain_lloyd(values, num_centroids), rtol=1e-5, atol=1e-6)


@given(_values, st.integers(1, 40))
def test_every_value_goes_to_its_nearest_centroid(values, num_centroids):
    centroids, indices = kmeans_1d(values, num_centroids)
    assert centroids.dtype == np.float32
    assert len(centroids) <= num_centroids
    assert (np.diff(centroids) >= 0).all()
    assert indices.shape == values.shape
    distances = np.abs(values.astype(np.float64)[:, None] - centroids.astype(np.float64))
    np.testing.assert_array_equal(distances[np.arange(len(values)), indices], distances.min(axis=1))


@given(_values)
def test_enough_centroids_reproduce_the_values(values):
    distinct = len(np.unique(values))
    for num_centroids in (distinct, distinct + 5):
        centroids, indices = kmeans_1d(values, num_centroids)
        assert len(centroids) == distinct
        np.testing.assert_array_equal(centroids[indices], values)


def test_an_empty_cluster_keeps_its_place():
    values = np.array([0.0, 0.1, 0.2, 10.0], np.float32)
    centroids, indices = kmeans_1d(values, 3)
    np.testing.assert_allclose(centroids, [0.1, 5.0, 10.0])
    np.testing.assert_array_equal(indices, [0, 0, 0, 2])


def test_shape_is_kept_and_the_result_is_deterministic():
    values = np.random.default_rng(1).normal(size=(6, 5, 3, 3)).astype(np.float32)
    first, second = kmeans_1d(values, 8), kmeans_1d(values, 8)
    assert first[1].shape == values.shape
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_converged_centroids_are_the_means_of_their_clusters():
    values = np.random.default_rng(2).normal(size=5000).astype(np.float32)
    centroids, indices = kmeans_1d(values, 16, max_iterations=5000)
    means = [values[indices == i].astype(np.float64).mean() for i in range(16)]
    np.testing.assert_allclose(centroids, means, atol=1e-6)


def test_values_of_any_finite_size():
    values = np.array([-3e38, -1e-40, 0, 1e-40, 3e38], np.float32)
    centroids, indices = kmeans_1d(values, 2)
    assert np.isfinite(centroids).all()
    assert indices[0] == 0
    assert indices[-1] == 1


@pytest.mark.parametrize(
    ("values", "num_centroids", "max_iterations"),
    [([], 2, 10), ([1.0, np.nan], 2, 10), ([1.0, np.inf], 2, 10), (np.array([1e300]), 2, 10),
     ([1.0, 2.0], 0, 10), ([1.0, 2.0], 1, 0)],
)  # fmt: skip
def test_bad_input_is_refused(values, num_centroids, max_iterations):
    with pytest.raises(CodecError):
        kmeans_1d(values, num_centroids, max_iterations)


def test_millions_of_weights_take_some_searches_each_iteration(monkeypatch):
    searched = []

    def search(ordered, boundaries):
        searched.append((ordered.dtype, len(boundaries)))
        return _slices(ordered, boundaries)

    monkeypatch.setattr(kmeans, "_slices", search)
    values = np.random.default_rng(3).laplace(size=4_000_000).astype(np.float32)
    centroids, _ = kmeans_1d(values, 32)
    assert len(centroids) == 32
    assert 1 < len(searched) <= 100
    assert set(searched) == {(np.dtype(np.float32), 31)}  # in float64 each search would convert all values
