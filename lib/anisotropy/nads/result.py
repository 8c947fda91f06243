"""What an estimate of NADs is: eigenvalues, directions, how sure they are, and a file without pickle for them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import xarray as xr
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from anisotropy._util import checks, files
from anisotropy.nads import _drawing, compare

if TYPE_CHECKING:
    import matplotlib.figure
    from matplotlib.axes import Axes


@dataclass
class Nads:
    """NADs of one architecture, with their uncertainty and everything needed to measure them again.

    Attributes:
        eigenvalues: (k,) float64 in decreasing order, of the uncentred covariance; k = D, or fewer where D is large.
        directions: (k, *shape) float32, orthonormal; the entry of largest size is positive in each. The shape is that
            of an input: (C, H, W) of an image, (1, length) of a sequence, (nodes, features) of a graph.
        networks: random networks averaged over.
        eigenvalue_errors: (k,) standard error of each eigenvalue, from the spread between groups of networks.
        split_half: k -> overlap of the top-k subspaces of two halves of the networks; where channels are alike, k is a
            multiple of their number: single colours are a convention. The whole estimate is closer to
            the truth than its halves are to each other: see `overlap_range`.
        plain_networks: k -> number of networks that plain sampling of s s^T would need to know the top-k subspace as
            well, at least (`compare.plain_networks`), for the same k.
        curve: (networks, seconds, overlap of the halves at the target's k) as the estimate grew, where recorded.
        settings: arguments, evaluation point, verified symmetries, read-out, versions, time.
        trace: tr(C), what all D eigenvalues add up to, also those that are not kept. Of a whole basis it is their sum;
            None where only the leading directions are known and nothing says what they leave (files of 0.1.0).
    """

    eigenvalues: Tensor
    directions: Tensor
    networks: int
    eigenvalue_errors: Tensor | None = None
    split_half: dict[int, float] = field(default_factory=dict)
    plain_networks: dict[int, float] = field(default_factory=dict)
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    trace: float | None = None

    def __post_init__(self):
        k, size = len(self.eigenvalues), self.directions.shape[1:].numel()
        if not 2 <= self.directions.dim() <= 4 or len(self.directions) != k or not 1 <= k <= size:
            raise ValueError(
                "expected k eigenvalues and directions (k, *shape) with one to three axes in shape and 1 <= k <= D, "
                f"got {k} and {tuple(self.directions.shape)}"
            )
        if self.trace is not None and not checks.number(self.trace, "the trace") >= 0:
            raise ValueError(f"expected a trace of at least 0, got {self.trace}")
        if self.whole:
            self.trace = float(self.eigenvalues.sum())

    def __repr__(self) -> str:
        described = self.settings.get("architecture")
        name = described.get("name", "a network") if isinstance(described, dict) else described or "a network"
        return (
            f"Nads({name}, {len(self.eigenvalues)} directions of {tuple(self.directions.shape[1:])}, "
            f"{self.settings.get('method', '?')}, {self.networks} networks)"
        )

    @property
    def rows(self) -> Tensor:
        """Directions as rows (k, D)."""
        return self.directions.flatten(1)

    @property
    def whole(self) -> bool:
        """Whether all D directions are kept, so that C is known."""
        return len(self.eigenvalues) == self.directions.shape[1:].numel()

    @property
    def rest(self) -> float | None:
        """Energy that the kept directions leave, tr(C) - sum_i lambda_i, at least 0; None where it is not known."""
        return None if self.trace is None else max(0.0, self.trace - float(self.eigenvalues.sum()))

    def to_xarray(self) -> xr.Dataset:
        """Directions, eigenvalues and their errors as a labelled dataset, with the settings as JSON in its attributes.

        Dimensions are (nad, channel, row, column), of inputs with fewer axes (nad, axis_0, axis_1);
        `xarray.Dataset.to_netcdf` writes it.
        """
        count = self.directions.dim() - 1
        axes = ("channel", "row", "column") if count == 3 else tuple(f"axis_{i}" for i in range(count))
        variables = {
            "directions": (("nad", *axes), self.directions.numpy()),
            "eigenvalues": ("nad", self.eigenvalues.numpy()),
        }
        if self.eigenvalue_errors is not None:
            variables["eigenvalue_errors"] = ("nad", self.eigenvalue_errors.numpy())
        halves = {str(k): overlap for k, overlap in self.split_half.items()}
        about = {"networks": self.networks, "settings": json.dumps(self.settings), "split_half": json.dumps(halves)}
        about |= {} if self.trace is None else {"trace": self.trace}
        return xr.Dataset(variables, {"nad": range(len(self.eigenvalues))}, about)

    def plot(self, indices: Sequence[int] | None = None) -> "matplotlib.figure.Figure":
        """Draw directions, the first eight by default: images as pictures, inputs of one or two axes as lines.

        Raises:
            ValueError: an index that there is not.
        """
        chosen = range(min(8, len(self.directions))) if indices is None else list(indices)
        if not len(chosen) or not all(0 <= checks.whole(i, "each index", 0) < len(self.directions) for i in chosen):
            raise ValueError(f"expected indices from 0 to {len(self.directions) - 1}, got {chosen}")
        return _drawing.gallery(self.directions, chosen)

    def spectrum(self, ax: "Axes | None" = None, **look: Any) -> "Axes":
        """Draw the eigenvalues in units of their mean, with their standard errors.

        Args:
            ax: where; the current axes of matplotlib if None.
            **look: of the line, such as label="mine".
        """
        mean = self.trace / self.rows.shape[1] if self.trace else None
        ax = _drawing.pyplot().gca() if ax is None else ax
        return _drawing.spectrum(ax, self.eigenvalues, self.eigenvalue_errors, mean, **look)

    def _repr_html_(self) -> str:
        rows = [["NADs of", str(self).removeprefix("Nads(").removesuffix(")")]]
        rows += [["largest eigenvalues", ", ".join(f"{float(v):.3g}" for v in self.eigenvalues[:5])]]
        for k in self.split_half:
            low, high = self.overlap_range(k)
            rows += [[f"overlap of the leading {k} with the truth", f"{low:.2f} to {high:.2f}"]]
        return _drawing.html_table(rows)

    def overlap(self, other: "Nads | Tensor", k: int) -> float:
        """Overlap |U_k^T W_k|_F^2 / k of the top-k subspaces, 1 for the same subspace (`compare.overlap`)."""
        return compare.overlap(self, other, k)

    def alignment(self, other: "Nads") -> float:
        """Correlation of the anisotropic parts of the two covariances, NaN where one has none (`compare.alignment`).

        Raises:
            ValueError: one of them is known by its leading directions only; compare these by `overlap`.
        """
        return compare.alignment(self.covariance(), other.covariance())

    def covariance(self) -> Tensor:
        """C = sum_i lambda_i u_i u_i^T (D, D), float64.

        Raises:
            ValueError: only the leading directions are kept, and what they leave is more than rounding.
        """
        if not self._nothing_left():
            raise ValueError(
                f"these NADs are the leading {len(self.eigenvalues)} of {self.rows.shape[1]} directions: the "
                f"covariance outside of them is not known{self._left()}. Measure it with rank={self.rows.shape[1]}, "
                "compare the kept directions by .overlap(other, k), or ask .energy_range(v)"
            )
        u = self.rows.double()
        return (u.T * self.eigenvalues) @ u

    def energy(self, v: Tensor) -> Tensor:
        """Quadratic form v^T C v of directions v (K, *shape) or NADs: how strongly fresh networks answer (Eq. 6).

        Raises:
            ValueError: shapes do not fit, or v^T C v depends on directions that were not kept (`energy_range`).
        """
        low, high = self.energy_range(v)
        if bool((high - low > 1e-6 * high).any()):
            k = int((high - low).argmax())
            raise ValueError(
                f"these NADs are the leading {len(self.eigenvalues)} of {self.rows.shape[1]} directions, and the "
                f"energy along direction {k} depends on the others{self._left()}: it is between {float(low[k]):.4g} "
                f"and {float(high[k]):.4g}. Take these bounds, .energy_range(v), or measure with a larger rank, up to "
                f"{self.rows.shape[1]}"
            )
        return low

    def energy_range(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds (K,), (K,) of v^T C v for directions v (K, *shape); equal where all directions are kept.

        With w the part of v outside of the k kept directions, v^T C v = sum_i lambda_i (u_i^T v)^2 + w^T C w. The
        m = D - k eigenvalues outside are at most lambda_k each and add up to the rest r = tr(C) - sum_i lambda_i, so

            max(0, r - (m - 1) lambda_k) |w|^2  <=  w^T C w  <=  min(lambda_k, r) |w|^2,

        where r is known; else the lower end is 0 and the upper one lambda_k |w|^2. A sketch knows its directions
        up to sampling and rounding, and so are the bounds meant.

        Raises:
            TypeError, ValueError: no tensor, or shapes do not fit.
        """
        v = checks.directions(v)
        if v.shape[1:] != self.directions.shape[1:]:
            raise ValueError(
                f"expected directions of shape (K, {', '.join(map(str, self.directions.shape[1:]))}), got "
                f"{tuple(v.shape)}"
            )
        v, u = v.flatten(1).double(), self.rows.double()
        inside = v @ u.T
        known = inside.square() @ self.eigenvalues
        if self._nothing_left():
            return known, known
        outside = (v - inside @ u).square().sum(1)
        least, most = 0.0, float(self.eigenvalues[-1])
        if self.rest is not None:
            others = u.shape[1] - len(u)
            least, most = max(0.0, self.rest - (others - 1) * most), min(most, self.rest)
        return known + least * outside, known + most * outside

    def _nothing_left(self) -> bool:
        """Whether the kept directions leave no more than rounding of what the networks answer."""
        return self.whole or (self.rest is not None and self.rest <= 1e-6 * self.trace)

    def _left(self) -> str:
        """How much the kept directions leave, as part of a sentence."""
        return f" ({self.rest / self.trace:.1%} of the energy is there)" if self.rest and self.trace else ""

    def overlap_range(self, k: int) -> tuple[float, float]:
        """Range of the overlap of the top-k subspace with the truth, from the split-half overlap.

        The lower end is the overlap of the halves itself; see `compare.overlap_with_truth`.

        Raises:
            KeyError: the split-half overlap was not measured at this k.
        """
        if k not in self.split_half:
            raise KeyError(f"the split-half overlap was measured at k = {sorted(self.split_half)}, got k = {k}")
        return compare.overlap_with_truth(self.split_half[k])

    def save(self, path: str | Path) -> Path:
        """Write to a safetensors file (no pickle), atomically: a reader sees the whole file or none.

        Returns:
            The path.
        """
        tensors = {"eigenvalues": self.eigenvalues.double(), "directions": self.directions.float()}
        if self.eigenvalue_errors is not None:
            tensors["eigenvalue_errors"] = self.eigenvalue_errors.double()
        known = {
            "networks": self.networks,
            "split_half": self.split_half,
            "plain_networks": self.plain_networks,
            "curve": self.curve,
            "settings": self.settings,
            "trace": self.trace,
        }
        return write_tensors(path, tensors, known)


def write_tensors(path: str | Path, tensors: dict[str, Tensor], known: dict[str, Any]) -> Path:
    """Write tensors and plain values to a safetensors file, atomically."""
    try:
        metadata = {"anisotropy": json.dumps(known)}
    except TypeError as error:
        raise TypeError(
            f"expected settings of numbers, text and containers of them ({error}); remove the rest"
        ) from None
    tensors = {k: t.detach().cpu().contiguous() for k, t in tensors.items()}
    metadata["sha256"] = _checksum(tensors, metadata["anisotropy"])  # the format has none of its own
    content = save(tensors, metadata=metadata)
    files.write(Path(path), content)
    return Path(path)


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and plain values of a file from `write_tensors`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a file, or it was cut short.
    """
    path = Path(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise FileNotFoundError(f"expected a file {path}, found {what} there")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            known = json.loads(metadata["anisotropy"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a mapping
    except (SafetensorError, KeyError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a file written by Nads.save, or it was cut short ({type(error).__name__}: {error}): "
            "measure it again, or fetch it again"
        ) from error
    if "sha256" in metadata and metadata["sha256"] != _checksum(tensors, metadata["anisotropy"]):
        raise ValueError(f"{path} was altered or damaged since Nads.save wrote it: measure it again, or fetch it again")
    return tensors, known


def _checksum(tensors: dict[str, Tensor], known: str) -> str:
    digest = hashlib.sha256(known.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].view(torch.uint8).numpy() if tensors[name].dim() else tensors[name].numpy())
    return digest.hexdigest()
