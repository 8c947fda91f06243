"""Networks that the paper does not have, and what their NADs must be."""

import pytest
import torch
from anisotropy import directions, nads
from anisotropy.images import class_energy
from anisotropy.models import architectures, variants
from anisotropy.nads import compare


def estimates(name, networks, **arguments):
    factory = architectures.factory(name, image_size=16, **arguments)
    return [nads.estimate(factory, networks=networks, seed=seed) for seed in (0, 1)]


def test_a_network_that_knows_no_grid_prefers_no_direction():
    first, second = estimates("anisotropy.variants:mlp", 24, hidden=64)
    assert compare.anisotropy(first.covariance(), second.covariance()) == pytest.approx(1, abs=0.05)
    assert abs(first.alignment(second)) < 0.1  # what each of them prefers is its noise


def test_fresh_patches_answer_to_what_repeats_in_every_patch():
    """Attention of fresh weights is nearly a mean over patches: the responses of equal pixels of patches are equal."""
    first, second = estimates("anisotropy.variants:PatchTransformer", 6)
    basis = directions.fourier(16, 16)
    repeats = torch.from_numpy((basis.frequencies % 4 == 0).all(1))  # patches of 4, so waves of 16 / 4 cycles
    for found in (first, second):
        energy = found.energy(basis.vectors[:, None].float())
        assert float(energy[repeats].sum() / energy.sum()) > 0.95
    measured = compare.anisotropy(first.covariance(), second.covariance())
    assert measured == pytest.approx(16, rel=0.2)  # 16 of 256 directions share the response


def test_patches_must_tile_the_image():
    with pytest.raises(ValueError, match="multiples of the patch, 4, got \\(18, 16\\)"):
        variants.PatchTransformer(image_size=(18, 16))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (torch.eye(3), torch.eye(4), "two covariances"),
        (torch.eye(3), torch.zeros(3, 3), "positive trace"),
        (torch.ones(3), torch.ones(3), "two covariances"),
    ],
)
def test_covariances_that_do_not_fit_have_no_anisotropy(first, second, message):
    with pytest.raises(ValueError, match=message):
        compare.anisotropy(first, second)


def test_noise_of_independent_estimates_is_no_anisotropy():
    """One estimate of the identity from few samples seems to prefer directions; the product of two does not."""
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randn(50, 200, dtype=torch.float64, generator=generator) for _ in range(2)]
    one, other = (x.T @ x for x in draws)
    assert compare.anisotropy(one, one) > 4
    assert compare.anisotropy(one, other) == pytest.approx(1, abs=0.1)


def test_without_positions_a_wave_and_its_negative_are_the_same_patches():
    """Off the lattice no weights tell the two classes apart; on it they do."""
    torch.manual_seed(0)
    network = variants.PatchTransformer(image_size=(16, 16)).eval()
    torch.nn.init.zeros_(network.positions)
    for layer in network.encoder.layers:
        torch.nn.init.normal_(layer.self_attn.in_proj_weight)  # attention that is no mean over patches
    basis = directions.fourier(16, 16)
    for k in (1, 2, 3, 4, 8):
        wave = basis.vectors[basis.index(0, k)].float().view(1, 1, 16, 16)
        with torch.no_grad():
            apart = float((network(wave) - network(-wave)).abs())
        assert (apart > 1e-3) == (k % 4 == 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [("mine", "expected 'module:callable'"), ("math:sqr", "did you mean 'sqrt'"), ("math:pi", "is no callable")],
)
def test_what_a_name_does_not_lead_to(name, message):
    with pytest.raises(ValueError, match=message):
        architectures.named(name)


def test_images_are_refused_before_there_is_a_basis():
    with pytest.raises(ValueError, match="expected float images"):
        class_energy.check(torch.zeros(60, 1, 4, 4, dtype=torch.uint8), torch.arange(60) % 3)
    with pytest.raises(ValueError, match="expected int64 labels"):
        class_energy.check(torch.zeros(60, 1, 4, 4), torch.zeros(60))
