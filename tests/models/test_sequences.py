"""Networks on sequences: their sizes, what they answer to, and what training makes of it."""

import anisotropy as an
import pytest
import torch
from anisotropy.directions import modes
from anisotropy.models import architectures, sequences


def test_a_gru_is_its_equations():
    network = architectures.build(sequences.factory("gru", 6, hidden=4), 0)
    x, state = torch.randn(1, 1, 6, generator=torch.Generator().manual_seed(0)), torch.zeros(4)
    cells = network.cells
    with torch.no_grad():
        for sample in x[0, 0]:
            i = cells.weight_ih_l0 @ sample[None] + cells.bias_ih_l0
            h = cells.weight_hh_l0 @ state + cells.bias_hh_l0
            reset, update = (torch.sigmoid(i[a : a + 4] + h[a : a + 4]) for a in (0, 4))
            state = (1 - update) * torch.tanh(i[8:] + reset * h[8:]) + update * state
        assert torch.allclose(network(x)[0], network.readout(state), atol=1e-6)


def test_a_gru_forgets_and_a_convolution_does_not():
    """Impulses at each sample: the recurrent network answers to the end of the sequence."""
    pulses = torch.eye(32).view(32, 1, 32)
    gru, conv = (an.energies(sequences.factory(k, 32), pulses, networks=20).mean for k in ("gru", "conv1d"))
    assert float(gru[-1] / gru[:16].mean()) > 1e4
    assert float(conv[4:28].max() / conv[4:28].min()) < 3


def test_a_transformer_answers_to_what_its_patches_add_up():
    """Frequencies that are multiples of length / patch look alike in every patch; the mean over patches keeps them."""
    waves = modes.harmonics(32)
    found = an.energies(sequences.factory("transformer", 32), waves, networks=10).mean
    lattice = waves.values % (32 / sequences.PATCH) == 0
    assert float(found[lattice].min()) > 50 * float(found[~lattice].max())


@pytest.mark.parametrize(("kind", "sigma"), [("conv1d", 3.0), ("gru", 0.5), ("transformer", 1.0)])
def test_energies_agree_with_the_covariance_and_training_follows(kind, sigma, tmp_path):
    """Derivatives at 0; then the strongest and the weakest wave."""
    waves, make = modes.harmonics(32), sequences.factory(kind, 32, hidden=16)
    dense = an.estimate(make, response=an.Gradient(at="zero"), networks=60)
    same, other = (an.energies(make, waves, response=an.Gradient(at="zero"), networks=60, seed=s) for s in (0, 1))
    assert torch.allclose(same.mean, dense.energy(waves.directions), rtol=1e-3, atol=1e-6 * float(same.mean.max()))
    z = (other.mean - same.mean) / (other.errors.square() + same.errors.square()).sqrt()
    assert float(z.abs().max()) < 5
    answers = an.energies(make, waves, networks=16).mean
    chosen = waves.directions[[int(answers.argmax()), int(answers.argmin())]]
    table = an.sweep(
        sequences.factory(kind, 32, hidden=16, num_outputs=2), chosen, sigma=sigma, train_samples=600, test_samples=400,
        recipe=an.Recipe(epochs=8, batch_size=32), store=tmp_path, progress=False,
    )  # fmt: skip
    strong, weak = table.test_accuracy.values[:, 0]
    assert strong > weak + 0.1
    assert strong > 0.65


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"kind out of .*'conv1d', 'gru', 'transformer'.*, got 'lstm'"):
        sequences.factory("lstm", 32)
    with pytest.raises(ValueError, match="length that 4 divides and an even hidden, got 30 and 32"):
        sequences.factory("transformer", 30)
    with pytest.raises(ValueError, match="at least 4 samples"):
        sequences.factory("conv1d", 3)
    with pytest.raises(ValueError, match=r"inputs of shape \(1, 32\), got shape=\(32,\)"):
        an.estimate(sequences.factory("gru", 32), (32,))
