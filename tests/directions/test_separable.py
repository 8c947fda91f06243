import math

import pytest
import torch
from anisotropy import directions
from anisotropy.directions import separable


def generator(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


@pytest.fixture
def direction():
    return directions.random(1, (2, 4, 3), generator=generator(7))[0]


@pytest.mark.parametrize(("convention", "margin"), [("text", 1.5), ("code", 0.75)])
def test_margin_along_the_direction_is_exact(direction, convention, margin):
    inputs, labels = separable.sample(
        direction, 501, epsilon=1.5, convention=convention, generator=generator(), dtype=torch.float64
    )
    along = inputs.flatten(1) @ direction.flatten()
    assert torch.allclose(along, margin * (2 * labels - 1).double(), atol=1e-10)
    assert separable.optimal_margin(1.5, convention) == margin


def test_classes_are_balanced_and_shuffled(direction):
    _, labels = separable.sample(direction, 1000, generator=generator())
    assert int(labels.sum()) == 500
    assert labels.dtype == torch.int64
    assert 200 < int(labels[:500].sum()) < 300
    _, odd = separable.sample(direction, 7, generator=generator())
    assert int(odd.sum()) == 3


def test_covariance_is_sigma_squared_times_the_projector(direction):
    n, sigma = 60_000, 3.0
    inputs, labels = separable.sample(direction, n, sigma=sigma, generator=generator(3), dtype=torch.float64)
    v = direction.flatten()
    noise = inputs.flatten(1) - (2.0 * labels - 1).outer(v)
    expected = sigma**2 * (torch.eye(24, dtype=torch.float64) - v.outer(v))
    error = (noise.T @ noise / n - expected).abs().max()
    assert error < 6 * sigma**2 * math.sqrt(2 / n)
    # independent of the label, so that nothing but v tells the classes apart
    assert (noise[labels == 1].mean(0) - noise[labels == 0].mean(0)).abs().max() < 6 * sigma * math.sqrt(4 / n)
    # and a wrong projector is told apart by the same bound
    assert (noise.T @ noise / n - sigma**2 * torch.eye(24, dtype=torch.float64)).abs().max() > 6 * sigma**2 * math.sqrt(
        2 / n
    )


def test_the_generator_alone_decides_the_data(direction):
    first = separable.sample(direction, 50, generator=generator(1))
    again = separable.sample(direction, 50, generator=generator(1))
    other = separable.sample(direction, 50, generator=generator(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_dtype_is_followed_and_bfloat16_is_a_rounding_of_float32(direction):
    single, _ = separable.sample(direction, 20, generator=generator())
    half, _ = separable.sample(direction, 20, generator=generator(), dtype=torch.bfloat16)
    assert single.dtype == torch.float32
    assert torch.equal(half, single.bfloat16())
    assert single.shape == (20, 2, 4, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_cpu_generator_gives_the_same_data_on_a_gpu(direction):
    here, _ = separable.sample(direction, 20, generator=generator())
    there, labels = separable.sample(direction, 20, generator=generator(), device="cuda")
    assert labels.is_cuda
    assert torch.equal(here, there.cpu())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 0.0}, "epsilon > 0"),
        ({"sigma": -1.0}, "sigma >= 0"),
        ({"sigma": float("nan")}, "sigma >= 0"),
        ({"count": 0}, "number of samples as a whole number"),
        ({"convention": "paper"}, "'text', 'code'"),
        ({"direction": torch.ones(1, 2, 2)}, "unit norm"),
        ({"direction": torch.ones(1, 1, 2, 2) / 2}, r"one direction, \(C, H, W\) of images, .*, got"),
    ],
)
def test_bad_arguments_are_refused(direction, change, message):
    arguments = {"direction": direction, "count": 10, "generator": generator()} | change
    with pytest.raises(ValueError, match=message):
        separable.sample(arguments.pop("direction"), arguments.pop("count"), **arguments)


@pytest.mark.parametrize("agree", [True, False])
def test_redundant_signals_are_exact_along_both_directions_and_noise_is_orthogonal_to_them(agree):
    basis = directions.fourier(6, 6).vectors[:, None].float()
    u, v = basis[3], basis[10]
    generator = torch.Generator().manual_seed(1)
    x, y = separable.redundant(u, v, 3001, amplitudes=(1.0, 2.5), sigma=2.0, generator=generator, agree=agree)
    sign = (2 * y - 1).float()
    along = x.flatten(1) @ basis.flatten(1).T
    assert torch.allclose(along[:, 3], sign, atol=1e-4)
    assert torch.allclose(along[:, 10], (2.5 if agree else -2.5) * sign, atol=1e-4)
    rest = along[:, [k for k in range(36) if k not in (3, 10)]]
    assert torch.allclose(rest.T.cov(), 4 * torch.eye(34), atol=0.5)
    assert int(y.sum()) == 1500
    assert 0.4 < float(y[:300].float().mean()) < 0.6
    with pytest.raises(ValueError, match="orthogonal directions"):
        separable.redundant(u, u, 10, amplitudes=(1.0, 1.0), generator=generator)
    with pytest.raises(ValueError, match="epsilon > 0"):
        separable.redundant(u, v, 10, amplitudes=(1.0, 0.0), generator=generator)
