"""Pooling layers of networks against the pooling of the theory."""

import pytest
import torch
from anisotropy import training
from anisotropy.directions import separable
from anisotropy.models import architectures, blurpool
from anisotropy.theory import pooling


def image(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("order", [2, 4])
def test_blurpool_is_the_theorys_pooling_inside_the_picture(order):
    x = image(2, 3, 16, 16)
    layer = blurpool.BlurPool2d(order).double()
    expected = pooling.pool(x, pooling.outer(pooling.binomial(order, 16)), 2)
    inner = slice(order // 2, -(order // 2))
    torch.testing.assert_close(layer(x)[..., inner, inner], expected[..., inner, inner])


def test_average_is_the_theorys_pooling_everywhere():
    x = image(2, 3, 16, 16)
    torch.testing.assert_close(blurpool.layer("average")(x), pooling.pool(x, pooling.outer(pooling.average(2, 16)), 2))


@pytest.mark.parametrize("kind", blurpool.KINDS)
def test_kinds_share_weights_and_shapes_and_keep_constants(kind):
    assert torch.allclose(blurpool.layer(kind)(torch.ones(1, 2, 8, 8)), torch.ones(1, 2, 4, 4))
    make = architectures.factory("anisotropy.blurpool:lenet", num_outputs=2, kind=kind)
    own = architectures.build(architectures.factory("lenet", num_outputs=2), 3)
    other = architectures.build(make, 3)
    for a, b in zip(own.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    x = image(2, 1, 32, 32).float()
    assert torch.equal(own(x), other(x)) == (kind == "max")


def test_max_blur_is_a_maximum_before_a_blur():
    x = image(1, 1, 8, 8)
    dense = torch.nn.functional.max_pool2d(torch.nn.functional.pad(x, (0, 1, 0, 1), mode="replicate"), 2, stride=1)
    expected = pooling.pool(dense, pooling.outer(pooling.binomial(2, 8)), 2)
    torch.testing.assert_close(blurpool.layer("max_blur").double()(x)[..., 1:, 1:], expected[..., 1:, 1:])


def test_linear_pooling_is_the_theorys_pooling_and_composes():
    x = image(2, 3, 16, 16).float()
    for kind in ("average", "blur", "none"):
        once, half = (blurpool.prefilter(kind, side) for side in (16, 8))
        twice = pooling.pool(pooling.pool(x, pooling.outer(once), 2), pooling.outer(half), 2)
        whole = blurpool.LinearPooling(pooling.outer(blurpool.prefilter(kind, 16, stages=2)), 4)
        torch.testing.assert_close(whole(x), twice)


def test_a_pooled_logistic_regression_reaches_the_bayes_accuracy_and_no_more():
    """Its optimum is the Bayes classifier: trained on many samples it comes close, and not above by more than noise."""
    direction = pooling.fourier_direction((16, 16), (1, 3))[None]
    n, setting = 8000, {"epsilon": 1.0, "sigma": 1.5}
    for kind in ("average", "blur"):
        make = architectures.factory(
            "anisotropy.blurpool:pooled_logistic_regression", num_outputs=2, image_size=16, kind=kind, stages=1
        )
        data = [separable.sample(direction, n, generator=torch.Generator().manual_seed(s), **setting) for s in (0, 1)]
        outcome = training.train(
            architectures.build(make, 0),
            *data[0],
            training.Recipe(epochs=10),
            generator=torch.Generator().manual_seed(0),
            test_inputs=data[1][0],
            test_labels=data[1][1],
        )
        taps = pooling.outer(blurpool.prefilter(kind, 16))
        bayes = pooling.bayes_accuracy(taps, 2, (1, 3), **setting)
        error = (bayes * (1 - bayes) / n) ** 0.5
        assert bayes - 0.03 < outcome.test_accuracy < bayes + 4 * error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: blurpool.BlurPool2d(3), "even order"),
        (lambda: blurpool.BlurPool2d(2, 0), "positive stride"),
        (lambda: blurpool.layer("median"), "kind of pooling out of"),
        (lambda: blurpool.lenet(1, 2, (30, 30)), "halve twice"),
        (lambda: blurpool.prefilter("max", 16), "linear kind of pooling out of"),
        (lambda: blurpool.prefilter("blur", 18, stages=2), "multiple of 2"),
    ],
)
def test_wrong_inputs_say_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()
