"""Arguments as a user gives them: one error for each kind of mistake, saying what was expected, what came, what to do.

Only what Python or torch would answer with a message about their own insides, or not at all, is checked here. torch is
imported by the functions that need it: what draws figures and tables must not wait for it.
"""

import inspect
import math
import os
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn


def described(value: Any) -> str:
    """Return a value as an error message shows it: its type, and its shape or text where that is short."""
    shape = getattr(value, "shape", None)
    if shape is not None and not callable(shape):
        return f"{type(value).__name__} of shape {tuple(shape)}"
    text = repr(value)
    if isinstance(value, (bool, int, float, str, type(None))) and len(text) < 80:
        return text
    return f"an object of type {type(value).__name__}"


def blamed(error: BaseException) -> str:
    """Return an error in one line: its type, what it says, and where it was raised in the user's own code.

    That is the innermost line of the traceback that is neither of this package, nor installed, nor of Python itself.

    Example:
        >>> blamed(ValueError("no"))
        'ValueError: no'
    """
    text = " ".join(str(error).split())
    shown = f"{type(error).__name__}: {text if len(text) <= 500 else text[:500] + ' ...'}"
    foreign = {str(Path(sysconfig.get_path(name)).resolve()) + os.sep for name in ("stdlib", "purelib", "platlib")}
    package = Path(__file__).resolve().parents[__name__.count(".") - 1]
    foreign |= {str(package) + os.sep, "<frozen"}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        inside = frame.filename if frame.filename.startswith("<") else str(Path(frame.filename).resolve())
        if not inside.startswith(tuple(foreign)):
            code = f": {frame.line}" if frame.line else ""
            return f"{shown} (line {frame.lineno} of {Path(frame.filename).name}, in {frame.name}{code})"
    return shown


def tensor(value: Any, what: str) -> "torch.Tensor":
    """Return a tensor as it is.

    Args:
        value: as given.
        what: how the message calls it, such as "images".

    Raises:
        TypeError: it is no tensor; says how to make one of it.
    """
    import torch

    if isinstance(value, torch.Tensor):
        return value
    advice = "torch.as_tensor makes one of an array or a list of numbers"
    raise TypeError(f"expected {what} as a torch.Tensor, got {described(value)}; {advice}")


def directions(value: Any, what: str = "directions") -> "torch.Tensor":
    """Return directions as a tensor: those of NADs or of a Fourier basis, a NumPy array's, or a tensor as it is.

    Args:
        value: as given.
        what: how the message calls it.

    Raises:
        TypeError: it is none of these, or an array of something else than numbers.
    """
    import torch

    if isinstance(getattr(value, "directions", None), torch.Tensor):  # Nads
        return value.directions
    if isinstance(getattr(value, "vectors", None), torch.Tensor):  # FourierBasis
        return value.pictures()
    if hasattr(value, "__array__") and not isinstance(value, torch.Tensor):
        array = np.array(value)
        value = torch.from_numpy(array) if array.dtype.kind in "fiu" else array
    return tensor(value, what)


def printable(text: str) -> str:
    r"""Return text as it may be written to a terminal: what a terminal would obey (colours, bells) is spelt out.

    Example:
        >>> printable("red: \x1b[31m")
        'red: \\x1b[31m'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def real(output: Any) -> Any:
    """Return a network's output as it is.

    Raises:
        ValueError: it is a tensor of complex numbers.
    """
    if getattr(output, "is_complex", bool)():
        raise ValueError(
            f"expected a network with real outputs, got {output.dtype}: end its forward in .real or .abs(), whichever "
            "is meant"
        )
    return output


def finite(value: "torch.Tensor", what: str) -> "torch.Tensor":
    """Return a tensor without NaN and infinities.

    Raises:
        ValueError: it has some; says how many.
    """
    import torch

    wrong = int((~torch.isfinite(value)).sum())
    if wrong:
        raise ValueError(
            f"expected finite {what}, got {wrong:,} of {value.numel():,} numbers that are NaN or infinite; look for "
            "where they come from, such as a division by zero"
        )
    return value


def whole(value: Any, what: str, least: int = 1) -> int:
    """Return a whole number of at least `least`.

    Raises:
        ValueError: it is none; 2.0 and True are not accepted for 2 and 1.
    """
    try:
        number = None if isinstance(value, (bool, float, str)) else value.__index__()
    except (AttributeError, TypeError):
        number = None
    if number is None or number < least:
        raise ValueError(f"expected {what} as a whole number of at least {least}, got {described(value)}")
    return number


def seed(value: Any, what: str = "seed") -> int:
    """Return a seed, a whole number from 0 to 2**63 - 1.

    Raises:
        ValueError: it is none, or larger: torch's generators take no more.
    """
    if whole(value, what, 0) >= 2**63:
        raise ValueError(f"expected {what} below 2**63, which torch's generators take, got {value}; take a smaller one")
    return value.__index__()


SHAPES = "(C, H, W) of images, (1, length) or (length,) of sequences, (nodes, features) of a graph"
"""Shapes of one input, as messages name them."""


def shape(value: Any) -> tuple[int, ...]:
    """Return the shape of one input: one, two or three positive whole numbers.

    Raises:
        ValueError: it is none.
    """
    try:
        sides = tuple(whole(side, "a side") for side in value)
    except (TypeError, ValueError):
        sides = ()
    if not 1 <= len(sides) <= 3 or isinstance(value, str):
        raise ValueError(f"expected a shape of one to three positive whole numbers, {SHAPES}, got {value!r}")
    return sides


def several(value: "torch.Tensor", what: str = "directions") -> "torch.Tensor":
    """Return directions (K, *shape) with K >= 1, where shape has one to three axes.

    Raises:
        ValueError: other axes, or none of them.
    """
    if not 2 <= value.ndim <= 4 or not value.numel():
        raise ValueError(
            f"expected {what} of shape (K, *shape) with K >= 1 and a shape of one to three axes, {SHAPES}, got "
            f"{tuple(value.shape)}"
        )
    return value


def number(value: Any, what: str) -> float:
    """Return a finite number as a float.

    Raises:
        ValueError: it is none, or NaN or infinite; text is not converted.
    """
    try:
        found = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor of several numbers
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"expected {what} as a finite number, got {described(value)}")
    return found


def seeds(values: Any) -> list[int]:
    """Return seeds as integers.

    Raises:
        ValueError: not a sequence of whole numbers from 0 to 2**63 - 1, none, or one of them twice.
    """
    if isinstance(values, (str, bytes)) or (
        not isinstance(values, (Sequence, range)) and not hasattr(values, "tolist")
    ):
        raise ValueError(f"expected seeds as a sequence such as (0, 1, 2) or range(3), got {described(values)}")
    found = [seed(each, "each seed") for each in values]
    if not found or len(set(found)) != len(found):
        raise ValueError(f"expected at least one seed and none twice, got {found}")
    return found


def generator(value: Any) -> "torch.Generator":
    """Return a random generator as it is.

    Raises:
        TypeError: it is none: without one torch draws from a global state that nobody knows.
    """
    import torch

    if not isinstance(value, torch.Generator):
        raise TypeError(f"expected generator=torch.Generator().manual_seed(0), say, got {described(value)}")
    return value


def device(name: Any) -> str:
    """Return the name of a device that is there.

    Raises:
        ValueError: no such kind of device, torch finds none of it here, or it has no float64 (mps).
    """
    import torch

    if str(name).split(":")[0] == "mps":
        raise ValueError("'mps' is no device for this library: it has no float64, in which sums are kept; take 'cpu'")
    try:
        torch.empty(0, device=name)
        return str(name)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        here = "a GPU is here: 'cuda'" if torch.cuda.is_available() else "torch finds no GPU on this machine"
        raise ValueError(
            f"expected a device that torch can use, 'cpu', 'cuda' or 'cuda:1', got {name!r}; {here} "
            f"({str(error).splitlines()[0]:.120})"
        ) from error


def folder(path: Any, what: str) -> str:
    """Return a path as text.

    Raises:
        ValueError: it is no path, or an empty one.
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path).strip():
        raise ValueError(f"expected {what} as the path of a folder, got {described(path)}")
    return str(path)


def factory(make: Any) -> "Callable[[], nn.Module]":
    """Return a callable without arguments, as every function that draws random networks needs one.

    Raises:
        TypeError: a name, one network, or a callable that needs arguments; says how to make a factory of it.
    """
    from torch import nn

    wanted = "expected a factory, a function without arguments that makes a fresh network"
    if isinstance(make, str):
        raise TypeError(f"{wanted}, got the text {make!r}; architectures.factory({make!r}) makes one of a name")
    if isinstance(make, nn.Module):
        name = type(make).__name__
        raise TypeError(f"{wanted}, got one network; pass a function that makes a new one, such as lambda: {name}(...)")
    if not callable(make):
        raise TypeError(f"{wanted}, got {described(make)}")
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        name = getattr(make, "__name__", type(make).__name__)
        raise TypeError(f"{wanted}, got {name}, which wants arguments ({error}); write lambda: {name}(...)") from error
    except ValueError:  # a callable written in C, whose signature is not known
        pass
    return make
