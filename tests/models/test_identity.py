"""A result may be reused only where everything that changes its number is the same, and then it must be."""

import sys
import types

import pytest
import torch
from anisotropy.directions import bases
from anisotropy.experiments import sweeps, units
from anisotropy.models import architectures, identity, networks
from anisotropy.nads import naming
from anisotropy.results import stores
from anisotropy.training import Recipe
from torch import nn

SHAPE = (1, 8, 8)


class Net(nn.Module):
    """A small network with everything that a user may change without changing its name."""

    def __init__(self, std=0.1, dropout=0.5, momentum=0.1, slope=0.5, activation=torch.relu):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, momentum=momentum)
        self.drop, self.readout = nn.Dropout(dropout), nn.Linear(4 * 36, 2)
        self.slope, self.activation = slope, activation
        nn.init.normal_(self.conv.weight, std=std)

    def forward(self, x):
        x = self.activation(self.norm(self.conv(x))) + self.slope * torch.tanh(self.conv(x))
        return self.readout(self.drop(x).flatten(1))


CHANGES = {
    "initialisation": {"std": 10.0},
    "dropout": {"dropout": 0.4},
    "momentum of batch norm": {"momentum": 0.2},
    "attribute read in forward": {"slope": 0.51},
    "activation": {"activation": torch.nn.functional.gelu},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_network_is_another_and_the_same_one_is_the_same(change):
    plain = identity.fingerprint(lambda: Net(), SHAPE)
    assert plain == identity.fingerprint(Net, SHAPE)
    assert identity.fingerprint(lambda: Net(**change), SHAPE) != plain


def test_closures_and_functions_that_forward_calls_are_seen():
    def make(slope):
        return lambda: Net(slope=slope)

    assert identity.fingerprint(make(0.5), SHAPE) != identity.fingerprint(make(0.6), SHAPE)


def test_the_last_digits_do_not_count():
    def nudged():
        network = Net()
        with torch.no_grad():
            network.conv.weight.mul_(1 + 1e-7)
        return network

    assert identity.fingerprint(nudged, SHAPE) == identity.fingerprint(Net, SHAPE)


def test_a_sweep_computes_again_what_the_user_has_changed(tmp_path):
    rows = bases.fourier(8, 8).pictures()[3:4]
    options = {"recipe": Recipe(epochs=1), "train_samples": 64, "test_samples": 64, "store": tmp_path, "name": "mine"}
    first, second = (
        sweeps.run(lambda std=std: Net(std=std), rows, progress=False, **options).train_loss.item()
        for std in (0.01, 10.0)
    )
    assert first != second
    assert sweeps.run(lambda: Net(std=0.01), rows, progress=False, **options).train_loss.item() == first
    assert len(list(tmp_path.glob("??/*.json"))) == 2


def test_an_edited_module_of_the_users_own_is_another_architecture(monkeypatch):
    module = types.ModuleType("mine_for_a_test")
    monkeypatch.setitem(sys.modules, "mine_for_a_test", module)
    known = []
    for std in (0.1, 0.2):
        module.net = lambda num_outputs=2, std=std: Net(std=std)
        factory = architectures.factory("mine_for_a_test:net", image_size=8, num_outputs=2)
        known.append(identity.architecture(factory, None, SHAPE))
    assert known[0]["network"] != known[1]["network"]


def test_the_papers_networks_are_known_by_name_and_version_and_not_by_the_place_of_their_code(monkeypatch):
    factory = architectures.factory("lenet", num_outputs=2)
    before = identity.architecture(factory, None, (1, 32, 32))
    monkeypatch.setattr(networks.LeNet, "__module__", "elsewhere")
    monkeypatch.setattr(networks.LeNet.forward, "__module__", "elsewhere", raising=False)
    assert identity.architecture(factory, None, (1, 32, 32)) == before == factory.spec


def test_directions_are_named_by_what_they_are():
    basis = bases.fourier(8, 6)
    for k, vector in enumerate(units.rounded(basis.pictures())):
        name = naming.identity(vector)
        assert (name["ky"], name["kx"], name["phase"]) == (*basis.frequencies[k].tolist(), basis.phases[k])
        assert torch.equal(units.rounded(naming.made_from(name, (1, 8, 6))[None])[0], vector)
    other = units.rounded(bases.random(1, (1, 8, 6), generator=torch.Generator().manual_seed(0)))[0]
    assert naming.identity(other)["kind"] == "given"
    with pytest.raises(ValueError, match="name of a Fourier vector"):
        naming.made_from(naming.identity(other), (1, 8, 6))


def test_shipped_nads_are_named_by_how_they_were_measured():
    found = naming.loading.load("lenet")
    name = naming.identity(units.rounded(found.directions[7:8])[0])
    assert (name["kind"], name["network"], name["index"]) == ("nads", "lenet", 7)
    assert torch.equal(naming.made_from(name, (1, 32, 32)), found.directions[7])
    found.settings["seconds"] = 1.0  # made on another day: the same NADs
    assert naming.made(found) == name["made"]
    found.settings["step"] = 1.0
    assert naming.made(found) != name["made"]
    with pytest.raises(ValueError, match="that this package carries"):
        naming.made_from(name | {"made": "0"}, (1, 32, 32))


GOLDEN = {
    ("logreg", "float32"): ("41445b64ff16d7664682f270c5057ba8", 1.0822724, 1.1327267, 0.3372776),
    ("lenet", "float32"): ("ed421b967b3c780c3d69b1db2b7fc78a", 0.6990229, 0.7033983, 0.6955927),
    ("lenet", "bfloat16"): ("0e83dfe534c60b3efd4e00ad95fa5fac", 0.6990469, 0.7031409, 0.6958413),
}
"""Key of small units, and their loss at the first step and in two epochs. Where losses change, numbers have changed:
raise the NUMERICS of what changed them, so that no sweep reuses results of the old code, and put the new ones here. The
key alone must not change when code moves."""


@pytest.mark.parametrize(("network", "dtype"), GOLDEN)
def test_numbers_have_not_changed_under_an_unchanged_version(network, dtype, tmp_path):
    make = architectures.factory(network, num_outputs=2)
    job = units.Job(make, make.spec, Recipe(epochs=2, dtype=dtype), 1.0, 3.0, "text", 256, 64, str(tmp_path), "cpu")
    unit = (0, units.rounded(bases.wave(32, 32, 0, 1, "sin")[None, None])[0], 0)
    key, *losses = GOLDEN[network, dtype]
    assert stores.digest(job.fields(unit)) == key
    (result,) = job.compute([unit])
    tolerance = 1e-4 if dtype == "float32" else 2e-3  # processors round otherwise
    assert (result["early"][0], *result["history"]) == pytest.approx(losses, rel=tolerance)


def test_a_large_layer_is_projected_in_pieces_to_the_same_numbers(monkeypatch):
    """As signs (6, n) drawn at once give them, whatever the size of a piece."""
    values = torch.randn(1003, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    signs = 1 - 2 * torch.randint(2, (6, 1003), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = [f"{float(share):.4f}" for share in signs @ values / values.norm()]
    for piece in (1003, 100, 7):
        monkeypatch.setattr(identity, "PIECE", piece)
        assert identity._numbers([values])[1:] == expected
