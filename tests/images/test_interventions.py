import numpy as np
import pytest
import torch
from anisotropy import directions, nads
from anisotropy.directions import bases
from anisotropy.images import class_energy, interventions

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(60, 3, 8, 8, dtype=torch.float64, generator=GENERATOR)
LABELS = torch.arange(60) % 10
BASIS = bases.random_rotation(64, generator=GENERATOR).view(64, 1, 8, 8)


def coefficients(images, basis=BASIS):
    """(n, C, D), by a plain loop."""
    return torch.stack([torch.stack([basis[:, 0].flatten(1) @ c.flatten() for c in image]) for image in images])


def test_carriers_are_coded_as_in_the_released_code():
    pictures = interventions.carriers(BASIS, 5, classes=10, channels=3)
    for t in range(10):
        expected = torch.zeros(3, 8, 8, dtype=torch.float64)
        expected[t % 3] = (1 if t % 2 else -1) * BASIS[5 + t // 6, 0]
        assert torch.equal(pictures[t], expected)


@pytest.mark.parametrize(("classes", "channels"), [(10, 3), (10, 1), (7, 2), (100, 3), (4, 4), (2, 1)])
def test_no_two_classes_share_a_carrier(classes, channels):
    rows = interventions.carriers(BASIS, 3, classes=classes, channels=channels).flatten(1)
    gram = rows @ rows.T
    assert torch.allclose(gram.diagonal(), torch.ones(classes, dtype=torch.float64))
    others = gram - torch.eye(classes, dtype=torch.float64)
    assert bool(((others.abs() < 1e-9) | ((others + 1).abs() < 1e-9)).all())  # orthogonal or opposite


@pytest.mark.parametrize(("classes", "channels"), [(10, 3), (7, 2), (2, 1)])
def test_a_basis_of_colour_pictures_has_two_classes_in_each_direction(classes, channels):
    size = channels * 64
    basis = bases.random_rotation(size, generator=GENERATOR).view(size, channels, 8, 8)
    pictures = interventions.carriers(basis, 4, classes=classes, channels=channels)
    for t in range(classes):
        assert torch.equal(pictures[t], (1 if t % 2 else -1) * basis[4 + t // 2])
    images, labels = IMAGES[:, :channels], LABELS % classes
    changed, _ = interventions.poison(images, labels, basis, 4, 0.05, classes=classes)
    before, after = (x.flatten(1) @ basis.flatten(1).T for x in (images, changed))
    for image, label in enumerate(labels.tolist()):
        before[image, 4 + label // 2] = 0.05 if label % 2 else -0.05
    assert torch.allclose(after, before, atol=1e-12)


def test_grey_directions_in_every_channel_are_coded_as_before():
    assert torch.equal(
        interventions.carriers(BASIS, 2, classes=6, channels=1)[:, 0],
        torch.stack([(1 if t % 2 else -1) * BASIS[2 + t // 2, 0] for t in range(6)]),
    )


def test_poison_changes_exactly_its_carriers_coefficient():
    changed, pictures = interventions.poison(IMAGES, LABELS, BASIS, 4, 0.05)
    before, after = coefficients(IMAGES), coefficients(changed)
    for image, label in enumerate(LABELS.tolist()):
        expected = before[image].clone()
        expected[label % 3, 4 + label // 6] = 0.05 if label % 2 else -0.05
        assert torch.allclose(after[image], expected, atol=1e-12)
    assert pictures.shape == (10, 3, 8, 8)


def test_the_poisoned_training_set_is_separable_by_the_carriers_alone():
    changed, pictures = interventions.poison(IMAGES, LABELS, BASIS, 4, 0.05)
    seen = interventions.project(changed, pictures).flatten(1) @ pictures.flatten(1).T
    assert torch.equal((seen - 0.05).abs().argmin(1), LABELS)
    clean = IMAGES.flatten(1) @ pictures.flatten(1).T
    assert float(((clean - 0.05).abs().argmin(1) == LABELS).double().mean()) < 0.5  # and not before


def test_poison_can_leave_the_content_or_take_all_of_it_before_it_writes():
    added, pictures = interventions.poison(IMAGES, LABELS, BASIS, 4, 0.05, erase="none")
    assert torch.allclose(added - IMAGES, 0.05 * pictures[LABELS], atol=1e-12)
    tiny = 1e-3
    written, pictures = interventions.poison(IMAGES, LABELS, BASIS, 4, tiny, erase="all")
    before, after = coefficients(IMAGES), coefficients(written)
    for channel, direction in {(t % 3, 4 + t // 6) for t in range(10)}:
        before[:, channel, direction] = 0
    for image, label in enumerate(LABELS.tolist()):
        before[image, label % 3, 4 + label // 6] = tiny if label % 2 else -tiny
    assert torch.allclose(after, before, atol=1e-12)
    points = written.flatten(1) @ pictures.flatten(1).T
    assert interventions.separable(points, LABELS)  # for any epsilon, as the paper says
    assert not interventions.separable(*on_carriers(4, tiny))  # which the released coding does not do
    with pytest.raises(ValueError, match="'own', 'none', 'all'"):
        interventions.poison(IMAGES, LABELS, BASIS, 4, 0.05, erase="some")


def on_carriers(index, epsilon, images=None):
    images, labels = (IMAGES, LABELS) if images is None else images
    changed, pictures = interventions.poison(images, labels, BASIS, index, epsilon)
    return changed.flatten(1) @ pictures.flatten(1).T, labels


def test_linear_separability_is_decided_exactly():
    """Where the content is below epsilon the nearest carrier is right; where it is not, hyperplanes can cross."""
    points, labels = on_carriers(4, 100.0)
    assert torch.equal(points.argmax(1), labels)
    assert interventions.separable(points, labels)
    # two classes on the lines z0 = 1 and z1 = 1, with points of each on both sides of the other
    crossed = torch.tensor([[1.0, -5.0], [1.0, 5.0], [-5.0, 1.0], [5.0, 1.0]])
    assert not interventions.separable(crossed, torch.tensor([0, 0, 1, 1]))
    assert interventions.separable(crossed[:3], torch.tensor([0, 0, 1]))
    exclusive_or = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    assert not interventions.separable(exclusive_or, torch.tensor([0, 0, 1, 1]))
    assert interventions.separable(exclusive_or, torch.tensor([0, 1, 2, 3]))  # the corners of a square
    with pytest.raises(ValueError, match="two classes"):
        interventions.separable(exclusive_or, torch.zeros(4, dtype=torch.int64))


def test_projection_onto_carriers_keeps_their_coefficients_and_nothing_else():
    pictures = interventions.carriers(BASIS, 0, classes=10, channels=3)
    seen = interventions.project(IMAGES, pictures)
    kept = coefficients(seen)
    assert torch.allclose(kept[:, :, :1], coefficients(IMAGES)[:, :, :1])
    assert torch.allclose(kept[:, :, 2:], torch.zeros(60, 3, 62, dtype=torch.float64), atol=1e-12)


def test_flip_reverses_coefficients_and_twice_is_the_identity():
    flipped = interventions.flip(IMAGES, BASIS)
    assert torch.allclose(coefficients(flipped), coefficients(IMAGES).flip(2), atol=1e-12)
    assert torch.allclose(interventions.flip(flipped, BASIS), IMAGES, atol=1e-12)
    assert (flipped - IMAGES).abs().max() > 0.1


def test_permute_moves_each_coefficient_where_the_order_says():
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    moved = interventions.permute(IMAGES, BASIS, order)
    assert torch.allclose(coefficients(moved), coefficients(IMAGES)[:, :, order], atol=1e-12)
    with pytest.raises(ValueError, match="permutation"):
        interventions.permute(IMAGES, BASIS, torch.zeros(64, dtype=torch.long))


def test_signs_keep_what_lies_along_each_direction_and_with_it_the_alignment():
    signs = 1 - 2 * torch.randint(2, (64,), generator=torch.Generator().manual_seed(7))
    changed = interventions.change_signs(IMAGES, BASIS, signs)
    assert torch.allclose(coefficients(changed), signs * coefficients(IMAGES), atol=1e-12)
    assert (changed - IMAGES).abs().max() > 0.1
    images, labels = torch.rand(400, 3, 8, 8, dtype=torch.float64), torch.arange(400) % 2
    images[::2, :, :3] += 1.0
    change = interventions.change_signs(images, BASIS, signs)
    before, after = (class_energy.measure(some, labels, BASIS) for some in (images, change))
    assert after.energy == pytest.approx(before.energy, abs=1e-9)
    with pytest.raises(ValueError, match="64 signs, each 1 or -1"):
        interventions.change_signs(IMAGES, BASIS, 0.5 * signs)


@pytest.mark.parametrize("change", ["flip", "rotate", "flip all channels"])
def test_norms_and_angles_are_kept(change):
    whole = bases.random_rotation(192, generator=torch.Generator().manual_seed(2))
    changed = {
        "flip": lambda: interventions.flip(IMAGES, BASIS),
        "rotate": lambda: interventions.rotate(IMAGES, BASIS.flatten(1)),
        "flip all channels": lambda: interventions.flip(IMAGES, whole.view(192, 3, 8, 8)),
    }[change]()
    rows, old = changed.flatten(1), IMAGES.flatten(1)
    assert torch.allclose(rows @ rows.T, old @ old.T, atol=1e-10)


def test_rotate_is_the_matrix_product():
    rotation = bases.random_rotation(64, generator=torch.Generator().manual_seed(3))
    expected = torch.einsum("ij,ncj->nci", rotation, IMAGES.flatten(2)).view_as(IMAGES)
    assert torch.allclose(interventions.rotate(IMAGES, rotation), expected)


def test_random_rotations_are_orthogonal_and_uniform():
    generator = torch.Generator().manual_seed(4)
    draws = torch.stack([bases.random_rotation(3, generator=generator) for _ in range(4000)])
    assert torch.allclose(draws @ draws.mT, torch.eye(3, dtype=torch.float64).expand(4000, 3, 3), atol=1e-12)
    assert draws.mean(0).abs().max() < 0.05  # Haar: every entry has mean 0 and variance 1 / size
    assert (draws.square().mean(0) - 1 / 3).abs().max() < 0.03


def test_the_networks_nads_flip_float32_pictures_back_and_forth():
    basis = nads.load("lenet").directions
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(interventions.flip(interventions.flip(images, basis), basis), images, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interventions.poison(IMAGES, LABELS, BASIS, 63, 0.05), "an index from 0 to 62"),
        (lambda: interventions.poison(IMAGES, LABELS, BASIS, 0, 0.0), "positive epsilon"),
        (lambda: interventions.poison(IMAGES, LABELS + 5, BASIS, 0, 0.05), "labels from 0 to 9, got 5 to 14"),
        (lambda: interventions.poison(IMAGES, LABELS.int(), BASIS, 0, 0.05), "int64 labels"),
        (lambda: interventions.poison((IMAGES * 255).byte(), LABELS, BASIS, 0, 0.05), "cifar.to_unit"),
        (lambda: interventions.flip(IMAGES, BASIS[:63]), "complete basis, 64 directions, got 63"),
        (lambda: interventions.flip(IMAGES, 2 * BASIS), "orthonormal"),
        (lambda: interventions.flip(IMAGES, nads.load("lenet").directions), "for images"),
        (lambda: interventions.rotate(IMAGES, torch.eye(63)), "64 or 192 rows"),
    ],
)
def test_wrong_input_is_refused_with_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def two_classes(n, along, generator):
    """Samples in 16 dimensions whose classes differ by 2 along some rows of the identity, in unit noise."""
    labels = torch.arange(n) % 2
    shift = torch.zeros(16, dtype=torch.float64)
    shift[along] = 1.0
    noise = torch.randn(n, 16, dtype=torch.float64, generator=generator)
    return (noise + (2 * labels[:, None] - 1) * shift).view(n, 1, 4, 4), labels


def test_alignment_finds_the_directions_that_tell_classes_apart():
    images, labels = two_classes(4000, [0, 1, 2], torch.Generator().manual_seed(0))
    basis = torch.eye(16, dtype=torch.float64).view(16, 1, 4, 4)
    found = class_energy.measure(images, labels, basis)
    assert np.allclose(found.energy[:3], 1.0, atol=0.1)
    assert np.allclose(found.energy[3:], 0.0, atol=0.02)
    assert np.allclose(found.within, 1.0, atol=0.1)
    assert found.leading(3) == pytest.approx(1.0, abs=0.02)
    assert found.leading(1) == pytest.approx(1 / 3, abs=4 * found.leading_error(1))
    assert 0.002 < found.leading_error(1) < 0.02
    flipped = class_energy.measure(interventions.flip(images, basis), labels, basis)
    assert np.allclose(flipped.energy, found.energy[::-1])
    eigenvalues = np.r_[np.full(3, 5.0), np.ones(13)]
    assert found.score(eigenvalues) == pytest.approx(5.0 / eigenvalues.mean(), rel=0.03)
    assert found.score(np.ones(16)) == pytest.approx(1.0)


def test_alignment_takes_the_noise_of_the_means_off():
    """With no difference between classes the plain between-class variance is (T - 1) / n, the corrected one 0."""
    basis = torch.eye(16, dtype=torch.float64).view(16, 1, 4, 4)
    generator = torch.Generator().manual_seed(1)
    energies, plain = [], []
    for _ in range(400):
        images, labels = two_classes(40, [], generator)
        energies.append(class_energy.measure(images, labels, basis, groups=2).energy.mean())
        means = torch.stack([images[labels == t].mean(0) for t in (0, 1)])
        plain.append(float((means - means.mean(0)).square().mean()))
    assert np.mean(plain) == pytest.approx(1 / 40, rel=0.1)
    assert abs(np.mean(energies)) < 4 * np.std(energies) / np.sqrt(400) < 0.1 / 40


def test_alignment_of_too_few_samples_is_refused():
    images, labels = two_classes(30, [0], torch.Generator().manual_seed(2))
    with pytest.raises(ValueError, match="20 images or more each"):
        class_energy.measure(images, labels, directions.fourier(4, 4).vectors[:, None])


def test_half_of_the_energy_is_reached_at_the_first_such_index():
    """Energies may be below 0 by noise, and their sum then falls again."""
    parts = np.ones((2, 4))
    assert class_energy.Alignment(np.array([0.6, -0.2, 0.1, 0.5]), np.ones(4), parts).median_index() == 0
    assert class_energy.Alignment(np.array([0.1, 0.2, 0.3, 0.4]), np.ones(4), parts).median_index() == 2


def test_poison_works_in_parts(monkeypatch):
    whole = interventions.poison(IMAGES, LABELS, BASIS, 0, 0.05)[0]
    monkeypatch.setattr(interventions, "CHUNK", 7)
    assert torch.equal(interventions.poison(IMAGES, LABELS, BASIS, 0, 0.05)[0], whole)


def test_a_rotation_that_is_no_tensor_is_named():
    with pytest.raises(TypeError, match=r"expected a rotation as a torch\.Tensor"):
        interventions.rotate(IMAGES, np.eye(64))
