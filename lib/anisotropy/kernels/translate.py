"""Torch modules as graphs: what a network computes is traced, its weights are read as random numbers.

Every layer is recognised or refused. A layer without closed form (max-pooling), one that is not known here, and trained
batch norm raise `NoClosedForm` with the layer's name.
"""

import math
import operator
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from anisotropy.kernels.activations import Erf, ErrorFunction, Rectifier
from anisotropy.kernels.axes import axis, whole
from anisotropy.kernels.graph import Builder, Graph, NoClosedForm, Value
from anisotropy.kernels.layers import blur_axis
from anisotropy.models.blurpool import BlurPool2d

ENOUGH = 2**18
"""Weights of a layer that are looked at; more networks of a factory are drawn while its smallest layers have few."""

DRAWS, SMALL = 8, 2**21
"""Networks that are drawn of a factory whose networks have fewer weights than this; of larger ones one."""

_NOTHING = (nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout2d, nn.AlphaDropout)
_RELU = (nn.functional.relu, torch.relu, torch.relu_, "relu", "relu_")
_ADD = (operator.add, operator.iadd, torch.add, "add", "add_")
_FLATTEN = (torch.flatten, "flatten")


def graph_of(make: Callable[[], nn.Module] | nn.Module, input_shape: tuple[int, int, int]) -> Graph:
    """The graph of a torch network.

    Args:
        make: a factory of fresh networks, or one fresh network.
        input_shape: (C, H, W).

    Raises:
        NoClosedForm: a layer has no closed form, or is not known here.
        ValueError: sizes do not fit.
    """
    if isinstance(make, nn.Module):
        networks = [make]
    else:
        networks = [make()]
        if sum(w.numel() for w in networks[0].parameters()) < SMALL:
            networks += [make() for _ in range(DRAWS - 1)]
    networks = [network.eval() for network in networks]
    try:
        traced = _Tracer().trace(networks[0])
    except Exception as error:
        raise NoClosedForm(
            f"{type(networks[0]).__name__} cannot be traced by torch.fx ({error}): describe it with kernels.layers"
        ) from error
    return _Walk(networks, tuple(input_shape)).run(traced)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (BlurPool2d, Erf)) or super().is_leaf_module(m, module_qualified_name)


class _Walk:
    """Follows a traced network from its input to its output."""

    def __init__(self, networks: list[nn.Module], input_shape: tuple[int, int, int]):
        self.networks, self.builder, self.used = networks, Builder(input_shape), set()

    def run(self, traced: fx.Graph) -> Graph:
        values: dict[fx.Node, Value] = {}
        for node in traced.nodes:
            if node.op == "output":
                return self.builder.graph(values[node.args[0]])
            if node.op == "placeholder":
                values[node] = self.builder.source()
                continue
            arguments = fx.map_arg((node.args, node.kwargs), lambda n: values[n])
            if node.op == "call_module":
                values[node] = self._module(node.target, *arguments[0])
            elif node.op in ("call_function", "call_method"):
                values[node] = self._function(node.target, *arguments)
            else:
                raise NoClosedForm(f"{node.target}: a parameter outside of a layer is not known here")
        raise ValueError("the network returns nothing")

    def _module(self, name: str, value: Value) -> Value:
        layer = self.networks[0].get_submodule(name)
        if isinstance(layer, _NOTHING):
            return value
        if isinstance(layer, nn.ReLU):
            return self.builder.pointwise(value, Rectifier())
        if isinstance(layer, Erf):
            return self.builder.pointwise(value, ErrorFunction())
        if isinstance(layer, nn.BatchNorm2d):
            _check_fresh(name, layer)
            return value
        if isinstance(layer, nn.Conv2d):
            return self._convolution(name, layer, value)
        if isinstance(layer, nn.Linear):
            return self._dense(name, layer, value)
        if isinstance(layer, nn.AvgPool2d):
            if layer.ceil_mode or layer.divisor_override or (layer.padding not in (0, (0, 0))):
                raise NoClosedForm(f"{name}: average pooling with padding, ceil_mode or a divisor is not known here")
            return _pool(self.builder, value, layer.kernel_size, layer.stride)
        if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1)):
            return self._global_average(value)
        if isinstance(layer, BlurPool2d):
            return self.builder.fixed(value, *(blur_axis(s, layer.order, layer.stride) for s in value.sides))
        raise _unknown(name, type(layer).__name__)

    def _function(self, target, args: Sequence, kwargs: dict) -> Value:
        if target in _RELU:
            return self.builder.pointwise(args[0], Rectifier())
        if target is torch.erf:
            return self.builder.pointwise(args[0], ErrorFunction())
        if target in _ADD and all(isinstance(a, Value) for a in args[:2]):
            return self.builder.add(*args[:2])
        if target in (torch.cat, torch.concat) and (args[1:] or [kwargs.get("dim", 0)])[0] == 1:
            return self.builder.concatenate(args[0])
        if target in _FLATTEN and (args[1:] or [kwargs.get("start_dim", 0)])[0] == 1:
            return args[0]
        if target in (F.dropout, "contiguous"):
            return args[0]
        if target in (torch.mean, "mean"):
            axes = (args[1:] or [kwargs.get("dim")])[0]
            if axes is not None and sorted(a % 4 for a in axes) == [2, 3]:
                return self._global_average(args[0])
        if target is F.adaptive_avg_pool2d and (args[1:] or [kwargs.get("output_size")])[0] in (1, (1, 1)):
            return self._global_average(args[0])
        if target is F.avg_pool2d and set(kwargs) <= {"kernel_size", "stride"} and len(args) <= 3:
            window, stride = (*args[1:], *kwargs.values(), None)[:2]
            return _pool(self.builder, args[0], window, stride)
        raise _unknown(f"call of {getattr(target, '__name__', target)}", str(target))

    def _global_average(self, value: Value) -> Value:
        return self.builder.fixed(value, *(whole(side, average=True) for side in value.sides))

    def _convolution(self, name: str, layer: nn.Conv2d, value: Value) -> Value:
        if layer.groups > 1 and (len(value.parts) > 1 or layer.in_channels // layer.groups < 8):
            raise NoClosedForm(
                f"{name}: a convolution with {layer.groups} groups reads {layer.in_channels // layer.groups} channels, "
                "too few for a Gaussian limit"
            )
        padding = layer.padding
        if isinstance(padding, str):
            total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(layer.dilation, layer.kernel_size)]  # noqa: B905
            padding = [(t // 2, t - t // 2) for t in total]
        tables = (
            axis(side, kernel, stride=stride, padding=pad, dilation=dilation, mode=layer.padding_mode)
            for side, kernel, stride, pad, dilation in zip(
                value.sides, layer.kernel_size, layer.stride, padding, layer.dilation, strict=True
            )
        )
        variance, bias = self._variances(name)
        return self.builder.random(value, layer.out_channels, *tables, variance / layer.groups, bias)

    def _dense(self, name: str, layer: nn.Linear, value: Value) -> Value:
        positions = value.sides[0] * value.sides[1]
        if layer.in_features != value.channels * positions:
            raise NoClosedForm(f"{name}: reads {layer.in_features} numbers of {value.channels} x {positions}")
        variance, bias = self._variances(name)
        return self.builder.random(
            value, layer.out_features, *(whole(side, average=False) for side in value.sides), variance, bias
        )

    def _variances(self, name: str) -> tuple[float, float]:
        """Variance of a layer's weights and of its biases: of the usual initialisation that fits, else as measured."""
        if name in self.used:
            raise NoClosedForm(f"{name} is used twice: its two outputs depend on the same weights")
        self.used.add(name)
        layers = [network.get_submodule(name) for network in self.networks]
        first = layers[0].weight
        fan_in, fan_out = first[0].numel(), first[:, 0].numel()
        variance = self._variance(f"{name}.weight", [layer.weight for layer in layers], fan_in, fan_out)
        if layers[0].bias is None:
            return variance, 0.0
        return variance, self._variance(f"{name}.bias", [layer.bias for layer in layers], fan_in, fan_out)

    def _variance(self, name: str, tensors: list[Tensor], fan_in: int, fan_out: int) -> float:
        draws = torch.cat([t.detach().flatten()[:: max(1, t.numel() // ENOUGH)].double() for t in tensors])
        measured, count = float(draws.square().mean()), draws.numel()
        if measured == 0:
            return 0.0
        if abs(float(draws.mean())) > 6 * math.sqrt(measured / count):
            raise NoClosedForm(f"{name}: the weights have a mean; was the network trained?")
        usual = {1 / (3 * fan_in), 1 / fan_in, 2 / fan_in, 2 / fan_out, 2 / (fan_in + fan_out)}
        near = min(usual, key=lambda v: abs(math.log(v / measured)))
        if abs(measured / near - 1) < 5 * math.sqrt(2 / count):
            return near
        self.builder.notes.append(f"{name}: variance {measured:.3g} as measured on {count} weights")
        return measured


def _pool(builder: Builder, value: Value, window, stride) -> Value:
    window = window if isinstance(window, tuple) else (window, window)
    stride = window if stride is None else stride if isinstance(stride, tuple) else (stride, stride)
    tables = (
        axis(side, k, stride=s, weights=(1 / k,) * k) for side, k, s in zip(value.sides, window, stride, strict=True)
    )
    return builder.fixed(value, *tables)


def _check_fresh(name: str, norm: nn.BatchNorm2d) -> None:
    if norm.running_mean is None:
        raise NoClosedForm(f"{name}: batch norm without running statistics depends on the batch")
    states = [(norm.running_mean, 0), (norm.running_var, 1)]
    states += [(norm.weight, 1), (norm.bias, 0)] if norm.affine else []
    if not all(bool((tensor == fresh).all()) for tensor, fresh in states):
        raise NoClosedForm(f"{name}: batch norm is not that of a fresh network (means 0, variances 1)")


def _unknown(name: str, kind: str) -> NoClosedForm:
    if "max" in kind.lower() or "max" in name.lower():
        return NoClosedForm(
            f"{name} ({kind}): the maximum of correlated Gaussians has no closed form. Measure NADs by sampling "
            "(estimate), or exchange max-pooling for nn.AvgPool2d"
        )
    return NoClosedForm(f"{name} ({kind}) has no closed form that is known here: measure NADs by sampling (estimate)")
