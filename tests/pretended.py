"""A GPU that is not there: tensors that say they are on cuda:0 are kept and computed on the CPU, bit by bit the same.

What it can show: that nothing is left on the wrong device, where torch refuses to mix the two on a real GPU too; that
the code takes its GPU's ways; that what does not fit is computed in halves; how many operations are sent there. What
it cannot: how fast a GPU is, what it rounds differently, and autocast. Operations are seen below autograd and vmap.
"""

from __future__ import annotations

import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

NAME = "cuda:0"
aten = torch.ops.aten
MIXING = {getattr(aten, name) for name in ["copy_", "_to_copy", "index", "index_put", "index_put_", "_index_put_impl_"]}
"""Operations that take tensors of both sides: copies, and indices on the CPU."""
FREE = {aten._unsafe_view, aten.empty, aten.empty_strided, aten.new_empty, aten.new_empty_strided, aten.empty_like}
"""Operations that compute nothing, besides views."""


class Held(torch.Tensor):
    """A tensor of the pretended GPU. Torch's core takes it for one without memory, Python for one on cuda:0."""

    device = property(lambda self: torch.device(NAME))
    is_cuda = property(lambda self: True)
    is_cpu = is_meta = property(lambda self: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor, gpu: GPU):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device="meta",
        )

    def __init__(self, inner: torch.Tensor, gpu: GPU):
        self.inner, self.gpu = inner, gpu
        gpu.hold(self)

    def tolist(self):
        return self.inner.tolist()

    def __repr__(self, **_):
        return f"Held({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        gpu = next(t.gpu for t in tree_leaves((args, kwargs)) if isinstance(t, Held))
        return gpu.run(operation, args, kwargs or {})


class _Watch(TorchDispatchMode):
    """Sees the operations of one thread."""

    def __init__(self, gpu: GPU):
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return self.gpu.run(operation, args, kwargs or {})


class GPU:
    """A pretended GPU, there while its `with` lasts.

    Args:
        memory: bytes; more raises torch's OutOfMemoryError.

    Attributes:
        held: bytes in use.
        peak: most bytes in use so far.
        operations: name -> how often it was sent to the GPU; what computes nothing, such as a view, is not counted.
    """

    def __init__(self, memory: int = 2**40):
        self.memory, self.held, self.peak = memory, 0, 0
        self.operations: Counter[str] = Counter()
        self._users: Counter[int] = Counter()

    def hold(self, tensor: Held) -> None:
        """Count the memory behind a tensor until its last user is gone."""
        storage = tensor.inner.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        self._users[key] += 1
        if self._users[key] == 1:
            self.held += size
            self.peak = max(self.peak, self.held)
        weakref.finalize(tensor, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            self.held -= size

    def run(self, operation, args, kwargs):
        """Compute an operation, and keep its results where a real one would."""
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        if any(type(t) not in (torch.Tensor, torch.nn.Parameter, Held) for t in tensors):
            return NotImplemented  # for `Windows` to take apart
        here = [isinstance(t, Held) for t in tensors]
        strangers = [t for t, inside in zip(tensors, here, strict=True) if not inside and t.dim()]
        if any(here) and strangers and operation.overloadpacket not in MIXING:
            shapes = [tuple(t.shape) for t in strangers]
            raise RuntimeError(f"Expected all tensors to be on the same device: {operation} got {shapes} on the CPU")
        target = kwargs.get("device")
        # Torch's core makes zeros beside a tensor of ours on the meta device, where it believes that to be.
        there = any(here) if target is None else torch.device(target).type != "cpu"
        known = {id(t.inner): t for t in tensors if isinstance(t, Held)}
        args, kwargs = tree_map_only(Held, lambda t: t.inner, (args, kwargs))
        kwargs = {k: torch.device("cpu") if k == "device" and v is not None else v for k, v in kwargs.items()}
        result = operation(*args, **kwargs)
        if not there:
            return result
        if not operation.is_view and operation.overloadpacket not in FREE:
            self.operations[operation.overloadpacket.__name__] += 1
        # What works in place returns the tensor that it was given.
        found = tree_map_only(torch.Tensor, lambda t: known[id(t)] if id(t) in known else Held(t, self), result)
        if self.held > self.memory:
            raise torch.OutOfMemoryError(f"CUDA out of memory: {self.held} bytes wanted of {self.memory}")
        return found

    def __enter__(self) -> GPU:
        gpu, watch = self, _Watch(self)

        class Pool(ThreadPoolExecutor):  # torch watches the operations of a thread, not of its children
            def __init__(self, *args, **kwargs):
                super().__init__(*args, initializer=_Watch(gpu).__enter__, **kwargs)

        state = torch.zeros(16, dtype=torch.uint8)
        replaced = {
            "torch.cuda._lazy_init": lambda: None,
            "torch.cuda.is_available": lambda: True,
            "torch.cuda.empty_cache": lambda: None,
            "torch.cuda.synchronize": lambda device=None: None,
            "torch.cuda.device": lambda device: nullcontext(),
            "torch.cuda.manual_seed": lambda seed: None,
            "torch.cuda.get_rng_state": lambda device=None: state,
            "torch.cuda.set_rng_state": lambda state, device=None: None,
            "anisotropy.experiments.units.ThreadPoolExecutor": Pool,
        }
        with ExitStack() as stack:
            for name, value in replaced.items():
                stack.enter_context(mock.patch(name, value))
            torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=...) makes it here and moves it
            stack.callback(torch._C._set_only_lift_cpu_tensors, False)
            stack.enter_context(watch)
            self._leave = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._leave.close()
