"""Finding the read-out, and knowing when averaging over it would be wrong."""

import warnings

import pytest
import torch
from anisotropy import nads
from anisotropy.models import architectures
from anisotropy.nads import readouts
from torch import nn


@pytest.mark.parametrize(("name", "features"), [("logreg", 1024), ("lenet", 84), ("resnet18", 512)])
def test_the_paper_s_networks_end_in_a_linear_layer_of_torch_s_default(name, features):
    found = readouts.examine(architectures.factory(name), (1, 32, 32), draws=4)
    assert found == readouts.Readout("readout", features, 1 / (3 * features))


def tail(*layers):
    """Factory of a small network whose end is made by `layers`, callables, afresh each time."""
    return lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), *(make() for make in layers))


def linear():
    return nn.Linear(8, 1)


@pytest.mark.parametrize(
    "layers",
    [
        (linear, nn.Tanh),
        (linear, lambda: nn.Linear(1, 1), nn.Sigmoid),
        (lambda: nn.Unflatten(1, (1, 8)), lambda: nn.Conv1d(1, 1, 8), lambda: nn.Flatten(1)),
    ],
)
def test_no_linear_end_is_noticed(layers):
    with pytest.warns(UserWarning, match="does not end in one linear layer"):
        assert readouts.examine(tail(*layers), (1, 4, 4)) is None


def test_a_layer_that_is_used_twice_is_no_readout():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(16, 16)
            self.alias = self.layer

        def forward(self, x):
            return self.layer(torch.relu(self.alias(x.flatten(1))))

    assert readouts.find(Shared().eval(), torch.zeros(1, 4, 4)) is None


def test_variance_of_other_initialisations_is_measured():
    def normal():
        network = tail(linear)()
        nn.init.normal_(network[-1].weight, std=0.5)
        return network

    found = readouts.examine(normal, (1, 4, 4), draws=2000)
    assert found.variance == pytest.approx(0.25, rel=0.05)


def test_weights_without_zero_mean_are_not_averaged_over():
    def ones():
        network = tail(linear)()
        nn.init.ones_(network[-1].weight)
        return network

    with pytest.warns(UserWarning, match="zero mean"):
        assert readouts.examine(ones, (1, 4, 4)) is None


def test_a_readout_of_zeros_is_replaced_and_said_so():
    def zeros():
        network = tail(linear)()
        nn.init.zeros_(network[-1].weight)
        return network

    with pytest.warns(UserWarning, match="initialised to zero"):
        assert readouts.examine(zeros, (1, 4, 4)).variance == pytest.approx(1 / 24)


def test_a_plain_network_raises_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        readouts.examine(tail(linear), (1, 4, 4))


def test_features_of_unequal_weights_are_not_averaged_over_alike():
    def half():
        network = nn.Sequential(nn.Flatten(), nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 1))
        with torch.no_grad():
            network[-1].weight[:, :32] *= 0.1
        return network

    with pytest.warns(UserWarning, match="one variance for some features"):
        assert readouts.examine(half, (1, 4, 4)) is None


class Named(nn.Module):
    """A network that gives its read-out the features by name, or by place."""

    def __init__(self, by_name):
        super().__init__()
        self.by_name = by_name
        self.conv, self.readout = nn.Conv2d(1, 4, 3), nn.Linear(4, 1)

    def forward(self, x):
        seen = torch.relu(self.conv(x)).mean((2, 3))
        return self.readout(input=seen) if self.by_name else self.readout(seen)


@pytest.mark.parametrize("response", [nads.Secant(), nads.Gradient(), nads.Mixed()])
def test_a_readout_called_with_a_keyword_is_averaged_over_too(response):
    settings = {"response": response, "networks": 3}
    by_name, by_place = (nads.estimate(lambda b=b: Named(b), (1, 8, 8), **settings) for b in (True, False))
    assert by_name.settings["readout"] == by_place.settings["readout"]
    assert by_name.settings["symmetry"] == by_place.settings["symmetry"]
    assert torch.equal(by_name.eigenvalues, by_place.eigenvalues)
