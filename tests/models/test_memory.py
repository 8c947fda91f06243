"""What the memory of a GPU does not hold is computed in halves, tried without a GPU."""

import pytest
import torch
from anisotropy import directions
from anisotropy.experiments import units
from anisotropy.models import architectures, memory
from anisotropy.training import Recipe, stacked


def test_a_list_is_halved_until_its_parts_fit():
    tried = []

    def three_fit(items):
        tried.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [2 * item for item in items]

    assert memory.in_halves(three_fit, range(10)) == list(range(0, 20, 2))
    assert tried == [10, 5, 2, 3, 5, 2, 3]
    with pytest.raises(torch.OutOfMemoryError):
        memory.in_halves(lambda items: three_fit(range(4)), range(10))  # not even one fits


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
