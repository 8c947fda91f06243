"""Networks by name: sizes, initialisation, pooling removed, errors that help."""

import importlib
import math
import sys
from typing import ClassVar

import pytest
import torch
from anisotropy import nads
from anisotropy._util import checks, paths
from anisotropy.models import architectures
from anisotropy.results import engines
from torch import nn


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("lenet", 62_006), ("vgg11", 9_756_426), ("resnet18", 11_173_962), ("densenet121", 6_956_298), ("logreg", 30_730)],
)
def test_parameter_counts_of_the_paper(name, parameters):
    network = architectures.factory(name, in_channels=3, num_outputs=10)()
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_initialisation_of_vgg_is_its_own_and_of_the_rest_torch_s():
    vgg = architectures.build(architectures.factory("vgg11"), 0)
    for conv in (m for m in vgg.modules() if isinstance(m, nn.Conv2d)):
        expected = math.sqrt(2 / (9 * conv.out_channels))
        n = conv.weight.numel()
        assert abs(float(conv.weight.detach().std()) / expected - 1) < 5 / math.sqrt(2 * n)
        assert float(conv.weight.detach().abs().max()) > 2 * expected or n < 1000  # normal, not uniform
        assert not conv.bias.any()
    resnet = architectures.build(architectures.factory("resnet18"), 0)
    bound = 1 / math.sqrt(64 * 9)  # torch: uniform in +-1/sqrt(fan in)
    weight = resnet.blocks[0].conv1.weight.detach()
    assert float(weight.abs().max()) <= bound
    assert float(weight.abs().max()) > 0.999 * bound


@pytest.mark.parametrize("name", list(architectures.BUILTIN))
def test_without_pooling_nothing_pools(name):
    pooled, bare = architectures.factory(name, width=0.25), architectures.factory(name, width=0.25, pooling=False)
    kinds = (nn.MaxPool2d, nn.AvgPool2d)
    assert not any(isinstance(m, kinds) or "GlobalAverage" in type(m).__name__ for m in bare().modules())
    if name != "logreg":
        assert any(isinstance(m, kinds) or "GlobalAverage" in type(m).__name__ for m in pooled().modules())
    assert bare()(torch.zeros(2, 1, 32, 32)).shape == (2, 1)


def test_resnet_without_strides_keeps_the_resolution():
    factory = architectures.factory("resnet18", width=0.125, pooling=False, strides=False)
    assert factory().readout.in_features == 64 * 32 * 32


@pytest.mark.parametrize("name", list(architectures.BUILTIN))
@pytest.mark.parametrize("size", [(64, 48), (37, 41)])
def test_any_image_size(name, size):
    factory = architectures.factory(name, in_channels=2, num_outputs=3, image_size=size, width=0.25)
    assert factory()(torch.zeros(2, 2, *size)).shape == (2, 3)


def test_build_is_repeatable_and_leaves_the_global_generator_alone():
    factory = architectures.factory("lenet")
    before = torch.random.get_rng_state()
    first, again, other = (architectures.build(factory, *seed) for seed in ((3, 1), (3, 1), (3, 2)))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first.conv1.weight, again.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)
    assert not first.training


def test_networks_of_torchvision_and_of_one_s_own():
    factory = architectures.factory("torchvision:resnet18", in_channels=3, image_size=64)
    assert factory()(torch.zeros(2, 3, 64, 64)).shape == (2, 1)
    own = architectures.factory("anisotropy.networks:LeNet", image_size=28, width=2.0 / 2)
    assert own.spec["name"] == "anisotropy.networks:LeNet"
    assert own()(torch.zeros(1, 1, 28, 28)).shape == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "LeNet5"}, "did you mean 'lenet'"),
        ({"name": "vgg11", "image_size": 16}, "at least 32 pixels"),
        ({"name": "lenet", "image_size": 8}, "at least 16 pixels"),
        ({"name": "lenet", "strides": False}, "takes no argument"),
        ({"name": "torchvision:resnet81", "in_channels": 3}, "did you mean 'resnet"),
        ({"name": "torchvision:resnet18", "in_channels": 2}, "3 channels"),
        ({"name": "torch.nn:Flatten"}, "expected \\(2, 1\\)"),
        ({"name": "anisotropy.networks:LeNett"}, "did you mean 'LeNet'"),
        ({"name": "torchvision:resnet18", "in_channels": 3, "width": 2.0}, "width and pooling"),
        ({"name": "lenet", "num_outputs": 0}, "num_outputs as a whole number"),
    ],
)
def test_errors_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        architectures.factory(**arguments)


def test_a_factory_must_make_a_module():
    with pytest.raises(TypeError, match=r"must return a torch\.nn\.Module, got int"):
        architectures.build(lambda: 3, 0)


def test_weights_do_not_depend_on_torch_s_defaults():
    factory = architectures.factory("lenet")
    expected = list(architectures.build(factory, 0).parameters())
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            found = list(architectures.build(factory, 0).parameters())
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))


def test_a_module_in_the_repositorys_folder_is_found_from_any_other(tmp_path, monkeypatch):
    (tmp_path / "clone").mkdir()
    text = "from torch import nn\n\n\ndef network():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 1))\n"
    (tmp_path / "clone" / "lies_in_the_clone.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(ImportError, match="expected a module that Python finds"):
        architectures.factory("lies_in_the_clone:network", image_size=8)
    monkeypatch.setattr(paths, "root", lambda: tmp_path / "clone")
    assert architectures.factory("lies_in_the_clone:network", image_size=8)()(torch.ones(2, 1, 8, 8)).shape == (2, 1)
    assert sys.path[-1] == str(tmp_path / "clone")  # last: it hides no other module


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "convnext_tiny", "vit_b_16"])
def test_a_network_of_torchvision_takes_grey_images_as_it_takes_them_in_three_channels(name):
    grey, colour = (
        architectures.factory(f"torchvision:{name}", in_channels=c, image_size=32, num_outputs=2) for c in (1, 3)
    )
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = (
            architectures.build(make, 0)(images) for make, images in ((grey, x), (colour, x.expand(-1, 3, -1, -1)))
        )
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match=r"3 channels, or grey ones with in_channels=1, got in_channels=2"):
        architectures.factory(f"torchvision:{name}", in_channels=2)


class Timm:
    """What is called of timm, making two networks of ours: timm itself is an extra that the lock leaves out."""

    asked: ClassVar[list[int]] = []

    @staticmethod
    def is_model(name):
        return name in ("plain", "gathered")

    @classmethod
    def create_model(cls, name, *, pretrained, num_classes, in_chans):
        assert not pretrained
        cls.asked.append(in_chans)
        first = nn.Conv2d(in_chans, 4, 3) if name == "plain" else nn.PixelUnshuffle(2)
        width = 4 * 36 if name == "plain" else 64 * in_chans
        return nn.Sequential(first, nn.Flatten(), nn.Linear(width, num_classes))


def test_a_network_of_timm_takes_grey_images_as_it_takes_them_in_three_channels(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", Timm)
    grey, colour = (architectures.factory("timm:plain", in_channels=c, image_size=8) for c in (1, 3))
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found, expected = architectures.build(grey, 0)(x), architectures.build(colour, 0)(x.expand(-1, 3, -1, -1))
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(found, architectures.build(colour, 1)(x.expand(-1, 3, -1, -1)), atol=1e-3)
    assert set(Timm.asked) == {3}
    gathered = architectures.factory("timm:gathered", image_size=8)  # no convolution whose channels could be summed
    assert architectures.build(gathered, 0)(x).shape == (2, 1)
    assert 1 in Timm.asked


@pytest.mark.parametrize(
    ("asked", "meant"), [("resnet50", "torchvision:resnet50"), ("efficientnet-b0", "torchvision:efficientnet_b0"),
                         ("lenett", "lenet")]
)  # fmt: skip
def test_a_name_that_torchvision_has_is_found_there(asked, meant):
    with pytest.raises(ValueError, match=f"did you mean '{meant}'"):
        architectures.factory(asked)


MINE = """
import torch
from torch import nn

def unbuilt(num_outputs=1):
    return {}["hello"]

class Uncalled(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(64, 1)
    def forward(self, x):
        return {}["hello"]

class Narrow(Uncalled):
    def forward(self, x):
        return self.last(x)

class Complex(Uncalled):
    def forward(self, x):
        return 1j * self.last(x.flatten(1))

class Lazy(Uncalled):
    def __init__(self):
        super().__init__()
        self.last = nn.LazyLinear(1)
    def forward(self, x):
        return self.last(x.flatten(1))

class Plain(Lazy):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(64, 1)

def scripted():
    return torch.jit.script(Plain())

def traced():
    return torch.jit.trace(Plain(), torch.zeros(1, 1, 8, 8))
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine_mended.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("mine_mended")
    del sys.modules["mine_mended"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unbuilt", r"cannot be built for images .*: KeyError: 'hello' \(line 6 of mine_mended.py, in unbuilt: return"),
        ("Uncalled", r"refuses images .*: KeyError: 'hello' \(line 13 of mine_mended.py, in forward: return"),
        (
            "Narrow",
            r"refuses images .*: RuntimeError: mat1 .* \(line 17 of mine_mended.py, in forward: return self.last",
        ),
        ("Complex", r"real outputs, got torch.complex64: end its forward in .real or .abs\(\)"),
        ("Lazy", r"lazy layers, .*\(last.weight\): call it once in the factory"),
        ("scripted", r"TorchScript, .*: return the network as it is before torch.jit.script or torch.jit.trace"),
        ("traced", r"TorchScript, .*: return the network as it is before torch.jit.script or torch.jit.trace"),
    ],
)
def test_what_is_wrong_with_a_network_of_one_s_own_is_said_with_its_line(mine, name, said):
    with pytest.raises(ValueError, match=said):
        architectures.factory(f"mine_mended:{name}", image_size=8)
    if name != "unbuilt":  # what happens in the factory itself is the user's own traceback
        with pytest.raises((TypeError, ValueError), match=said.replace("refuses images", "refuses an input")):
            nads.estimate(getattr(mine, name), (1, 8, 8), networks=2)


def test_the_line_that_is_blamed_is_the_innermost_of_the_user_s(mine):
    with pytest.raises(RuntimeError) as caught:
        mine.Narrow()(torch.zeros(2, 3))
    assert checks.blamed(caught.value).endswith("(line 17 of mine_mended.py, in forward: return self.last(x))")
    failure = engines.guarded(mine.Narrow(), torch.zeros(2, 3))
    assert failure.traceback.splitlines()[-1].endswith("(line 17 of mine_mended.py, in forward: return self.last(x))")
    with pytest.raises(ValueError, match=r"^ValueError: too small$"):
        raise ValueError(checks.blamed(ValueError("too small")))
