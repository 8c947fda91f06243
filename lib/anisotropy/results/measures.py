"""Measured numbers that are kept: an ordinary function that looks its answer up before it computes it.

    @measures.kept("nads.effort", version=1, bound=0.05)
    def effort(architecture: str, *, networks: int, seed: int = 0) -> dict[str, list[float]]:
        ...
        return {"networks": [4, 8], "overlaps": [0.2, 0.4]}

is called as ever: `effort("lenet", networks=8)`. Its answer comes from the local store, else from the record
(`results/measures.jsonl`), else it is computed, on one thread, rounded and stored with what made it. `make record` adds
what is stored to the record, and the audit computes lines of it again. Its identity is the name, all arguments and the
version: raise the version when the numbers change. Only numbers and lists of them are kept.
"""

import functools
import inspect
import math
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from anisotropy._util import checks, paths, provenance
from anisotropy.results import columns, record, resumable, stores

STORE = "data/sweeps"
"""Local store of results, the same as of trainings, relative to the repository."""

PLAIN = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class Measure:
    """What `kept` knows of a function.

    Attributes:
        function: plain arguments -> name -> number, list of numbers or list of such lists.
        name: in the record, such as "nads.effort"; it stays when code moves.
        version: of its numbers; also those of other code, where its numbers depend on them.
        bound: share of the largest number of a name by which numbers may differ on another processor.
        digits: to which numbers are rounded.
        apart: arguments that do not change the numbers, such as a folder.
        known: argument -> the names that say what they stand for; with another one, that of a reader's own network, the
            numbers are computed each time and not kept.
    """

    function: Callable[..., Mapping[str, Any]]
    name: str
    version: tuple[int, ...]
    bound: float
    digits: int
    apart: tuple[str, ...]
    known: Mapping[str, Collection[str]]

    def fields(self, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Identity of a call, and the arguments that it is computed with.

        Raises:
            TypeError: an argument that there is not, or one that is missing.
            ValueError: an argument that is no plain value, or not of the type that the function states.
        """
        try:
            call = inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None
        call.apply_defaults()
        hints = typing.get_type_hints(self.function)
        given = {k: _plain(v, hints.get(k), f"{self.name}: {k}") for k, v in call.arguments.items()}
        known = {k: v for k, v in given.items() if k not in self.apart}
        fields = {"measure": self.name} | ({"arguments": known} if known else {}) | {"numerics": list(self.version)}
        record.line(fields, {}, {"clean": None})  # names with dots, empty mappings: refused here
        return fields, given

    def compute(self, given: dict[str, Any]) -> dict[str, Any]:
        """Outcome of a call, as a line has it: numbers under `found.`, the bound, seconds of the processor.

        Raises:
            TypeError: the function returned something else than numbers with names.
            FloatingPointError: one of them is not finite.
        """
        begin = resumable.clock("cpu")
        with resumable.one_thread("cpu"):
            answer = self.function(**given)
        seconds = resumable.clock("cpu") - begin
        if not isinstance(answer, Mapping) or not answer or not all(isinstance(k, str) for k in answer):
            raise TypeError(f"{self.name}: expected a mapping from names to numbers, got {checks.described(answer)}")
        found = {columns.FOUND + k: self._rounded(v, k) for k, v in answer.items()}
        return found | {"bound": self.bound, "seconds": round(seconds, 2)}

    def _rounded(self, value: Any, name: str) -> Any:
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, (list, tuple)):
            return [self._rounded(each, name) for each in value]
        if type(value) not in (int, float):
            raise TypeError(f"{self.name}: expected numbers as {name!r}, got {checks.described(value)}")
        if not math.isfinite(value):
            raise FloatingPointError(f"{self.name}: expected finite numbers as {name!r}, got {value}")
        return value if type(value) is int else float(f"{value:.{self.digits - 1}e}")

    def made(self) -> dict[str, Any]:
        """What makes its numbers; the code of a function outside of the package is in no commit that we know."""
        found = provenance.made("cpu")
        inside = self.function.__module__.partition(".")[0] == __name__.partition(".")[0]
        return found if inside else found | {"clean": False}

    def ask(self, store: str | Path, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Name -> numbers: from the store, else from the record, else computed and stored."""
        fields, given = self.fields(*args, **kwargs)
        if not all(given[name] in names for name, names in self.known.items()):
            return _found(self.compute(given))
        key, place = stores.digest(fields), stores.Store(paths.resolve(store))
        result = place.read(key) or record.results([key]).get(key)
        if result is None:
            place.check()
            made = self.made()  # of the code before it runs
            result = self.compute(given)
            place.write(fields, result, made)
        stores.USED[key] = result
        return _found(result)

    def again(self, row: dict[str, Any], **apart: Any) -> dict[str, Any]:
        """Compute a line once more, from its identity alone.

        Args:
            row: of the record.
            **apart: arguments that are no part of the identity; those that the function has not are left out.

        Raises:
            ValueError: another version made it, or it cannot be computed here.
        """
        old = record.fields_of(row)
        try:
            fields, given = self.fields(**old.get("arguments", {}), **{k: apart[k] for k in apart if k in self.apart})
        except TypeError as error:
            raise ValueError(f"it was made by code with other arguments: {error}") from error
        if stores.digest(fields) != row["key"]:
            raise ValueError("it was made by another version of the code, which numbers its results otherwise")
        return record.line(fields, self.compute(given), self.made())


def kept(
    name: str,
    *,
    version: int | Sequence[int],
    bound: float,
    digits: int = 6,
    apart: Sequence[str] = (),
    known: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Callable[[Callable[..., Mapping[str, Any]]], Callable[..., dict[str, Any]]]:
    """Decorate a function of plain arguments so that its numbers are looked up, computed where they are new, and kept.

    The function takes one more argument by keyword, `store`, the folder of the local store. See `Measure` for the
    arguments here, and for what is wrong with an argument or an answer.

    Example:
        >>> import tempfile
        >>> @kept("example.powers", version=1, bound=0.0)
        ... def powers(base: float, most: int = 2) -> dict[str, list[float]]:
        ...     return {"powers": [base**n for n in range(most + 1)]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     powers(3, store=folder)
        {'powers': [1.0, 3.0, 9.0]}
    """
    versions = (version,) if isinstance(version, int) else tuple(version)

    def decorate(function: Callable[..., Mapping[str, Any]]) -> Callable[..., dict[str, Any]]:
        measure = Measure(function, name, versions, bound, digits, tuple(apart), known)

        @functools.wraps(function)
        def ask(*args: Any, store: str | Path = STORE, **kwargs: Any) -> dict[str, Any]:
            return measure.ask(store, args, kwargs)

        ask.measure = measure
        return ask

    return decorate


def _found(result: dict[str, Any]) -> dict[str, Any]:
    """Numbers of a result by their names, in one order, wherever they come from."""
    found = {k.removeprefix(columns.FOUND): v for k, v in result.items() if k.startswith(columns.FOUND)}
    return dict(sorted(found.items()))


def of(*modules: ModuleType) -> dict[str, Measure]:
    """Measures that modules define, by name.

    Raises:
        ValueError: two of one name.
    """
    found: dict[str, Measure] = {}
    for module in modules:
        for value in vars(module).values():
            measure = getattr(value, "measure", None)
            if isinstance(measure, Measure) and measure.function.__module__ == module.__name__:
                if measure.name in found:
                    raise ValueError(f"expected one measure of each name, got two of {measure.name!r}")
                found[measure.name] = measure
    return found


def _plain(value: Any, hint: Any, where: str) -> Any:
    """An argument as JSON can hold it, in the type that the function states for it, where that is a plain one."""
    value = value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value
    if hint in PLAIN:
        value = float(value) if hint is float and type(value) is int else value
        if type(value) is not hint:
            raise ValueError(f"{where}: expected {PLAIN[hint]}, got {checks.described(value)}")
    if isinstance(value, (list, tuple)):
        inner = (*typing.get_args(hint), None)[0] if typing.get_origin(hint) in (list, Sequence) else None
        return [_plain(each, inner, where) for each in value]
    if isinstance(value, dict) and value and all(isinstance(k, str) for k in value):
        return {k: _plain(each, None, where) for k, each in value.items()}
    if value is not None and (type(value) not in PLAIN or (type(value) is float and not math.isfinite(value))):
        raise ValueError(f"{where}: expected numbers, text, lists or mappings of them, got {checks.described(value)}")
    return value
