"""What 05_poisoning and 06_flipping train."""

import pytest
import xarray as xr
from anisotropy.paper import image_studies


def test_each_network_has_its_own_images_and_recipe():
    found = image_studies.plans("digits", ["lenet", "resnet18"], [1.0, 0.125], [1297, 600], [12, 10], [0.1, 0.2])
    lenet, resnet = found.values()
    assert (lenet.title, lenet.source.train, lenet.recipe.epochs, lenet.recipe.dtype) == ("LeNet", 1297, 12, "float32")
    assert (resnet.source.name, resnet.recipe.learning_rate, resnet.recipe.dtype) == ("digits", 0.2, "float32")
    assert resnet.single.spec["width"] == resnet.classifier.spec["width"] == 0.125
    assert resnet.classifier.spec["num_outputs"] == 10
    assert [len(lenet.source.load(split)[1]) for split in ("train", "test")] == [1297, 500]


def test_large_networks_on_natural_images_take_bfloat16():
    found = image_studies.plans("cifar10", ["lenet", "vgg11"], [1.0, 1.0], [100, 100], [1, 1], [0.1, 0.1])
    assert [plan.recipe.dtype for plan in found.values()] == ["float32", "bfloat16"]


@pytest.mark.parametrize("networks", [[], ["lenet", "lenet"]])
def test_networks_are_named_once(networks):
    with pytest.raises(ValueError, match="at least one network and none twice"):
        image_studies.plans("digits", networks, [1.0], [100], [1], [0.1])


def test_only_digits_leave_claims_marked():
    assert image_studies.rounding("digits") == (" (on digits)", 1)
    assert image_studies.rounding("cifar10") == ("", 3)


def test_means_are_told_where_they_tell_something():
    table = xr.DataArray([[0.5, 0.7], [0.25, 0.25]], dims=("arm", "seed"), coords={"arm": ["clean", "NAD 0"]})
    assert image_studies.means(table) == pytest.approx({"clean": 0.6, "NAD 0": 0.25})
    assert image_studies.percent(table, "cifar10") == {"clean": 60.0, "NAD 0": 25.0}
    assert isinstance(image_studies.percent(table, "digits"), str)


def test_narrow_networks_are_measured_and_trained_in_single_precision():
    names, widths = ["resnet18", "vgg11", "lenet"], [0.25, 1.0, 1.0]
    found = image_studies.plans("cifar10", names, widths, [10, 10, 10], [1, 1, 1], [0.1, 0.1, 0.1])
    assert {name: plan.recipe.dtype for name, plan in found.items()} == {
        "resnet18": "float32", "vgg11": "bfloat16", "lenet": "float32"}  # fmt: skip
    assert found["resnet18"].own(6) == {"width": 0.25, "random_networks": 6}
    assert found["vgg11"].own(6) == {}
