"""What 05_poisoning and 06_flipping train."""

import pytest
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
