"""The same seeds give the same science on CPU and GPU. Skipped where there is no GPU.

Networks, data and order of samples are drawn on the CPU from the seed and moved, so nothing but rounding differs: of
TF32 convolutions (11 bits) in responses, and of every step in a training, where it grows. The tolerances below are
those; they are far below what another seed changes.
"""

import pytest
import torch
from anisotropy import directions, nads
from anisotropy.experiments import sweeps
from anisotropy.models import architectures, memory
from anisotropy.nads import _windows, compare
from anisotropy.training import Recipe

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.mark.parametrize("response", [nads.Secant(), nads.Gradient(), nads.Mixed()])
@pytest.mark.parametrize("name", ["lenet", "resnet18"])
def test_nads(name, response):
    factory = architectures.factory(name, **({"width": 0.25} if name == "resnet18" else {}))
    arguments = {"response": response, "networks": 6, "symmetry": "none"}
    cpu, gpu, other = (
        nads.estimate(factory, device=device, seed=seed, **arguments)
        for device, seed in (("cpu", 0), ("cuda", 0), ("cpu", 1))
    )
    first, second = (n.rows.T.double() @ (n.eigenvalues[:, None] * n.rows.double()) for n in (cpu, gpu))
    assert float((first - second).norm() / first.norm()) < 0.01
    assert compare.overlap(cpu.directions, gpu.directions, 5) > 0.99
    assert compare.overlap(cpu.directions, other.directions, 5) < 0.98  # what a seed changes


def test_several_processes_share_the_gpu():
    factory = architectures.factory("lenet")
    one, two = (nads.estimate(factory, networks=4, device="cuda", workers=w) for w in (1, 2))
    assert compare.overlap(one.directions, two.directions, 5) > 0.999


def test_what_the_gpu_does_not_hold_is_computed_in_halves():
    whole = torch.cuda.get_device_properties(0).total_memory

    def half_of_it_at_once(items):
        torch.empty(whole // 8 * len(items), dtype=torch.uint8, device="cuda")  # 4 of 16 fit, at the most 7
        return list(items)

    assert memory.in_halves(half_of_it_at_once, range(16)) == list(range(16))


def test_windows_on_the_gpu_are_whole_images():
    network = architectures.build(architectures.factory("lenet"), 0).cuda()
    x = torch.randn(1, 32, 32, device="cuda")
    pixels, values = torch.tensor([0, 31, 500, 1023], device="cuda"), torch.full((4,), 3.0, device="cuda")
    with torch.no_grad():
        made = _windows.impulses(x, pixels, values)
        torch.testing.assert_close(network(made), network(made.whole()), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["logreg", "lenet"])
def test_sweeps(name, tmp_path):
    """Stacked on the GPU, one by one on the CPU: accuracies per direction within a few points, means within one."""
    factory = architectures.factory(name, num_outputs=2)
    rows = directions.fourier(32, 32).vectors[[1, 5, 40, 400]][:, None]
    recipe = Recipe(epochs=5)
    tables = {
        device: sweeps.run(
            factory, rows, recipe=recipe, sigma=1.0, train_samples=4000, test_samples=4000, seeds=(0, 1), device=device,
            store=tmp_path / device, progress=False,
        )
        for device in ("cpu", "cuda")
    }  # fmt: skip
    difference = abs(tables["cpu"].test_accuracy - tables["cuda"].test_accuracy)
    # A test accuracy from 4,000 samples has a standard error of up to 0.8 points, and the test samples are the same.
    assert float(difference.max()) < (0.01 if name == "logreg" else 0.08)
    assert float(difference.mean()) < (0.005 if name == "logreg" else 0.02)
