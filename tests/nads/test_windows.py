"""Images that differ from a background in one window: networks see the same numbers as on whole images."""

import pytest
import torch
from anisotropy.models import architectures
from anisotropy.nads import _windows, readouts, responses
from torch import nn
from torch.nn import functional as F


def compare(network, x, tolerance=1e-4, step=3.0):
    """Secants through windows, through plain images, and by definition; returns how many operations saw windows."""
    network = network.eval()
    seen = []

    class Counting(_windows.Windows):
        @classmethod
        def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
            result = super().__torch_dispatch__(operation, types, args, kwargs)
            first = result[0] if isinstance(result, tuple) else result
            seen.append(isinstance(first, _windows.Windows) and not first.is_whole)
            return result

    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_windows, "Windows", Counting)
        ours = responses.secant_rows(network, x, step=step, chunk=7)
        eye = step * torch.eye(x.numel()).view(-1, *x.shape)
        direct = (network(x + eye) - network(x - eye)).flatten() / (2 * step)
    assert float(direct.abs().max()) > 0
    torch.testing.assert_close(ours[0], direct, rtol=0, atol=tolerance * float(direct.abs().max()))
    return sum(seen)


@pytest.mark.parametrize("name", ["logreg", "lenet", "vgg11", "resnet18", "densenet121"])
@pytest.mark.parametrize("pooling", [True, False])
def test_the_five_networks(name, pooling):
    options = {} if name == "logreg" else {"width": 0.125, "pooling": pooling}
    factory = architectures.factory(name, image_size=32, **options)
    network = responses.prepare(architectures.build(factory, 3))
    pixels = range(0, 1024, 61)  # borders and corners are among them
    x = torch.randn(factory.input_shape, generator=torch.Generator().manual_seed(0))
    with pytest.MonkeyPatch.context() as patch:
        ours = responses.secant_rows(network, x, step=100.0, pixels=pixels)
        patch.setattr(_windows, "impulses", responses._impulses)
        plain = responses.secant_rows(network, x, step=100.0, pixels=pixels)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-5 * float(plain.abs().max()))


class Head(nn.Module):
    """A network's last layers: everything about its map counts, position by position."""

    def __init__(self, body):
        super().__init__()
        self.body = body
        self.readout = nn.LazyLinear(1)

    def forward(self, x):
        return self.readout(torch.sin(self.body(x)).flatten(1))


CONVOLUTIONS = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": 1, "stride": 2},
    {"kernel_size": 5, "padding": 3, "stride": 3},
    {"kernel_size": (1, 4), "stride": (2, 1), "padding": (0, 2)},
    {"kernel_size": 3, "dilation": 2, "padding": 2},
    {"kernel_size": 2, "stride": 3},  # leaves rows out
    {"kernel_size": 3, "padding": "same", "groups": 2},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("shape", [(2, 13, 17), (2, 24, 12)], ids=str)
def test_convolutions_of_every_kind(options, shape):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(2, 4, **options), nn.ReLU(), nn.Conv2d(4, 4, **{**options, "padding": 1}))
    network, x = Head(body), torch.randn(shape)
    network(x[None])  # makes the lazy layer
    assert compare(network, x) > 0


POOLS = [
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, stride=2, padding=1),  # pads with minus infinity
    nn.MaxPool2d(3, stride=1, dilation=2),
    nn.AvgPool2d(2),
    nn.AvgPool2d(3, stride=2, padding=1),
    nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    nn.AvgPool2d(2, divisor_override=3),
]


@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_pools_of_every_kind(pool):
    torch.manual_seed(0)
    network, x = Head(nn.Sequential(nn.Conv2d(1, 3, 3), pool)), -5 - torch.rand(1, 16, 15)
    network(x[None])
    assert compare(network, x) > 0


def test_pools_that_round_up_get_whole_images():
    torch.manual_seed(0)
    network, x = Head(nn.Sequential(nn.MaxPool2d(2, ceil_mode=True))), torch.randn(1, 9, 9)
    network(x[None])
    assert compare(network, x) == 0


class Awkward(nn.Module):
    """What networks do between layers: sums, products, in-place operations, concatenation, views, slices."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 4, 5, padding=2)
        self.scale = nn.Parameter(torch.rand(4, 1, 1))
        self.map = nn.Parameter(torch.rand(16, 16))
        self.readout = nn.Linear(8 * 256, 1)

    def forward(self, x):
        a, b = F.relu(self.one(x), inplace=True), F.silu(self.two(x))
        a = 2 - a * self.scale
        c = a + b
        a += b
        c.mul_(0.5).sub_(a, alpha=0.3)
        c /= 1 + self.map  # depends on the position
        d = torch.cat([c, F.gelu(a - b)], dim=1)
        d[:, 0].add_(1.0)  # a view: d itself must change
        e = d.view(-1, 8 * 256) if d.is_contiguous() else d.reshape(-1, 8 * 256)
        return self.readout(torch.tanh(e))


def test_what_networks_do_between_layers():
    torch.manual_seed(0)
    assert compare(Awkward(), torch.randn(1, 16, 16)) > 5


class Refuses(nn.Module):
    """Leaves torch, which no wrapped tensor can."""

    def __init__(self):
        super().__init__()
        self.readout = nn.Linear(64, 1)

    def forward(self, x):
        return self.readout(torch.from_numpy(x.numpy().copy()).flatten(1))


def test_a_network_that_takes_plain_tensors_only_gets_these():
    torch.manual_seed(0)
    assert compare(Refuses(), torch.randn(1, 8, 8)) == 0

    class Broken(Refuses):
        def forward(self, x):
            raise RuntimeError("broken by itself")

    with pytest.raises(RuntimeError, match="broken by itself"):
        responses.secant_rows(Broken(), torch.randn(1, 8, 8), step=1.0)


def test_a_wrong_window_would_be_noticed(monkeypatch):
    torch.manual_seed(0)
    network, x = Head(nn.Sequential(nn.Conv2d(1, 3, 5), nn.MaxPool2d(2))), torch.randn(1, 16, 16)
    network(x[None])
    right = _windows._neighbourhood

    def narrow(x, function, kernel, *args, **kwargs):  # reaches one pixel less than the kernel does
        return right(x, function, [k - 1 for k in _windows._pair(kernel)], *args, **kwargs)

    monkeypatch.setattr(_windows, "_neighbourhood", narrow)
    with pytest.raises((AssertionError, RuntimeError)):
        compare(network, x)


def test_whole_images_are_what_was_meant():
    x = torch.arange(24.0).view(2, 3, 4)
    made = _windows.impulses(x, torch.tensor([0, 23, 13]), torch.tensor([1.0, -1.0, 5.0]))
    assert made.shape == (3, 2, 3, 4)
    expected = x.repeat(3, 1, 1, 1)
    expected[0, 0, 0, 0] += 1
    expected[1, 1, 2, 3] -= 1
    expected[2, 1, 0, 1] += 5
    assert torch.equal(made.whole(), expected)
    made[1].zero_()
    assert float((made + 0).whole()[1].abs().max()) == 0


def test_read_outs_see_plain_features():
    factory = architectures.factory("lenet", image_size=16)
    network = responses.prepare(architectures.build(factory, 0))
    rows = responses.secant_rows(
        network, torch.zeros(1, 16, 16), step=1.0, readout=readouts.examine(factory, (1, 16, 16)), pixels=range(5)
    )
    assert type(rows) is torch.Tensor
    assert rows.shape == (84, 5)
