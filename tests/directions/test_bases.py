import numpy as np
import pytest
import torch
from anisotropy import directions


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 4), (5, 4), (3, 7), (8, 6), (32, 32)])
def test_fourier_is_an_orthonormal_basis(height, width):
    basis = directions.fourier(height, width)
    flat = basis.vectors.flatten(1)
    size = height * width
    assert flat.shape == (size, size)
    assert torch.allclose(flat @ flat.T, torch.eye(size, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize(("height", "width", "real"), [(32, 32, 4), (5, 4, 2), (3, 7, 1)])
def test_fourier_counts_the_frequencies_that_are_their_own_conjugate(height, width, real):
    phases = directions.fourier(height, width).phases
    assert (phases == "real").sum() == real
    assert (phases == "cos").sum() == (phases == "sin").sum() == (height * width - real) // 2


@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 5)])
def test_fourier_agrees_with_the_fft(height, width):
    basis = directions.fourier(height, width)
    for row in range(height * width):
        spectrum = np.fft.fft2(basis.vectors[row].numpy())
        ky, kx = basis.frequencies[row]
        phase = basis.phases[row]
        amplitude = np.sqrt(height * width) * (1 if phase == "real" else np.sqrt(0.5))
        expected = np.zeros((height, width), complex)
        expected[ky, kx] = amplitude * (-1j if phase == "sin" else 1)
        expected[-ky, -kx] = np.conj(expected[ky, kx])
        assert np.allclose(spectrum, expected, atol=1e-12)


def test_order_starts_at_frequency_zero_and_frequencies_are_signed():
    basis = directions.fourier(32, 32)
    assert tuple(basis.frequencies[0]) == (0, 0)
    assert torch.allclose(basis.vectors[0], torch.full((32, 32), 1 / 32, dtype=torch.float64))
    radius = (basis.frequencies**2).sum(axis=1)
    assert (np.diff(radius) >= 0).all()
    assert basis.frequencies.min() == -16
    assert basis.frequencies.max() == 15


def test_index_knows_conjugates_and_refuses_what_does_not_exist():
    basis = directions.fourier(8, 6)
    for row in range(48):
        (ky, kx), phase = basis.frequencies[row], basis.phases[row]
        assert basis.index(ky, kx, phase) == basis.index(-ky, -kx, phase) == basis.index(ky + 8, kx - 6, phase) == row
    assert basis.index(0, 0, "cos") == basis.index(0, 0, "real") == 0
    with pytest.raises(KeyError, match="no direction of phase 'sin'"):
        basis.index(4, 3, "sin")
    with pytest.raises(KeyError, match="expected a phase"):
        basis.index(0, 1, "tan")


def test_picture_puts_zero_in_the_centre_and_conjugates_opposite():
    basis = directions.fourier(8, 8)
    values = np.full(64, np.nan)
    values[basis.index(0, 0)] = 5
    values[basis.index(1, 2, "cos")] = 1
    values[basis.index(1, 2, "sin")] = 3
    values[basis.index(-4, 1, "sin")] = 7
    picture = basis.picture(values)
    assert picture[4, 4] == 5
    assert picture[5, 6] == picture[3, 2] == 2
    assert picture[0, 5] == picture[0, 3] == 7
    assert np.isnan(picture).sum() == 64 - 5
    with pytest.raises(ValueError, match="one value for each of the 64"):
        basis.picture(values[:-1])


def test_picture_of_the_energy_is_the_centred_power_spectrum():
    basis = directions.fourier(6, 6)
    image = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    coefficients = (basis.vectors.flatten(1) @ image.flatten()).numpy() ** 2
    # a pair's energy is shared by its cosine and sine, and by its two cells: the mean is right for both kinds
    assert np.allclose(basis.picture(coefficients), np.abs(np.fft.fftshift(np.fft.fft2(image.numpy()))) ** 2 / 36)


def test_subgrid_is_the_published_grid():
    basis = directions.fourier(32, 32)
    rows = basis.subgrid(2)
    assert len(rows) == (16 * 16 + 4) // 2
    values = np.full(1024, np.nan)
    values[rows] = 1
    assert (basis.picture(values)[::2, ::2] == 1).all()
    assert np.isnan(basis.picture(values)[1::2]).all()
    assert set(basis.phases[basis.subgrid(2, "sin")]) == {"sin", "real"}
    assert len(basis.subgrid(1)) == 514
    with pytest.raises(ValueError, match="divides half"):
        basis.subgrid(3)


def test_random_directions_are_uniform_on_the_sphere():
    draws = directions.random(4000, (1, 3, 2), generator=torch.Generator().manual_seed(1)).flatten(1)
    assert torch.allclose(draws.norm(dim=1), torch.ones(4000, dtype=torch.float64))
    second = draws.T @ draws / 4000  # E[v v^T] = I / D
    assert (second - torch.eye(6, dtype=torch.float64) / 6).abs().max() < 5 / 4000**0.5 / 6
    again = directions.random(4000, (1, 3, 2), generator=torch.Generator().manual_seed(1)).flatten(1)
    assert torch.equal(draws, again)


def test_complete_keeps_the_rows_and_adds_an_orthonormal_rest():
    full = directions.fourier(4, 4).vectors.flatten(1)
    for count in (0, 1, 15, 16):
        basis = directions.complete(full[:count])
        assert torch.equal(basis[:count], full[:count])
        assert torch.allclose(basis @ basis.T, torch.eye(16, dtype=torch.float64), atol=1e-12)
    single = directions.complete(full[:15].float())
    assert single.dtype == torch.float32
    assert abs(float(single[15].double() @ full[15])) > 1 - 1e-6  # the only direction left
    with pytest.raises(ValueError, match="orthonormal"):
        directions.complete(2 * full)
    with pytest.raises(ValueError, match="K <= D"):
        directions.complete(full.T[:, :3])


def test_pictures_of_orthogonal_colours_are_a_basis():
    basis = directions.fourier(4, 3)
    assert torch.equal(basis.pictures()[:, 0], basis.vectors)
    colours = [(1, 1, 1), (1, -1, 0), (1, 1, -2)]
    rows = torch.cat([basis.pictures(colour) for colour in colours]).flatten(1)
    assert rows.shape == (36, 36)
    assert torch.allclose(rows @ rows.T, torch.eye(36, dtype=torch.float64), atol=1e-12)
    red_green = basis.pictures((2.0, -2.0, 0.0))[5]
    assert torch.allclose(red_green[0], basis.vectors[5] / 2**0.5)
    assert torch.equal(red_green[1], -red_green[0])
    assert not red_green[2].any()
