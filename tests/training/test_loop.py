import json
import math

import numpy as np
import pytest
import torch
from anisotropy import directions
from anisotropy.directions import separable
from anisotropy.models import architectures
from anisotropy.training import Recipe, evaluate, stacked, train
from anisotropy.training.checkpoints import Checkpoint
from anisotropy.training.loop import LossWatch, _layout
from torch import nn
from torch.nn import functional


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def task(seed=0, count=96, size=8, sigma=1.0, dtype=torch.float64):
    """One data set of D(v), v a low frequency."""
    v = directions.fourier(size, size).vectors[1 + seed % 5][None]
    return separable.sample(v, count, sigma=sigma, generator=generator(100 + seed), dtype=dtype)


class Small(nn.Module):
    """A convolution, ReLU, max-pooling and a read-out: what LeNet is made of."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.readout = nn.Linear(27, 2)

    def forward(self, x):
        return self.readout(functional.max_pool2d(functional.relu(self.conv(x)), 2).flatten(1))


RECIPES = {
    "released code": Recipe(epochs=3, batch_size=20, dtype="float64"),
    "cifar": Recipe.cifar(epochs=3, batch_size=32, mean=(0.1,), std=(2.0,), dtype="float64"),
    "plain": Recipe(epochs=2, clip_norm=None, schedule="constant", learning_rate=0.1, dtype="float64"),
}


def by_hand(weight, inputs, labels, recipe, seed):
    """Logistic regression trained with the gradient, clipping, momentum and schedule written out in NumPy."""
    g = generator(seed)
    torch.randint(2**62, (), generator=g)
    x, y = inputs.flatten(1).numpy(), labels.numpy()
    if recipe.mean:
        x = (x - recipe.mean[0]) / recipe.std[0]
    w = np.concatenate([weight[0], weight[1][:, None]], axis=1)  # (2, D + 1)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    velocity, step = np.zeros_like(w), 0
    total = recipe.epochs * -(-len(y) // recipe.batch_size)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(y), generator=g).numpy()
        for start in range(0, len(y), recipe.batch_size):
            batch = order[start : start + recipe.batch_size]
            scores = x[batch] @ w.T
            p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
            gradient = (p - np.eye(2)[y[batch]]).T @ x[batch] / len(batch)
            if recipe.clip_norm is not None:
                gradient *= min(1, recipe.clip_norm / (np.sqrt((gradient**2).sum()) + 1e-6))
            velocity = recipe.momentum * velocity + gradient + recipe.weight_decay * w
            step += 1
            rate = recipe.learning_rate * ((1 - step / total) if recipe.schedule == "linear" else 1)
            w = w - rate * velocity
    return w


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_step_agrees_with_an_implementation_by_hand(recipe):
    inputs, labels = task()
    net = architectures.build(architectures.factory("logreg", num_outputs=2, image_size=8), 3)
    start = [p.detach().double().numpy().copy() for p in net.parameters()]
    train(net, inputs, labels, recipe, generator=generator(5))
    expected = by_hand(start, inputs, labels, recipe, 5)
    assert np.allclose(net.readout.weight.detach().numpy(), expected[:, :-1], atol=1e-10)
    assert np.allclose(net.readout.bias.detach().numpy(), expected[:, -1], atol=1e-10)
    wrong = by_hand(start, inputs, labels, Recipe(**{**vars(recipe), "learning_rate": 1.01 * recipe.learning_rate}), 5)
    assert not np.allclose(net.readout.weight.detach().numpy(), wrong[:, :-1], atol=1e-10)


def test_the_schedule_is_that_of_the_released_code():
    rates = [Recipe().rate(t, 4) for t in range(4)]
    assert rates == pytest.approx([0.375, 0.25, 0.125, 0.0])
    assert Recipe(schedule="constant").rate(3, 4) == 0.5


def test_logistic_regression_reaches_its_optimum():
    # with sigma = 0 the data are the two points +-v; the loss falls towards 0 along v, and nowhere else
    v = directions.fourier(8, 8).vectors[5][None]
    inputs, labels = separable.sample(v, 200, sigma=0.0, epsilon=1.0, generator=generator(), dtype=torch.float64)
    net = architectures.build(architectures.factory("logreg", num_outputs=2, image_size=8), 0).double()
    before = (net.readout.weight[1] - net.readout.weight[0]).detach().clone()
    recipe = Recipe(epochs=40, dtype="float64")
    outcome = train(net, inputs, labels, recipe, generator=generator(), test_inputs=inputs, test_labels=labels)
    learnt = (net.readout.weight[1] - net.readout.weight[0]).detach() - before
    assert abs(learnt @ v.flatten()) / learnt.norm() > 1 - 1e-9
    assert outcome.train_accuracy == outcome.test_accuracy == 1.0
    # the loss of two balanced points at margin m is log(1 + exp(-m)) up to the bias, which stays near 0
    margin = float((net.readout.weight[1] - net.readout.weight[0]).detach() @ v.flatten())
    bias = float((net.readout.bias[1] - net.readout.bias[0]).detach())
    expected = np.mean([math.log1p(math.exp(-margin - bias)), math.log1p(math.exp(-margin + bias))])
    assert outcome.train_loss == pytest.approx(expected, rel=1e-9)


def test_logistic_regression_learns_every_direction_and_noise_makes_it_harder():
    accuracy = {}
    for sigma in (0.5, 3.0):
        v = directions.fourier(8, 8).vectors[40][None]
        sets = [separable.sample(v, 2000, sigma=sigma, epsilon=0.3, generator=generator(s)) for s in (1, 2)]
        net = architectures.build(architectures.factory("logreg", num_outputs=2, image_size=8), 0)
        outcome = train(
            net, *sets[0], Recipe(epochs=5), generator=generator(), test_inputs=sets[1][0], test_labels=sets[1][1]
        )
        accuracy[sigma] = outcome.test_accuracy
    assert accuracy[0.5] == 1.0
    assert 0.8 < accuracy[3.0] < 0.95


def test_nothing_global_is_touched_and_the_generator_decides_everything():
    inputs, labels = task(dtype=torch.float32)
    dropout = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(), nn.Linear(16, 2))  # noqa: E731
    state = torch.random.get_rng_state()
    results = []
    for seed in (1, 1, 2):
        net = architectures.build(dropout, 0)
        train(net, inputs, labels, Recipe(epochs=2), generator=generator(seed))
        results.append(net[1].weight.detach().clone())
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_loss_watch_finds_the_first_small_window():
    watch = LossWatch(Recipe(loss_threshold=0.1, loss_window=3))
    assert not watch.end_of_epoch([1.0, 0.05, 0.05], [10, 10, 10])
    assert watch.reached is None  # a full window, but its mean is 0.37
    assert not watch.end_of_epoch([0.05, 9.0, 9.0], [10, 10, 5])
    assert watch.reached == 4
    assert watch.history == pytest.approx([1.1 / 3, (0.5 + 90 + 45) / 25])
    assert LossWatch(Recipe(loss_threshold=0.1, loss_window=1, stop_at_threshold=True)).end_of_epoch([0.1], [1])


def test_training_stops_at_the_threshold_if_asked():
    inputs, labels = task(sigma=0.1)
    small = Recipe(epochs=30, loss_threshold=0.3, loss_window=2, dtype="float64")
    nets = [architectures.build(Small, 0) for _ in range(2)]
    long = train(nets[0], inputs, labels, small, generator=generator())
    short = train(nets[1], inputs, labels, Recipe(**{**vars(small), "stop_at_threshold": True}), generator=generator())
    assert short.steps_to_threshold == long.steps_to_threshold is not None
    assert len(short.history) < len(long.history) == 30
    assert short.history == long.history[: len(short.history)]


def test_divergence_is_reported():
    inputs, labels = task()
    recipe = Recipe(epochs=4, learning_rate=1e300, clip_norm=None, dtype="float64")
    outcome = train(architectures.build(Small, 0), inputs, labels, recipe, generator=generator())
    assert outcome.diverged
    assert len(outcome.history) < 4
    assert not train(architectures.build(Small, 0), inputs, labels, Recipe(epochs=1), generator=generator()).diverged


def test_evaluate_measures_in_eval_mode_and_restores_the_mode():
    inputs, labels = task(count=1100)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.Dropout(0.9)).double().train()
    accuracy, loss = evaluate(net, inputs, labels, Recipe(dtype="float64"))
    assert net.training
    scores = net[1](inputs.flatten(1))
    assert accuracy == pytest.approx(float((scores.argmax(1) == labels).double().mean()))
    assert loss == pytest.approx(float(functional.cross_entropy(scores, labels)))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_stacked_networks_agree_with_one_by_one(recipe):
    sets, tests = [task(s) for s in range(4)], [task(10 + s, count=50) for s in range(4)]
    x, y, tx, ty = (torch.stack(part) for part in (*zip(*sets, strict=True), *zip(*tests, strict=True)))
    nets = {m: [architectures.build(Small, s) for s in range(4)] for m in ("single", "stacked")}
    outcomes = {
        m: stacked.train_many(
            nets[m], x, y, recipe, generators=[generator(s) for s in range(4)], test_inputs=tx, test_labels=ty, method=m
        )
        for m in nets
    }
    for one, other in zip(*outcomes.values(), strict=True):
        assert other.history == pytest.approx(one.history, rel=1e-9)
        assert (other.train_accuracy, other.test_accuracy) == (one.train_accuracy, one.test_accuracy)
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-9)
        assert other.steps_to_threshold == one.steps_to_threshold
    for one, other in zip(nets["single"], nets["stacked"], strict=True):
        for p, q in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.allclose(p, q, atol=1e-9)


def test_stacked_networks_stop_each_at_its_own_time():
    recipe = Recipe(epochs=8, loss_threshold=0.61, loss_window=2, stop_at_threshold=True, dtype="float64")
    sets = [task(0, sigma=0.1), task(1, sigma=3.0)]
    x, y = (torch.stack(part) for part in zip(*sets, strict=True))
    runs = {}
    for method in ("single", "stacked"):
        nets = [architectures.build(Small, s) for s in range(2)]
        outcomes = stacked.train_many(nets, x, y, recipe, generators=[generator(s) for s in range(2)], method=method)
        runs[method] = [len(o.history) for o in outcomes], [o.train_loss for o in outcomes]
    assert runs["single"][0] == runs["stacked"][0]
    assert runs["single"][0][0] < 8 == runs["single"][0][1]
    assert runs["stacked"][1] == pytest.approx(runs["single"][1], rel=1e-9)


def test_networks_with_state_are_not_stacked():
    norm = architectures.factory("resnet18", num_outputs=2, image_size=8, width=0.05)
    assert not stacked.can_stack([architectures.build(norm, 0)], Recipe())
    assert stacked.can_stack([architectures.build(Small, 0)], Recipe())
    assert not stacked.can_stack([architectures.build(Small, 0)], Recipe(dtype="bfloat16"))
    x, y = task(dtype=torch.float32)
    arguments = {"generators": [generator()], "recipe": Recipe(epochs=1)}
    with pytest.raises(ValueError, match="cannot be stacked"):
        stacked.train_many([norm()], x[None], y[None], method="stacked", **arguments)
    (outcome,) = stacked.train_many([norm()], x[None], y[None], **arguments)  # auto: one by one
    assert math.isfinite(outcome.train_loss)


def test_bfloat16_stays_near_float32():
    x, y = task(count=256, dtype=torch.float32)
    losses = [
        train(architectures.build(Small, 0), x, y, Recipe(epochs=3, dtype=dtype), generator=generator()).train_loss
        for dtype in ("float32", "bfloat16")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schedule": "cosine"}, "expected a schedule"),
        ({"dtype": "float16"}, "a dtype out of"),
        ({"learning_rate": -0.5}, "positive learning_rate"),
        ({"epochs": 2.5}, "epochs as a whole number"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"momentum": math.nan}, "momentum as a finite number"),
        ({"mean": (math.nan,), "std": (1.0,)}, "each mean as a finite number"),
        ({"mean": (0.1, 0.2), "std": (1.0,)}, "one per channel"),
    ],
)
def test_bad_recipes_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**fields)


def test_data_that_do_not_fit_are_refused():
    x, y = task()
    with pytest.raises(ValueError, match=r"\(n, \*shape\)"):
        train(Small(), x.flatten(), y, generator=generator())
    with pytest.raises(ValueError, match=r"channels of images \(n, C, H, W\), got inputs \(\d+, 64\)"):
        train(Small(), x.flatten(1), y, Recipe(mean=(0.0,), std=(1.0,)), generator=generator())
    with pytest.raises(ValueError, match="normalises 3 channels"):
        train(Small(), x, y, Recipe(mean=(0.0,) * 3, std=(1.0,) * 3), generator=generator())
    with pytest.raises(ValueError, match="together"):
        train(Small(), x, y, generator=generator(), test_inputs=x)


@pytest.mark.parametrize("method", ["single", "stacked"])
def test_a_test_set_that_does_not_fit_is_refused_before_the_training(method):
    """Both ways of training make the same checks, and a network that was refused has not been trained."""
    x, y = task()

    def train_one(net, **changes):
        sets = {"test_inputs": x[None], "test_labels": y[None]} | changes
        stacked.train_many([net], x[None], y[None], Recipe(epochs=1, dtype="float64"), generators=[generator()],
                           method=method, **sets)  # fmt: skip

    for changes, message in (
        ({"test_labels": y[None, :-1]}, r"int64 labels \(n,\)"),
        ({"test_labels": None}, "together"),
        ({"test_inputs": x[None, ..., :7]}, "test inputs like those of training"),
        ({"test_labels": y[None] + 1}, r"returns \(n, 3\) scores"),
        ({"test_labels": y[None] - 1}, "labels 0, 1, 2"),
    ):
        net = architectures.build(Small, 0)
        with pytest.raises(ValueError, match=message):
            train_one(net, **changes)
        fresh = architectures.build(Small, 0)
        assert all(torch.equal(p, q.to(p)) for p, q in zip(net.parameters(), fresh.parameters(), strict=True))


def test_a_trained_network_is_in_eval_mode_by_either_method():
    x, y = task()
    for method in ("single", "stacked"):
        nets = [architectures.build(Small, 0).train() for _ in range(2)]
        both = {"generators": [generator(), generator()], "method": method}
        stacked.train_many(nets, x.expand(2, *x.shape), y.expand(2, -1), Recipe(epochs=1, dtype="float64"), **both)
        assert not any(module.training for net in nets for module in net.modules())


def test_equal_recipes_are_filed_alike():
    plain = Recipe(learning_rate=1.0, epochs=3, clip_norm=None)
    given = Recipe(learning_rate=np.float32(1), epochs=np.int64(3), clip_norm=None, momentum=0)
    assert json.dumps(plain.as_dict()) == json.dumps(given.as_dict())


def test_a_checkpoint_of_data_that_are_rounded_otherwise_is_left_with_a_warning(tmp_path, monkeypatch):
    """A unit of a sweep finds the file of another machine under its own name: it must not fail for ever."""
    monkeypatch.setitem(Checkpoint.__init__.__kwdefaults__, "seconds", 0)
    x, y = task()
    path = tmp_path / "checkpoint"
    recipe = Recipe(epochs=2, dtype="float64")

    def trained(inputs, seed=0, recipe=recipe):
        network = architectures.build(Small, 0)
        return train(network, inputs, y, recipe, generator=generator(seed), checkpoint=path).history

    first = trained(x)
    nudged = torch.nextafter(x, torch.full_like(x, 9.0))
    for other, seed in ((nudged, 0), (x, 1)):
        whole = train(architectures.build(Small, 0), other, y, recipe, generator=generator(seed)).history
        with pytest.warns(UserWarning, match="rounds differently: training starts again"):
            assert trained(other, seed) == whole
    with pytest.warns(UserWarning, match="starts again"):
        assert trained(x) == first
    with pytest.raises(ValueError, match="another recipe, shape of data, or network"):
        trained(x, recipe=Recipe(epochs=3, dtype="float64"))


class Noisy(nn.Module):
    """Dropout by function, which `vmap` refuses."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 2)

    def forward(self, x):
        return self.layer(nn.functional.dropout(x.flatten(1), 0.5, self.training))


class Branching(Noisy):
    """A branch on a number, which `vmap` refuses in training or elsewhere."""

    where = True

    def forward(self, x):
        x = x.flatten(1)
        return self.layer(x if self.training != self.where or x.mean().item() > 1e9 else 2 * x)


class BranchingLater(Branching):
    where = False


@pytest.mark.parametrize("kind", [Noisy, Branching, BranchingLater])
def test_networks_that_vmap_refuses_are_trained_one_by_one(kind, monkeypatch):
    x, y = (part.float() if part.is_floating_point() else part for part in task())
    sets = x.expand(3, *x.shape), y.expand(3, -1)

    def trained(method):
        nets = [architectures.build(kind, s) for s in range(3)]
        order = [generator(s) for s in range(3)]
        return stacked.train_many(nets, *sets, Recipe(epochs=2), generators=order, method=method)

    with pytest.raises(ValueError, match=r"cannot be stacked \(RuntimeError: .*line \d+ of test_.*\.py, in forward"):
        trained("stacked")
    alone = trained("single")
    monkeypatch.setattr(stacked, "_pays", lambda device: True)  # as on a GPU
    assert [o.history for o in trained("auto")] == [o.history for o in alone]


@pytest.mark.parametrize(("width", "layout"), [(1 / 16, torch.contiguous_format), (1 / 8, torch.channels_last)])
def test_narrow_strided_convolutions_keep_the_layout_whose_gradients_are_sound(width, layout):
    network = architectures.factory("resnet18", num_outputs=2, width=width)()
    assert _layout(network) is layout
