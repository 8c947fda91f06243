"""Any architecture by name, as a factory of freshly initialised networks.

NADs belong to an architecture and its initialisation, not to one network, so everything here deals in *factories*:
zero-argument callables that make a new random network each time they are called.
"""

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from anisotropy._util import checks, extras, paths
from anisotropy.models import networks

BUILTIN: dict[str, Callable[..., nn.Module]] = {
    "logreg": networks.LogisticRegression,
    "lenet": networks.LeNet,
    "vgg11": networks.VGG11,
    "resnet18": networks.ResNet18,
    "densenet121": networks.DenseNet121,
}
"""The paper's five networks."""

FILED = {f"anisotropy.{module}": f"anisotropy.models.{module}" for module in ("blurpool", "networks", "variants")}
"""Modules of names such as `anisotropy.variants:mlp`: results are filed under these names, modules may move."""


@dataclass(frozen=True)
class Factory:
    """A zero-argument callable that makes a freshly initialised network, and knows how to say what it makes."""

    name: str
    input_shape: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    _make: Callable[[], nn.Module] = field(default=None, repr=False, compare=False)

    def __call__(self) -> nn.Module:
        """A new network, drawn from torch's global generator (see `build` for a repeatable draw)."""
        return self._make()

    @property
    def spec(self) -> dict[str, Any]:
        """Name and arguments as plain values: what a result is filed under and a passport records."""
        return {"name": self.name, "input_shape": list(self.input_shape), **self.arguments}


def factory(
    name: str,
    *,
    in_channels: int = 1,
    num_outputs: int = 1,
    image_size: int | tuple[int, int] = 32,
    width: float = 1.0,
    pooling: bool = True,
    **kwargs: Any,
) -> Factory:
    """Factory of a network by name.

    Args:
        name: ``logreg``, ``lenet``, ``vgg11`` (batch norm), ``resnet18``, ``densenet121``: the paper's networks;
            ``torchvision:NAME`` and ``timm:NAME``: theirs, without weights (with ``in_channels=1`` those of their first
            layer are summed over its channels; where timm's first layer is none of 3 channels, timm draws one of 1);
            ``module:callable``: your own, called with ``kwargs`` and with those of ``in_channels``, ``num_outputs``,
            ``image_size`` that its signature names.
        in_channels: channels C of the input.
        num_outputs: outputs of the read-out layer: 1 to measure responses, the number of classes to train.
        image_size: height and width in pixels, one number for square images.
        width: multiplies the number of channels (the paper's networks only).
        pooling: False removes every pooling layer and adapts the read-out (the paper's networks only, Fig. 3).
        **kwargs: passed on to the network (``strides=False`` for ``resnet18``).

    Returns:
        A factory that has been tried once: its networks take (n, C, H, W) and return (n, num_outputs).

    Raises:
        ValueError: unknown name, an input size or argument that the network refuses, or an output of another shape.
        ImportError: timm, or the module that was named, cannot be imported.

    Example:
        >>> net = factory("lenet", in_channels=3, num_outputs=10)()
        >>> sum(p.numel() for p in net.parameters())
        62006
    """
    if not isinstance(name, str):
        raise ValueError(f"expected the name of an architecture, such as 'lenet', got {checks.described(name)}")
    sides = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    if len(sides) != 2:
        raise ValueError(f"expected image_size as a number of pixels or (height, width), got {image_size!r}")
    sides = tuple(checks.whole(side, "image_size, or each of its two sides,") for side in sides)
    shape = (checks.whole(in_channels, "in_channels"), *sides)
    num_outputs, width = checks.whole(num_outputs, "num_outputs"), checks.number(width, "width")
    if not width > 0:
        raise ValueError(f"expected a positive width, got {width}")
    common = {"in_channels": in_channels, "num_outputs": num_outputs, "image_size": shape[1:]}
    source, colon, target = name.partition(":")
    if not colon:
        make, arguments = _builtin(name, common, width, pooling, kwargs)
    else:
        if width != 1.0 or not pooling:
            raise ValueError(f"width and pooling are arguments of {', '.join(BUILTIN)} only; {name} was asked for")
        make = {"torchvision": _torchvision, "timm": _timm}.get(source, _own)(name, target, common, kwargs)
        arguments = {"num_outputs": num_outputs, **kwargs}
    made = Factory(name, shape, arguments, make)
    _try(made, num_outputs)
    return made


def named(name: str) -> Callable[..., Any]:
    """What "module:callable" names, such as a network or a function that returns images.

    Modules that lie in the repository's folder are found too, whatever folder a notebook's kernel works in.

    Raises:
        ValueError: it is no such name, or the module has nothing of that name that can be called.
        ImportError: the module cannot be imported.
    """
    source, _, target = name.partition(":")
    if not source or not target:
        raise ValueError(f"expected 'module:callable', such as 'mine:network' for one in mine.py, got {name!r}")
    _reach_repository()
    try:
        module = importlib.import_module(FILED.get(source, source))
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{name}: {error}; expected a module that Python finds: its folder must be on PYTHONPATH, or in sys.path"
        ) from error
    made = getattr(module, target, None)
    if not callable(made):
        public = [n for n in vars(module) if not n.startswith("_") and callable(getattr(module, n))]
        near = difflib.get_close_matches(target, public, n=1)
        missing = f"{target!r} is no callable" if hasattr(module, target) else f"the module has no {target!r}"
        raise ValueError(f"{name}: {missing}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return made


def _reach_repository() -> None:
    """Put the repository's folder last in `sys.path`, which worker processes take over."""
    try:
        folder = str(paths.root())
    except FileNotFoundError:  # the package alone
        return
    if folder not in sys.path:
        sys.path.append(folder)


def build(make: Callable[[], nn.Module], seed: int, index: int = 0) -> nn.Module:
    """Network number `index` of the stream `seed`: the same weights each time, torch's global generator untouched.

    Args:
        make: a factory.
        seed: names the stream of networks.
        index: number of the network in the stream.

    Returns:
        The network, on the CPU, in eval mode, as NADs are defined on it.

    Raises:
        TypeError: `make` is no factory, or returns no network.
    """
    checks.factory(make)
    state = np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0]
    with torch.random.fork_rng(devices=[]), _plain_defaults():  # networks are drawn on the CPU, and moved
        torch.default_generator.manual_seed(int(state >> np.uint64(1)))
        network = make()
    return plain_network(network).eval()


def plain_network(network: Any) -> nn.Module:
    """A network as it is, where it is one whose weights are drawn and whose layers can be looked into.

    Raises:
        TypeError: it is no module, one of TorchScript, or one with lazy layers that have no weights yet.
    """
    if isinstance(network, torch.jit.ScriptModule):
        raise TypeError(
            "expected a plain torch.nn.Module from the factory, got one of TorchScript, which can neither be copied "
            "nor looked into: return the network as it is before torch.jit.script or torch.jit.trace"
        )
    if not isinstance(network, nn.Module):
        raise TypeError(f"a factory must return a torch.nn.Module, got {type(network).__name__}")
    weights = (*network.named_parameters(), *network.named_buffers())
    if lazy := [name for name, value in weights if nn.parameter.is_lazy(value)]:
        raise TypeError(
            f"the factory's network has lazy layers, whose weights are not drawn yet ({lazy[0]}): call it once in the "
            "factory, network(torch.zeros(1, C, H, W)), before it is returned"
        )
    return network


@contextmanager
def _plain_defaults() -> Iterator[None]:
    """Make tensors on the CPU and in float32, whatever the caller has set as torch's defaults: weights depend on it."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    usual = torch.get_default_device() == torch.device("cpu")  # a context slows down every operation in it
    try:
        with nullcontext() if usual else torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(dtype)


def without_arithmetic(attempt: Callable[[], Any]) -> Any:
    """Call what makes networks and images: on torch's meta device where they can live there, else on the CPU.

    The global generator is left as it was.

    Args:
        attempt: without arguments; makes its tensors on torch's default device.

    Returns:
        What the call returns.
    """

    def on(device: str) -> Any:
        with torch.device(device), torch.random.fork_rng(devices=[]):
            return attempt()

    try:
        return on("meta")
    except Exception:  # what cannot live there fails in its own way, what is wrong fails on the CPU too
        return on("cpu")


def _builtin(name: str, common: dict, width: float, pooling: bool, kwargs: dict):
    if name not in BUILTIN:
        near = difflib.get_close_matches(name.lower().replace("-", ""), BUILTIN, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        hint = f"did you mean {other!r}? " if (other := _elsewhere(name)) else hint
        raise ValueError(
            f"unknown architecture {name!r}: {hint}expected one of {', '.join(BUILTIN)}, or torchvision:NAME, "
            f"timm:NAME, module:callable"
        )
    cls = BUILTIN[name]
    options = {"width": width, "pooling": pooling, **kwargs}
    if name == "logreg" and not kwargs:  # has neither width nor pooling: any value means the same network
        options = {}
    known = set(inspect.signature(cls).parameters)
    if unknown := set(options) - known:
        raise ValueError(f"{name} takes no argument {sorted(unknown)}; it knows {sorted(known)}")
    return (lambda: cls(**common, **options)), {"num_outputs": common["num_outputs"], **options}


def _elsewhere(name: str) -> str | None:
    """Full name of a network that torchvision or timm has under this one; None where neither has."""
    plain = name.lower().replace("-", "_")
    with suppress(ImportError):
        from torchvision import models

        if plain in models.list_models(models):
            return f"torchvision:{plain}"
    with suppress(ImportError):
        import timm

        if timm.is_model(plain):
            return f"timm:{plain}"
    return None


def _torchvision(name: str, target: str, common: dict, kwargs: dict) -> Callable[[], nn.Module]:
    models = extras.needed("torchvision.models", name)
    known = models.list_models(models)  # the classifiers: others fetch the weights of their backbone
    if target not in known:
        near = difflib.get_close_matches(target, known, n=1)
        raise ValueError(f"torchvision has no network {target!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    if common["in_channels"] not in (1, 3):
        raise ValueError(
            f"{name} takes images of 3 channels, or grey ones with in_channels=1, got in_channels="
            f"{common['in_channels']}"
        )
    if "image_size" in inspect.signature(models.get_model_builder(target)).parameters or target.startswith("vit"):
        kwargs = {"image_size": common["image_size"][0], **kwargs}

    def make() -> nn.Module:
        network = models.get_model(target, weights=None, num_classes=common["num_outputs"], **kwargs)
        return network if common["in_channels"] == 3 else _grey(network)

    return make


def _grey(network: nn.Module) -> nn.Module:
    """A network for colours made one for grey images, which answers as it did to the same image in each channel.

    The weights of its first layer are summed over the channels: sum_c w_c x = (sum_c w_c) x.
    """
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None or first.in_channels != 3 or first.groups != 1:
        raise ValueError(f"expected a first convolution of 3 channels, got {first}: take in_channels=3")
    first.weight = nn.Parameter(first.weight.detach().sum(1, keepdim=True))
    first.in_channels = 1
    return network


def _timm(name: str, target: str, common: dict, kwargs: dict) -> Callable[[], nn.Module]:
    timm = extras.needed("timm", name)
    if not timm.is_model(target):
        near = difflib.get_close_matches(target, timm.list_models(), n=1)
        raise ValueError(f"timm has no network {target!r}" + (f"; did you mean {near[0]!r}?" if near else ""))

    def draw(channels: int) -> nn.Module:
        return timm.create_model(
            target, pretrained=False, num_classes=common["num_outputs"], in_chans=channels, **kwargs
        )

    def make() -> nn.Module:
        if common["in_channels"] == 1:
            with suppress(ValueError):  # it begins with something else, such as pixels that are gathered into channels
                return _grey(draw(3))
        return draw(common["in_channels"])

    return make


def _own(name: str, target: str, common: dict, kwargs: dict) -> Callable[[], nn.Module]:
    made = named(name)
    known = inspect.signature(made).parameters
    passed = {key: value for key, value in common.items() if key in known}
    return lambda: made(**{**passed, **kwargs})


def _try(made: Factory, num_outputs: int) -> None:
    """Build one network and pass one image through it, on the meta device (no arithmetic) where it can."""

    step = "cannot be built for"

    def output() -> torch.Tensor:
        nonlocal step
        step = "cannot be built for"
        network = plain_network(made()).eval()
        step = "refuses"
        with torch.no_grad():
            return network(torch.zeros(2, *made.input_shape))

    try:
        answer = without_arithmetic(output)
    except Exception as error:
        raise ValueError(f"{made.name} {step} images of shape {made.input_shape}: {checks.blamed(error)}") from error
    if tuple(getattr(checks.real(answer), "shape", ())) != (2, num_outputs):
        raise ValueError(
            f"{made.name} was asked for {num_outputs} output(s) and returned {checks.described(answer)} for 2 images; "
            f"expected {(2, num_outputs)}: end it in a linear layer with num_outputs outputs"
        )
