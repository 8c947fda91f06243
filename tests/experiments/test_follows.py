"""Training by thirds of the directions, for a network whose energies are known."""

import anisotropy as an
import pytest
import torch
from anisotropy.directions import modes
from torch import nn


class Dims(nn.Module):
    """Hears wave k of a sequence as loudly as 1 / 8^k."""

    def __init__(self, outputs: int = 1):
        super().__init__()
        self.readout = nn.Linear(9, outputs)

    def forward(self, x):
        return self.readout(x[:, 0] @ modes.harmonics(9).directions[:, 0].T.to(x) * 8.0 ** -torch.arange(9))


def test_thirds_are_those_of_the_energies_and_training_follows(tmp_path):
    waves = modes.harmonics(9).directions[torch.tensor([4, 8, 1, 0, 7, 2, 6, 3, 5])]
    given = {"name": "dims", "store": tmp_path, "sigma": 1.0, "progress": False, "recipe": an.Recipe(epochs=2)}
    found = an.follow(Dims, lambda: Dims(2), waves, each=3, train_samples=200, test_samples=200, **given)
    assert found.energy.values == pytest.approx(64.0 ** -torch.arange(9).numpy() / 27, rel=1e-3)
    accuracy = found.test_accuracy.groupby("third").mean()
    assert accuracy.sel(third="strong") > accuracy.sel(third="weak") + 0.1
    with pytest.raises(ValueError, match="at least 12 directions, each=4 of every third, got 9"):
        an.follow(Dims, lambda: Dims(2), waves, **given)
