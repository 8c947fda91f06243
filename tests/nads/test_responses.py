"""Responses of one network, against closed forms, slow implementations and each other."""

import gc
import math
import weakref

import pytest
import torch
from anisotropy.models import architectures
from anisotropy.nads import readouts, responses
from torch import nn

SHAPE = (1, 16, 16)


@pytest.fixture
def lenet():
    return architectures.factory("lenet", image_size=16, width=0.5)


@pytest.fixture
def x():
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


def slow_secant(network, x, step):
    """Two forward passes per pixel, one at a time."""
    response = torch.zeros(x.numel())
    for i in range(x.numel()):
        e = torch.zeros(x.numel())
        e[i] = step
        e = e.view_as(x)
        response[i] = float((network((x + e)[None]) - network((x - e)[None])).squeeze()) / (2 * step)
    return response


@pytest.mark.parametrize("step", [0.5, 100.0])
@pytest.mark.parametrize("chunk", [7, 256])
def test_secant_equals_two_passes_per_pixel(lenet, x, step, chunk):
    network = architectures.build(lenet, 0)
    with torch.no_grad():
        expected = slow_secant(network, x, step)
    found = responses.secant_rows(responses.prepare(network), x, step=step, chunk=chunk)
    assert found.shape == (1, 256)
    assert torch.allclose(found[0], expected, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("method", ["secant", "gradient"])
def test_features_times_weights_are_the_response_of_the_output(lenet, x, method):
    """f = w^T phi + b: the rows of the features, weighted by this network's own w, are the row of its output."""
    network = architectures.build(lenet, 0)
    readout = readouts.examine(lenet, SHAPE)
    compute = (
        (lambda r: responses.secant_rows(responses.prepare(network), x, step=10.0, readout=r))
        if method == "secant"
        else (lambda r: responses.gradient_rows(responses.prepare(network), x, readout=r))
    )
    features, output = compute(readout), compute(None)
    weighted = network.readout.weight.detach() @ features / math.sqrt(readout.variance)
    assert torch.allclose(weighted, output, atol=1e-6)


def test_gradient_is_the_limit_of_the_secant():
    """On a smooth network the secant's error falls as h^2."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 1)).double()
    x = torch.randn(1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = responses.gradient_rows(network, x).double()
    errors = [float((responses.secant_rows(network, x, step=h).double() - exact).norm()) for h in (0.4, 0.2)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_large_steps_and_gradients_are_different_things(lenet, x):
    """With max-pooling a secant of h = 100 is not close to the gradient: what findings on the paper's code rest on."""
    network = responses.prepare(architectures.build(lenet, 0))
    secant, gradient = responses.secant_rows(network, x, step=100.0)[0], responses.gradient_rows(network, x)[0]
    assert float(torch.nn.functional.cosine_similarity(secant, gradient, dim=0)) < 0.7


def test_random_readouts_have_the_mean_of_all_features(lenet, x):
    readout = readouts.examine(lenet, SHAPE)
    network = responses.prepare(architectures.build(lenet, 0))
    full = responses.gradient_rows(network, x, readout=readout)
    expected = full.T @ full
    generator = torch.Generator().manual_seed(0)
    errors = []
    for repeats in (10, 160):
        total = torch.zeros_like(expected)
        for _ in range(repeats):
            rows = responses.gradient_rows(network, x, readout=readout, draws=4, generator=generator)
            total += rows.T @ rows / repeats
        errors.append(float((total - expected).norm() / expected.norm()))
    assert errors[1] < 0.35
    assert errors[1] < errors[0] / 2  # falls as 1 / sqrt(repeats), by 4 in the mean


class Doubling(torch.autograd.Function):
    """An operation of a reader's own, which torch cannot batch."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, grad):
        return torch.from_numpy(2 * grad.numpy())


class Doubled(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.readout = inner.readout

    def forward(self, x):
        return self.inner(Doubling.apply(x))


@pytest.mark.parametrize("name", ["lenet", "resnet18", "densenet121"])
@pytest.mark.parametrize("chunk", [3, 64])
def test_one_forward_pass_serves_all_readouts(name, chunk, x):
    factory = architectures.factory(name, image_size=16, width=0.125)
    network, readout = architectures.build(factory, 0), readouts.examine(factory, SHAPE)
    options = {"readout": readout, "draws": 8, "chunk": chunk}

    def rows(network):
        return responses.gradient_rows(network, x, generator=torch.Generator().manual_seed(2), **options)

    expected = rows(responses.prepare(network))
    basis, _ = torch.linalg.qr(torch.randn(readout.features, 8, generator=torch.Generator().manual_seed(2)))
    full = responses.gradient_rows(responses.prepare(network), x, readout=readout)
    slow = basis.T @ full * math.sqrt(readout.features / 8) if readout.features > 8 else full
    assert torch.allclose(expected, slow, atol=1e-5 * float(slow.abs().max()))
    prepared = responses.prepare(network)
    alone = torch.cat([single_readout(prepared, x, readout, w) for w in torch.eye(readout.features)[:3]])
    assert torch.allclose(full[:3], alone, atol=1e-5 * float(alone.abs().max()))


def test_what_torch_cannot_batch_takes_copies_of_the_image(lenet, x):
    network = architectures.build(lenet, 0)
    readout = readouts.examine(lenet, SHAPE)
    plain = responses.gradient_rows(responses.prepare(network), x, readout=readout)
    other = responses.prepare(Doubled(network))
    with pytest.raises(RuntimeError):
        responses._from_one_pass(responses.Features(other, readout), x, [torch.eye(readout.features)])
    assert torch.allclose(responses.gradient_rows(other, x / 2, readout=readout), 2 * plain, atol=1e-6)


def single_readout(network, x, readout, weights):
    """Gradient of one feature, by a backward pass of its own."""
    seen = []
    network.readout.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = x[None].clone().requires_grad_()
    network(image)
    return torch.autograd.grad(seen[-1] @ weights, image)[0].flatten(1) * math.sqrt(readout.variance)


def test_a_network_is_changed_only_where_that_was_asked_for(lenet, x):
    network, again = architectures.build(lenet, 0), architectures.build(lenet, 0)
    copied = responses.prepare(network)
    assert copied is not network
    assert all(p.requires_grad for p in network.parameters())
    own = responses.prepare(again, copy=False)
    assert own is again
    rows = [responses.secant_rows(n, x, step=100.0) for n in (copied, own)]
    assert torch.equal(*rows)


def test_a_network_is_freed_when_it_is_done_with(lenet, x):
    """One that waits for the garbage collector stays while hundreds of others are made: gigabytes of a large one."""
    readout = readouts.examine(lenet, SHAPE)
    gc.collect()
    gc.disable()
    try:
        for compute in (responses.gradient_rows, lambda *a, **k: responses.secant_rows(*a, step=1.0, **k)):
            network = responses.prepare(architectures.build(lenet, 0))
            known = weakref.ref(network)
            compute(network, x, readout=readout)
            del network
            assert known() is None
    finally:
        gc.enable()


def test_mixed_rows_are_probes_of_the_mixed_derivative():
    """f = sum_ij b_i a_ij x_j: d2f/da dx and d2f/db dx are known, so E[rows^T rows] is too."""
    torch.manual_seed(0)
    first, second = nn.Linear(9, 4, bias=False), nn.Linear(4, 1, bias=False)
    network = nn.Sequential(nn.Flatten(), first, second)
    a, b = first.weight.detach(), second.weight.detach()[0]
    expected = a.T @ a + (b @ b) * torch.eye(9)
    rows = responses.mixed_rows(network, torch.randn(1, 3, 3), probes=4000, generator=torch.Generator().manual_seed(0))
    assert float((rows.T @ rows - expected).norm() / expected.norm()) < 0.08


def test_mixed_rows_against_finite_differences_of_the_gradient(lenet, x):
    network = architectures.build(architectures.factory("lenet", image_size=16, width=0.5), 3).double()
    x = x.double()
    row = responses.mixed_rows(network, x, generator=torch.Generator().manual_seed(5))[0].double()
    generator = torch.Generator().manual_seed(5)
    directions = [torch.randn(p.shape, generator=generator).double() for p in network.parameters()]
    gradients = []
    for sign in (1, -1):
        moved = architectures.build(lenet, 3).double()
        with torch.no_grad():
            for p, d in zip(moved.parameters(), directions, strict=True):
                p += sign * 1e-6 * d
        image = x[None].clone().requires_grad_()
        gradients.append(torch.autograd.grad(moved(image).sum(), image)[0].flatten())
    expected = (gradients[0] - gradients[1]) / 2e-6
    assert torch.allclose(row, expected, atol=1e-4 * float(expected.abs().max()))


def test_fresh_batch_norm_folds_away_and_a_trained_one_stays(x):
    factory = architectures.factory("resnet18", image_size=16, width=0.125)
    network = architectures.build(factory, 0)
    folded = responses.prepare(network)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in network.modules())  # the original is untouched
    with torch.no_grad():
        assert torch.allclose(folded(x[None]), network(x[None]), rtol=1e-3)
        network.bn1.running_var.fill_(2.0)
        assert torch.allclose(responses.prepare(network)(x[None]), network(x[None]), rtol=1e-3)


def test_bfloat16_is_close_to_float32():
    factory = architectures.factory("resnet18", image_size=16, width=0.25)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    readout = readouts.examine(factory, SHAPE)
    rows = [
        responses.secant_rows(
            responses.prepare(architectures.build(factory, 0), d), x, step=100.0, readout=readout
        ).flatten()
        for d in (torch.float32, torch.bfloat16)
    ]
    assert float(torch.nn.functional.cosine_similarity(*rows, dim=0)) > 0.995


def test_bad_input_is_named(x):
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 2))
    with pytest.raises(ValueError, match=r"one output per image, got output of shape \(\d+, 2\)"):
        responses.secant_rows(network, x, step=1.0)
    with pytest.raises(ValueError, match="must be positive, got 0"):
        responses.secant_rows(network, x, step=0)
    broken = nn.Sequential(nn.Flatten(), nn.Linear(256, 1))
    nn.init.constant_(broken[1].weight, math.nan)
    with pytest.raises(FloatingPointError, match="not finite"):
        responses.gradient_rows(broken, x)


def test_a_batch_norm_that_does_more_is_kept():
    """As timm's, which applies the activation: dropping it would make another network."""

    class NormAct(nn.BatchNorm2d):
        def forward(self, x):
            return torch.relu(super().forward(x))

    network = nn.Sequential(nn.Conv2d(1, 4, 3), NormAct(4), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2)).eval()
    ready = responses.prepare(network)
    assert isinstance(ready[1], NormAct)
    assert isinstance(ready[3], nn.Identity)
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(ready(x), network(x), rtol=1e-4, atol=1e-5)
    network[3].register_forward_hook(lambda *_: None)
    assert isinstance(responses.prepare(network)[3], nn.BatchNorm2d)


class Particular(nn.Module):
    """A network that takes plain tensors only, and has an operation that torch cannot batch."""

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, gradient):
            return 2 * gradient if gradient.sum().item() < 1e9 else gradient

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(64, 1)

    def forward(self, x):
        if type(x) is not torch.Tensor:
            raise TypeError("plain tensors only")
        return self.last(self.Twice.apply(x).flatten(1))


def test_slower_ways_are_logged_once(caplog):
    caplog.set_level("INFO", "anisotropy")
    responses._log_once.cache_clear()
    network, x = responses.prepare(Particular()), torch.zeros(1, 8, 8)
    readout = readouts.Readout("last", 64, 1.0)
    for _ in range(3):
        responses.secant_rows(network, x, step=1.0)
        responses.gradient_rows(network, x, readout=readout)
    said = [record.message for record in caplog.records if record.name.startswith("anisotropy")]
    assert len(said) == 2
    assert "TypeError: plain tensors only" in said[0]
    assert "not taken from one pass" in said[1]
    assert "in backward: return 2 * gradient if" in said[1]
