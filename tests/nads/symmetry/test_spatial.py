"""Grid symmetries: a group, verified where an architecture has them and refused where it does not."""

import itertools

import pytest
import torch
from anisotropy import nads
from anisotropy.models import architectures
from anisotropy.nads import responses
from anisotropy.nads.symmetry import spatial
from torch import nn


def test_the_eight_symmetries_are_a_group_and_differ():
    image = torch.arange(9.0).view(1, 3, 3)
    pictures = [tuple(spatial.act(image, s).flatten().tolist()) for s in spatial.SQUARE]
    assert len(set(pictures)) == 8
    for first, second in itertools.product(spatial.SQUARE, repeat=2):
        composed = spatial.act(spatial.act(image, first), second)
        assert tuple(composed.flatten().tolist()) in pictures


@pytest.mark.parametrize("group", spatial.SUBGROUPS)
def test_every_subgroup_is_closed(group):
    image = torch.arange(9.0).view(1, 3, 3)
    pictures = [tuple(spatial.act(image, s).flatten().tolist()) for s in group]
    for first, second in itertools.product(group, repeat=2):
        composed = spatial.act(spatial.act(image, first), second)
        assert tuple(composed.flatten().tolist()) in pictures


@pytest.mark.parametrize("group", spatial.SUBGROUPS)
def test_average_is_the_mean_over_all_members(group):
    a = torch.randn(32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moved = [a[p][:, p] for p in (spatial.permutation((2, 4, 4), s) for s in group)]
    averaged = spatial.average(a, (2, 4, 4), group)
    torch.testing.assert_close(averaged, torch.stack(moved).mean(0), rtol=0, atol=1e-14)
    with pytest.raises(ValueError, match="form a group"):
        spatial.average(a, (2, 4, 4), ("", "h", "t"))


def test_average_commutes_with_every_symmetry_and_is_a_projection():
    a = torch.randn(18, 18, dtype=torch.float64)
    covariance = a @ a.T
    once = spatial.average(covariance, (2, 3, 3), spatial.SQUARE)
    for symmetry in spatial.SQUARE:
        p = spatial.permutation((2, 3, 3), symmetry)
        assert torch.allclose(once[p][:, p], once)
        assert not torch.allclose(covariance[p][:, p], covariance) or symmetry == ""
    assert torch.allclose(spatial.average(once, (2, 3, 3), spatial.SQUARE), once)
    assert torch.allclose(once.trace(), covariance.trace())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("logreg", spatial.SQUARE),
        ("lenet", spatial.SQUARE),
        ("vgg11", spatial.SQUARE),
        ("densenet121", spatial.SQUARE),
        ("resnet18", ("", "t")),  # a stride of 2 on an even size starts at the left: flips are broken
    ],
)
def test_symmetries_of_the_paper_s_networks(name, expected):
    factory = architectures.factory(name, width=0.5 if name != "lenet" else 1.0)
    assert spatial.verified(factory, (1, 32, 32)) == expected


def test_a_stride_on_an_odd_size_keeps_the_flips():
    factory = architectures.factory("resnet18", image_size=33, width=0.25)
    assert spatial.verified(factory, (1, 33, 33)) == spatial.SQUARE


def test_oblong_images_have_no_transposition():
    factory = architectures.factory("lenet", image_size=(32, 16))
    assert spatial.verified(factory, (1, 32, 16)) == ("", "h", "v", "hv")


class Leaning(nn.Module):
    """A convolution whose initial weights are larger on the left: the architecture is symmetric, its draws are not."""

    def __init__(self):
        super().__init__()
        self.conv, self.readout = nn.Conv2d(1, 64, 3, padding=1, bias=False), nn.Linear(64, 1)
        with torch.no_grad():
            self.conv.weight[..., 0] *= 3

    def forward(self, x):
        return self.readout(torch.relu(self.conv(x)).mean((2, 3)))


def test_an_initialisation_that_is_not_symmetric_is_found():
    assert spatial.verified(Leaning, (1, 8, 8), draws=32) == ("", "v")


class Placed(nn.Module):
    """Adds a fixed ramp to the image: no symmetry at all."""

    def __init__(self):
        super().__init__()
        self.conv, self.readout = nn.Conv2d(1, 8, 3), nn.Linear(8, 1)
        self.register_buffer("ramp", torch.arange(64.0).view(1, 8, 8).sin())

    def forward(self, x):
        return self.readout(torch.relu(self.conv(x + self.ramp)).mean((2, 3)))


def test_a_network_that_knows_where_it_is_keeps_the_identity_only():
    assert spatial.verified(Placed, (1, 8, 8)) == ("",)


def test_the_verified_symmetry_is_one_of_the_responses():
    """Independent of how it is verified: C and its mirror image agree within noise, for one network and not another."""

    def asymmetry(make, networks):
        halves = [torch.zeros(64, 64), torch.zeros(64, 64)]
        for i in range(networks):
            network = responses.prepare(architectures.build(make, 0, i))
            row = responses.secant_rows(network, torch.zeros(1, 8, 8), step=100.0)
            halves[i % 2] += row.T @ row
        p = spatial.permutation((1, 8, 8), "h")
        first, second = (half - half[p][:, p] for half in halves)
        return float((first * second).sum() / (halves[0] * halves[1]).sum())

    plain = lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 1))  # noqa: E731
    assert abs(asymmetry(plain, 400)) < 0.1

    class Left(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = plain()

        def forward(self, x):
            return self.body(x * torch.linspace(0, 1, 8))

    assert asymmetry(Left, 400) > 0.3


def test_bad_names_are_named():
    with pytest.raises(ValueError, match="expected a symmetry among"):
        spatial.act(torch.zeros(2, 2), "x")
    with pytest.raises(ValueError, match="square images"):
        spatial.act(torch.zeros(2, 3), "t")


class ScaledHalf(nn.Module):
    """A linear layer whose weights are small on the left half of the picture: only top and bottom are alike."""

    def __init__(self):
        super().__init__()
        self.readout = nn.Linear(64, 1)
        with torch.no_grad():
            self.readout.weight.view(8, 8)[:, :4] *= 0.01

    def forward(self, x):
        return self.readout(x.flatten(1))


class Stripes(nn.Module):
    """Kernels that are constant along rows: each position has the same distribution, pairs of them have not."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.randn(8, 1, 3, 1).expand(-1, -1, 3, 3))
        self.readout = nn.Linear(8, 1)

    def forward(self, x):
        return self.readout(torch.relu(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize(("make", "expected"), [(ScaledHalf, ("", "v")), (Stripes, ("", "h", "v", "hv"))])
def test_an_initialisation_that_tells_positions_apart_is_found(make, expected):
    for seed in range(3):
        assert spatial.verified(make, (1, 8, 8), seed=seed) == expected


def test_symmetric_networks_pass_with_every_seed():
    factory = architectures.factory("lenet", image_size=16)
    assert all(spatial.verified(factory, (1, 16, 16), seed=seed) == spatial.SQUARE for seed in range(12))


class Pooled(nn.Module):
    """A convolutional network that has every symmetry of the square."""

    def __init__(self):
        super().__init__()
        self.conv, self.readout = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8 * 16, 1)

    def seen(self, x):
        return torch.relu(self.conv(x))

    def forward(self, x):
        return self.readout(nn.functional.max_pool2d(self.seen(x), 2).flatten(1))


class Mute(Pooled):
    """A read-out of zeros hides no symmetry."""

    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.readout.weight)


class MuteRamp(Mute):
    """Nor does it hide that there is none."""

    def seen(self, x):
        return super().seen(x + torch.linspace(0, 1, 8))


class Glare(Pooled):
    """What is very bright and on the left is cut off: no test image of noise is so bright."""

    def seen(self, x):
        return super().seen(torch.cat([x[..., :4].clamp(-20, 20), x[..., 4:]], -1))


class Sometimes(Pooled):
    """Every other network has a ramp."""

    def __init__(self):
        super().__init__()
        self.ramp = torch.rand(()) < 0.5

    def seen(self, x):
        return super().seen(x + torch.linspace(0, 1, 8) if self.ramp else x)


def folded():
    """Filters of 64 weights, too large to compare all pairs; on the right of each row above they are the same."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 1))
    with torch.no_grad():
        weight = network[1].weight.view(256, 8, 8)
        weight[:, :4, 4:] = weight[:, :4, 3:4]
    return network


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Pooled, spatial.SQUARE),
        (Mute, spatial.SQUARE),
        (MuteRamp, ("", "v")),
        (Glare, ("", "v")),
        (Sometimes, ("", "v")),
    ],
)
def test_what_noise_and_weights_do_not_show_is_found(make, expected):
    assert spatial.verified(make, (1, 8, 8)) == expected


def test_neighbours_that_answer_alike_on_one_side_only_are_found():
    assert spatial.verified(folded, (1, 8, 8)) == ("",)


def test_an_image_keeps_the_symmetries_that_it_has():
    image = torch.zeros(1, 4, 4)
    assert spatial.shared(spatial.SQUARE, image) == spatial.SQUARE
    image[0, :, :2] = 1.0
    assert spatial.shared(spatial.SQUARE, image) == ("", "v")
    image[0, 0, 0] = 2.0
    assert spatial.shared(spatial.SQUARE, image) == ("",)


class Mixer(nn.Module):
    """An MLP-mixer (Tolstikhin et al., NeurIPS 2021) of 16 tokens; `hidden` numbers mix them."""

    def __init__(self, hidden=8, pool=True):
        super().__init__()
        self.patches, self.norm = nn.Conv2d(1, 12, 4, 4), nn.LayerNorm(12)
        self.tokens = nn.Sequential(nn.Linear(16, hidden), nn.GELU(), nn.Linear(hidden, 16))
        self.channels = nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 12))
        self.pool, self.readout = pool, nn.Linear(12 if pool else 192, 1)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(x)
        return self.readout(x.mean(1) if self.pool else x.flatten(1))


class MixerThatKnowsWhereItIs(Mixer):
    """The first tokens are weighted more by its initialisation."""

    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self.tokens[0].weight[:, :8] *= 2


class MixerOfUnlikeBiases(Mixer):
    """Tokens get biases that are larger at the end."""

    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self.tokens[2].bias.copy_(torch.linspace(0, 1, 16))


class MixerWithPositions(Mixer):
    """Its tokens are marked by where they are, which no linear layer shows."""

    def forward(self, x):
        marks = torch.linspace(0, 1, 16)[:, None]
        return self.readout((self.tokens(self.patches(x).flatten(2)).transpose(1, 2) * marks).mean(1))


class ChannelsLast(nn.Module):
    """A block of ConvNeXt (Liu et al., CVPR 2022): between convolutions the channels of a pixel stand together."""

    def __init__(self, flat=False):
        super().__init__()
        self.patches, self.deep = nn.Conv2d(1, 8, 2, 2), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
        self.flat, self.readout = flat, nn.Linear(512 if flat else 8, 1)

    def forward(self, x):
        x = self.patches(x)
        x = self.point(self.deep(x).permute(0, 2, 3, 1)) + x.permute(0, 2, 3, 1)
        return self.readout(x.flatten(1) if self.flat else x.mean((1, 2)))


def perceptron(*hidden):
    """An MLP, whose hidden layers may be as wide as the image has pixels, or as a smaller image."""
    sizes = [256, *hidden]
    layers = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(sizes[-1], 1))


class LeftHanded(nn.Module):
    """An MLP whose initialisation weighs the left half of the image more."""

    def __init__(self):
        super().__init__()
        self.layers = perceptron(64)
        with torch.no_grad():
            self.layers[1].weight.view(64, 16, 16)[..., :8] *= 1.3

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: perceptron(64), spatial.SQUARE),
        (lambda: perceptron(256, 64), spatial.SQUARE),
        (lambda: perceptron(100, 100), spatial.SQUARE),
        (LeftHanded, ("", "v")),
        (Mixer, spatial.SQUARE),
        (lambda: Mixer(hidden=16), spatial.SQUARE),
        (lambda: Mixer(pool=False), spatial.SQUARE),
        (MixerThatKnowsWhereItIs, ("", "h")),
        (MixerOfUnlikeBiases, ("",)),
        (MixerWithPositions, ("",)),
        (ChannelsLast, spatial.SQUARE),
        (lambda: ChannelsLast(flat=True), spatial.SQUARE),
    ],
)
def test_networks_without_or_beside_convolutions_keep_what_they_have(make, expected):
    assert spatial.verified(make, (1, 16, 16)) == expected


def test_what_is_found_in_a_mixer_saves_networks():
    """Averaging over the symmetries is right (the truth has them) and brings few networks closer to it."""
    settings = {"response": nads.Gradient(at="zero")}
    truth = nads.estimate(Mixer, (1, 16, 16), networks=600, seed=9, symmetry="none", **settings).covariance()
    found, plain = (
        nads.estimate(Mixer, (1, 16, 16), networks=16, symmetry=symmetry, **settings) for symmetry in ("auto", "none")
    )
    assert found.settings["symmetry"] == list(spatial.SQUARE)
    apart = [float((n.covariance() - truth).norm() / truth.norm()) for n in (found, plain)]
    assert apart[0] < 0.75 * apart[1]
