"""The GPU's ways through the code, tried without one: see `pretended` for what that can show and what it cannot."""

import pretended
import pytest
import torch
from anisotropy import directions, nads
from anisotropy.experiments import image_sweeps, sweeps
from anisotropy.images import arms, cifar
from anisotropy.models import architectures
from anisotropy.training import Recipe, stacked

GPU = pretended.NAME


def test_it_refuses_what_a_gpu_refuses():
    ours = torch.ones(3)
    with pretended.GPU(memory=1000) as gpu:
        there = ours.to(GPU)
        assert there.device == torch.device(GPU)
        assert there.is_cuda
        assert gpu.held == 12
        twice = (there + there).cpu()
        assert torch.equal(twice, ours + ours)
        assert gpu.held == 12
        with pytest.raises(RuntimeError, match="same device"):
            there + ours
        with pytest.raises(torch.OutOfMemoryError):
            torch.zeros(300, device=GPU)
        view = there[1:]
        del there
        assert gpu.held == 12  # a view holds what it is a view of
        del view
        assert gpu.held == 0
    assert gpu.peak > 1000
    assert not torch.cuda.is_available()


@pytest.mark.parametrize("response", [nads.Secant(chunk=64), nads.Gradient(chunk=64), nads.Mixed()])
@pytest.mark.parametrize("name", ["lenet", "resnet18"])
def test_nads(name, response):
    factory = architectures.factory(name, **({"width": 1 / 16, "image_size": 16} if name == "resnet18" else {}))
    arguments = {"response": response, "networks": 2}
    here = nads.estimate(factory, **arguments)
    with pretended.GPU() as gpu:
        there = nads.estimate(factory, device=GPU, **arguments)
    assert gpu.operations["convolution"] > 0
    assert (gpu.operations["index_select"] > 0) == isinstance(
        response, nads.Secant
    )  # windows are cut out there, not given up
    torch.testing.assert_close(there.eigenvalues, here.eigenvalues)
    assert there.overlap(here, 5) > 0.999


class Sweep:
    """A small sweep over D(v) on the CPU or on a pretended GPU, with the number of networks of each stack."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.stacks = folder, []
        train = stacked.train_many

        def noted(networks, *arguments, **options):
            self.stacks.append(len(networks))
            return train(networks, *arguments, **options)

        monkeypatch.setattr(stacked, "train_many", noted)

    def __call__(self, name, place, device="cpu", count=2, samples=300, epochs=2):
        self.stacks.clear()
        factory = architectures.factory(name, num_outputs=2, **({"width": 1 / 16} if name == "resnet18" else {}))
        rows = directions.fourier(32, 32).vectors[[1, 40, 400, 5, 17, 300, 800, 1023][:count]][:, None]
        return sweeps.run(
            factory, rows, sigma=1.0, recipe=Recipe(epochs=epochs), train_samples=samples, test_samples=200,
            store=self.folder / place, device=device, progress=False,
        )  # fmt: skip


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    return Sweep(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", ["logreg", "lenet", "resnet18"])
def test_sweeps(name, sweep):
    here = sweep(name, "here")
    with pretended.GPU() as gpu:
        there = sweep(name, "there", GPU)
    # Stacked where that is possible: batch norm is not.
    assert sweep.stacks == ([1, 1] if name == "resnet18" else [2])
    assert sum(gpu.operations.values()) > 100
    assert gpu.held == 0
    for result in ("test_accuracy", "train_loss", "test_loss"):
        assert there[result].values == pytest.approx(here[result].values, rel=1e-3, abs=1e-5)


def test_a_stack_sends_no_more_operations_than_one_network():
    """What keeps a GPU busy with small networks: a step of eight takes the launches of one, and never waits."""
    recipe, factory = Recipe(epochs=2, batch_size=100), architectures.factory("lenet", num_outputs=2)

    def sent(count, method, samples):
        networks = [architectures.build(factory, i) for i in range(count)]
        order = [torch.Generator().manual_seed(i) for i in range(count)]
        x, y = torch.zeros(count, samples, 1, 32, 32), torch.arange(samples).remainder(2).expand(count, -1)
        with pretended.GPU() as gpu:
            stacked.train_many(networks, x.to(GPU), y.to(GPU), recipe, generators=order, method=method)
        return gpu.operations

    def of_a_step(count, method):  # what 8 steps take more than 4, both measured in one pass
        return sent(count, method, 400) - sent(count, method, 200)

    alone, together = of_a_step(1, "single"), of_a_step(8, "stacked")
    assert together.total() < 0.9 * alone.total()
    assert not alone["_local_scalar_dense"] + together["_local_scalar_dense"]  # number by number to the CPU


def test_a_gpu_that_does_not_hold_a_stack_computes_in_halves(sweep):
    here = sweep("lenet", "here", count=4)
    with pretended.GPU(memory=50 * 2**20) as gpu:
        there = sweep("lenet", "there", GPU, count=4)
    assert sweep.stacks[0] == 4
    assert sorted(sweep.stacks)[0] < 4
    assert gpu.peak > gpu.memory
    assert (there.test_accuracy.values == here.test_accuracy.values).all()


@pytest.mark.parametrize(("response", "memory"), [(nads.Secant(), 2**24), (nads.Gradient(), 2**23)])
def test_images_that_do_not_fit_go_in_halves(response, memory):
    factory = architectures.factory("resnet18", image_size=16, width=1 / 4)
    found, passes = [], []
    for size in (2**40, memory):
        with pretended.GPU(memory=size) as gpu:
            arguments = {"response": response, "networks": 1, "symmetry": "none"}
            found.append(nads.estimate(factory, device=GPU, **arguments))
        passes.append(gpu.operations["convolution"] + gpu.operations["convolution_backward"])
    assert passes[1] > passes[0]
    torch.testing.assert_close(found[0].eigenvalues, found[1].eigenvalues)


def test_images(tmp_path):
    factory = architectures.factory("lenet", in_channels=3, num_outputs=10)
    basis = nads.load("lenet").directions
    arguments = {"recipe": Recipe.cifar(epochs=2, learning_rate=0.05), "progress": False}
    source, some = (
        cifar.Source("digits", train=200, test=100),
        [arms.poisoned(basis, 0, 0.05, label="x"), arms.flipped(basis)],
    )
    here = image_sweeps.run(factory, source, some, store=tmp_path / "here", **arguments)
    with pretended.GPU() as gpu:
        there = image_sweeps.run(factory, source, some, store=tmp_path / "there", device=GPU, **arguments)
    assert gpu.operations["convolution"] > 0
    assert gpu.held == 0
    torch.testing.assert_close(
        torch.tensor(there.test_loss.values), torch.tensor(here.test_loss.values), rtol=1e-3, atol=0
    )
