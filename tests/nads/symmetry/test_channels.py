"""Channels alike: C = I (x) B where, and only where, the architecture's initialisation does not tell them apart."""

import math

import pytest
import torch
from anisotropy import nads
from anisotropy.models import architectures
from anisotropy.nads import compare
from anisotropy.nads.covariances import DenseCovariance, LowRankCovariance
from anisotropy.nads.symmetry import channels
from anisotropy.nads.symmetry.spatial import SQUARE
from torch import nn

SHAPE = (3, 8, 8)


class Small(nn.Module):
    """A convolutional network; `change` does something to its first layer's weights."""

    def __init__(self, change=None, **kwargs):
        super().__init__()
        self.conv, self.readout = nn.Conv2d(3, 12, 3, padding=1, **kwargs), nn.Linear(12 * 16, 1)
        if change:
            with torch.no_grad():
                change(self.conv.weight)

    def forward(self, x):
        return self.readout(nn.functional.max_pool2d(torch.relu(self.conv(x)), 2).flatten(1))


def louder(weight):
    weight[:, 0] *= 2


class Normalising(Small):
    def forward(self, x):
        return super().forward(x - x.mean((1, 2, 3), keepdim=True))


class Skipping(Small):
    def forward(self, x):
        return super().forward(x) + x[:, 0].mean((1, 2))[:, None]


class Mute(Small):
    """The read-out of a network that begins at zero, as torchvision's transformers do."""

    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.readout.weight)


class MuteNormalising(Normalising):
    """A read-out of zeros must not hide what lies before it."""

    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.readout.weight)


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 40), nn.ReLU(), nn.Linear(40, 1))


@pytest.mark.parametrize("make", [Small, Mute, perceptron], ids=["convolution", "read-out of zeros", "perceptron"])
def test_channels_are_alike(make):
    assert channels.verified(make, SHAPE)


@pytest.mark.parametrize("name", ["logreg", "lenet", "vgg11", "resnet18", "densenet121"])
def test_the_papers_networks_have_no_preferred_colour(name):
    assert channels.verified(architectures.factory(name, in_channels=3, num_outputs=1, image_size=32), (3, 32, 32))


class MuteSkip(Small):
    """What a read-out of zeros gets must agree as well, where no layer makes it."""

    def __init__(self):
        super().__init__()
        self.readout = nn.Linear(12 * 16 + 12, 1)
        nn.init.zeros_(self.readout.weight)

    def forward(self, x):
        seen = nn.functional.max_pool2d(torch.relu(self.conv(x)), 2).flatten(1)
        beside = nn.functional.adaptive_avg_pool2d(x[:, :1], (3, 4)).flatten(1)
        return self.readout(torch.cat([seen, 3 * beside], 1))


class Glare(Small):
    """Sees nothing near bright red, and no image that is drawn from N(0, I) is so bright."""

    def forward(self, x):
        bright = nn.functional.max_pool2d((x[:, :1].abs() > 10).float(), 5, 1, 2)
        seen = torch.relu(self.conv(x)) * (1 - bright)
        return self.readout(nn.functional.max_pool2d(seen, 2).flatten(1))


class Roles(Small):
    """Each filter sees one channel, and those of red are pooled in another way."""

    def __init__(self):
        super().__init__(lambda w: w.mul_(torch.eye(3).repeat_interleave(4, 0)[:, :, None, None]))

    def forward(self, x):
        red, others = torch.relu(self.conv(x)).split([4, 8], 1)
        pooled = [nn.functional.max_pool2d(red, 2), nn.functional.avg_pool2d(others, 2)]
        return self.readout(torch.cat(pooled, 1).flatten(1))


class Maxout(Small):
    """Pairs of filters that differ in the sign of red: red can hardly matter."""

    def __init__(self):
        super().__init__()
        self.twin = nn.Conv2d(3, 12, 3, padding=1)
        with torch.no_grad():
            self.twin.weight.copy_(self.conv.weight * torch.tensor([-1.0, 1, 1])[:, None, None])
            self.twin.bias.copy_(self.conv.bias)

    def forward(self, x):
        return self.readout(nn.functional.max_pool2d(torch.maximum(self.conv(x), self.twin(x)), 2).flatten(1))


class Sometimes(Small):
    """Half of the networks have a skip of red."""

    def __init__(self):
        super().__init__()
        self.skip = bool(torch.rand(()) < 0.5)

    def forward(self, x):
        return super().forward(x) + (x[:, 0].mean((1, 2))[:, None] if self.skip else 0)


def flat_red(weight):
    weight[:, 0] = weight[:, 0, 1:2, 1:2]


def sparse_red(weight):
    weight[:, 0] *= (torch.rand_like(weight[:, 0]) < 0.1) * 10**0.5


def large(change):
    network = Small()
    network.conv = nn.Conv2d(3, 12, 9, padding=4)
    with torch.no_grad():
        change(network.conv.weight)
    return network


def tail():
    network = perceptron()
    network[1], network[3] = nn.Linear(192, 1024), nn.Linear(1024, 1)
    with torch.no_grad():
        network[1].weight[512:, 64:] = 0
    return network


NOT_ALIKE = {
    "one of larger weights": lambda: Small(louder),
    "correlated": lambda: Small(lambda weight: weight[:, 1].add_(0.3 * weight[:, 0])),
    "one filter for all": lambda: Small(lambda weight: weight.copy_(weight.mean(1, keepdim=True).expand_as(weight))),
    "weights of one sign": lambda: Small(lambda weight: weight.abs_()),
    "skewed": lambda: Small(lambda weight: weight.exponential_().sub_(1)),
    "flat red filters": lambda: Small(flat_red),
    "red weights of long tails": lambda: Small(sparse_red),
    "a large filter moved": lambda: large(lambda weight: weight[:, 1].copy_(weight[:, 0].roll(1, -1))),
    "grouped": lambda: Small(groups=3),
    "a mean that is taken away": Normalising,
    "a mean that is taken away, read-out of zeros": MuteNormalising,
    "a skip of one channel": Skipping,
    "a skip of one channel, read-out of zeros": MuteSkip,
    "a skip in half of the networks": Sometimes,
    "glare of red": Glare,
    "filters with roles": Roles,
    "pairs of filters": Maxout,
    "hidden units behind the first 512": tail,
}
"""Networks whose channels are not alike; most were made to deceive the test."""


@pytest.mark.parametrize("which", NOT_ALIKE)
def test_channels_are_not_alike(which):
    assert not channels.verified(NOT_ALIKE[which], SHAPE)


class Bright(nn.Module):
    """A layer that answers yes or no."""

    def forward(self, x):
        return x > 0.5


class Masked(Small):
    def __init__(self):
        super().__init__()
        self.bright = Bright()

    def forward(self, x):
        seen = torch.relu(self.conv(x))
        return self.readout(nn.functional.max_pool2d(seen * self.bright(seen), 2).flatten(1))


def changing():
    """Now and then a stem of two layers."""
    stem = nn.Conv2d(3, 12, 3, padding=1)
    stem = nn.Sequential(stem, nn.ReLU()) if torch.rand(()) < 0.5 else stem
    return nn.Sequential(stem, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(192, 1))


@pytest.mark.parametrize(("make", "alike"), [(Masked, True), (changing, False)])
def test_unusual_layers_stop_no_estimate(make, alike):
    assert channels.verified(make, SHAPE) == alike
    assert nads.estimate(make, SHAPE, networks=3).networks == 3


def test_many_channels_take_little_memory():
    """Products of all pairs of channels at once would take gigabytes."""
    assert channels.verified(lambda: nn.Sequential(nn.Conv2d(40, 64, 7), nn.Flatten(), nn.Linear(256, 1)), (40, 8, 8))


def test_one_channel_has_no_colours():
    assert not channels.verified(architectures.factory("lenet", image_size=16), (1, 16, 16))


SECANT = nads.Secant(1.0, "zero")


def whole(networks, response, seed=0):
    """Measured as a whole, where only the grid's symmetries are assumed."""
    return nads.estimate(Small, SHAPE, response, networks=networks, seed=seed, symmetry=SQUARE).covariance()


@pytest.mark.parametrize(
    ("response", "networks"), [(nads.Gradient(at="zero"), 800), (SECANT, 400), (nads.Mixed(at="zero"), 400)]
)
def test_the_whole_covariance_tends_to_the_blocks(response, networks):
    """What is not in the blocks is noise: it falls as the root of the number of networks."""
    rest = []
    for count in (networks // 16, networks):
        c = whole(count, response)
        mean = c.view(3, 64, 3, 64).diagonal(dim1=0, dim2=2).mean(2)
        rest.append(float((c - torch.kron(torch.eye(3), mean)).norm() / c.norm()))
    assert rest[1] < rest[0] / 2  # a quarter is expected; what is not noise would stay
    alike = nads.estimate(Small, SHAPE, response, networks=networks, symmetry=(*SQUARE, "c"))
    assert torch.allclose(alike.covariance(), torch.kron(torch.eye(3), mean), atol=1e-5 * float(mean.abs().max()))


def test_fewer_networks_know_as_much():
    """Without the noise between channels, and with that in them averaged, a quarter of the networks is enough."""
    truth = nads.estimate(Small, SHAPE, SECANT, networks=400, seed=9, symmetry=(*SQUARE, "c")).covariance()
    few = nads.estimate(Small, SHAPE, SECANT, networks=24, symmetry=(*SQUARE, "c")).covariance()
    assert float((few - truth).norm()) < float((whole(96, SECANT) - truth).norm())


def test_a_preferred_colour_stays():
    loud = lambda: Small(louder)  # noqa: E731
    found = nads.estimate(loud, SHAPE, nads.Gradient(), networks=100)
    assert "c" not in found.settings["symmetry"]
    by_channel = found.directions[0].square().sum((1, 2))
    assert float(by_channel[0]) > 0.8
    truth = nads.estimate(loud, SHAPE, nads.Gradient(), networks=400, symmetry="none", seed=1).covariance()
    wrong = nads.estimate(loud, SHAPE, nads.Gradient(), networks=100, symmetry=("c",)).covariance()
    assert float((found.covariance() - truth).norm()) < 0.7 * float((wrong - truth).norm())


def test_auto_looks_at_whole_triplets():
    with pytest.warns(UserWarning, match="top-6 overlap"):
        found = nads.estimate(Small, SHAPE, networks=nads.Until(4, 1.0, most=6))
    assert found.curve[-1][2] == found.split_half[6]


def test_directions_come_in_each_colour_grey_first():
    found = nads.estimate(Small, SHAPE, networks=20)
    assert found.settings["symmetry"][-1] == "c"
    gram = found.rows.double() @ found.rows.double().T
    assert torch.allclose(gram, torch.eye(192, dtype=torch.float64), atol=1e-5)
    values = found.eigenvalues.view(64, 3)
    assert torch.equal(values, values[:, :1].expand(64, 3))
    assert bool((found.eigenvalues.diff() <= 0).all())
    assert sorted(found.plain_networks) == sorted(found.split_half) == [3, 6, 15, 30, 60, 150]  # whole triplets
    first = found.directions[:3]
    assert torch.allclose(first[0, 0], first[0, 2], atol=1e-6)  # grey
    assert float(first[1:].sum(1).abs().max()) < 1e-6  # no brightness in the others
    assert not first[1, 2].any()  # red against green
    assert torch.allclose(found.energy(found.directions), found.eigenvalues, rtol=1e-4)


def test_spread_is_that_of_the_whole_covariance():
    generator = torch.Generator().manual_seed(0)
    whole, alike = DenseCovariance((2, 4, 4)), DenseCovariance((2, 4, 4), ("", "c"))
    for _ in range(20):
        rows = torch.randn(5, 32, generator=generator, dtype=torch.float64)
        alike.add(rows)
        for moved in (rows, rows[:, torch.arange(32).roll(16)]):  # both channels exchanged, and one changed in sign
            for sign in (1.0, -1.0):
                signs = torch.tensor([1.0] * 16 + [sign] * 16)
                whole.sums[(sum(alike.counts) - 1) % 8] += (moved * signs).T @ (moved * signs) / 4
    whole.counts = list(alike.counts)
    assert torch.allclose(whole.covariance(), alike.covariance(), atol=1e-10)
    directions = alike.eigen().directions
    assert torch.allclose(alike.spread(directions), whole.spread(directions), atol=1e-10)


def test_the_sketch_agrees_where_the_rows_span_little():
    generator = torch.Generator().manual_seed(0)
    dense, sketch = DenseCovariance((3, 6, 6), ("", "c")), LowRankCovariance((3, 6, 6), ("", "c"), rank=10)
    for _ in range(12):
        rows = torch.randn(4, 3, 36, generator=generator) * torch.tensor([4.0] * 6 + [0.0] * 30)
        dense.add(rows.flatten(1))
        sketch.add(rows.flatten(1))
    assert sketch.omega.shape == (36, 36)  # of the block
    a, b = dense.eigen(), sketch.eigen()
    assert b.directions.shape == (10, 108)
    assert torch.allclose(a.eigenvalues[:10], b.eigenvalues, rtol=1e-4)
    assert compare.overlap(a.directions, b.directions, 9) == pytest.approx(1, abs=1e-5)
    assert torch.allclose(b.directions @ b.directions.T, torch.eye(10, dtype=torch.float64), atol=1e-9)
    halves = [
        torch.einsum("kd,de,ke->k", b.directions, dense.covariance(slice(h, None, 2)), b.directions) for h in (0, 1)
    ]
    assert torch.allclose(sketch.spread(b.directions), (halves[0] - halves[1]).square() / 4, rtol=1e-2)


def test_a_run_that_is_cut_off_goes_on_with_the_same_result(tmp_path):
    state = tmp_path / "run.safetensors"
    for rank in (None, 6):
        whole = nads.estimate(Small, SHAPE, networks=12, rank=rank)
        nads.estimate(Small, SHAPE, networks=5, rank=rank, state=state)
        again = nads.estimate(Small, SHAPE, networks=12, rank=rank, state=state)
        assert torch.equal(again.directions, whole.directions)
        state.unlink()


def test_an_image_has_no_symmetry_of_colours_unless_it_is_black():
    image = torch.zeros(SHAPE)
    black = nads.estimate(Small, SHAPE, nads.Secant(at=image), networks=2)
    image[0] = 1.0
    red = nads.estimate(Small, SHAPE, nads.Secant(at=image), networks=2)
    assert "c" in black.settings["symmetry"]
    assert "c" not in red.settings["symmetry"]


def test_colours_are_orthonormal():
    for count in (2, 3, 5):
        made = channels.colours(count)
        assert torch.allclose(made @ made.T, torch.eye(count, dtype=torch.float64), atol=1e-12)
        assert torch.allclose(made[0], torch.full((count,), 1 / math.sqrt(count), dtype=torch.float64))
