"""What is planned for the memory of a GPU, tried without one: sizes are counted, and what is free is made up."""

import pytest
import torch
from anisotropy import architectures, directions, memory, stacked, units
from anisotropy.training import Recipe
from torch import nn


def test_what_fits_is_bounded_by_what_is_free_and_by_what_pays():
    assert memory.fitting(None, 10, 64) == 64  # a CPU
    assert memory.fitting(1000, 10, 64) == int(memory.SHARE * 100)
    assert memory.fitting(10**9, 10, 64) == 64
    assert memory.fitting(5, 10, 64) == 1  # it may still go well; if not, torch says what is missing
    assert memory.free("cpu") is None


def test_activations_are_counted_as_by_hand():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    convolved, pooled = 4 * 6 * 6, 4 * 3 * 3
    by_hand = 4 * (convolved + convolved + pooled + 5) + 8 * pooled  # bytes; the indices of pooling are int64
    assert memory.made_by(network, torch.zeros(1, 1, 8, 8)) == by_hand
    before = torch.get_rng_state()
    assert memory.activations(lambda: nn.Sequential(network), (1, 8, 8)) == by_hand  # made before: not on meta
    assert memory.activations(architectures.factory("logreg"), (1, 32, 32)) == 4
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def job(tmp_path):
    def make(device="cpu", **changes):
        factory = architectures.factory("logreg", num_outputs=2, image_size=4)
        values = {"train_samples": 300, "test_samples": 200, "recipe": Recipe(epochs=2)} | changes
        return units.Job(
            factory,
            factory.spec,
            epsilon=1.0,
            sigma=1.0,
            convention="text",
            store=str(tmp_path),
            device=device,
            **values,
        )

    return make


def test_networks_at_once_follow_what_is_free(job, monkeypatch):
    shape = (1, 4, 4)
    assert job("cpu").at_once(shape) == 1
    each = 4 * 16 * 500 + 1000 * (16 + 2) * 4  # the data, and samples and outputs of what is measured at once
    for free, expected in ((20 * each, 10), (None, units.STACK), (1, 1)):
        monkeypatch.setattr(memory, "free", lambda device, free=free: free)
        assert job("cuda").at_once(shape) == expected
    monkeypatch.setattr(memory, "free", lambda device: 20 * each)
    assert job("cuda", recipe=Recipe(dtype="float64")).at_once(shape) == 5


def test_what_does_not_fit_is_computed_in_halves(job, monkeypatch):
    rows = units.rounded(directions.fourier(4, 4).vectors[:5][:, None])
    some = [(k, row, 0) for k, row in enumerate(rows)]
    alone = [job().compute([unit])[0] for unit in some]
    train, sizes = stacked.train_many, []

    def small_gpu(networks, *arguments, **options):
        sizes.append(len(networks))
        if len(networks) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train(networks, *arguments, **options)

    monkeypatch.setattr(stacked, "train_many", small_gpu)
    together = job().compute(some)
    assert sizes == [5, 2, 3, 1, 2]
    without_time = [{k: v for k, v in result.items() if k != "seconds"} for result in (*alone, *together)]
    assert without_time[:5] == without_time[5:]
    monkeypatch.setattr(stacked, "train_many", lambda *a, **k: (_ for _ in ()).throw(torch.OutOfMemoryError("none")))
    with pytest.raises(torch.OutOfMemoryError):
        job().compute(some)  # not even one fits: reported as any unit that fails
