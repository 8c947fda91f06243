"""What an estimate of NADs is: eigenvalues, directions, how sure they are, and a file without pickle for them."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from anisotropy import checks, files, subspaces


@dataclass
class Nads:
    """NADs of one architecture, with their uncertainty and everything needed to measure them again.

    Attributes:
        eigenvalues: (k,) float64 in decreasing order, of the uncentred covariance; k = D, or fewer where D is large.
        directions: (k, C, H, W) float32, orthonormal; the entry of largest size is positive in each.
        networks: random networks averaged over.
        eigenvalue_errors: (k,) standard error of each eigenvalue, from the spread between groups of networks.
        split_half: k -> overlap of the top-k subspaces of two halves of the networks; where channels are alike, k is a
            multiple of their number: single colours are a convention. The whole estimate is closer to
            the truth than its halves are to each other: see `overlap_range`.
        plain_networks: k -> number of networks that plain sampling of s s^T would need to know the top-k subspace as
            well, at least (`subspaces.plain_networks`), for the same k.
        curve: (networks, seconds, overlap of the halves at the target's k) as the estimate grew, where recorded.
        settings: arguments, evaluation point, verified symmetries, read-out, versions, time.
    """

    eigenvalues: Tensor
    directions: Tensor
    networks: int
    eigenvalue_errors: Tensor | None = None
    split_half: dict[int, float] = field(default_factory=dict)
    plain_networks: dict[int, float] = field(default_factory=dict)
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        k, size = len(self.eigenvalues), self.directions.shape[1:].numel()
        if self.directions.dim() != 4 or len(self.directions) != k or not 1 <= k <= size:
            raise ValueError(
                f"expected k eigenvalues and directions (k, C, H, W) with 1 <= k <= C*H*W, got {k} and "
                f"{tuple(self.directions.shape)}"
            )

    def __repr__(self) -> str:
        name = self.settings.get("architecture", {}).get("name", "a network")
        return (
            f"Nads({name}, {len(self.eigenvalues)} directions of {tuple(self.directions.shape[1:])}, "
            f"{self.settings.get('method', '?')}, {self.networks} networks)"
        )

    @property
    def rows(self) -> Tensor:
        """Directions as rows (k, D)."""
        return self.directions.flatten(1)

    def overlap(self, other: "Nads | Tensor", k: int) -> float:
        """Overlap |U_k^T W_k|_F^2 / k of the top-k subspaces, 1 for the same subspace (`subspaces.overlap`)."""
        return subspaces.overlap(self.directions, other.directions if isinstance(other, Nads) else other, k)

    def alignment(self, other: "Nads") -> float:
        """Correlation of the anisotropic parts of the two covariances (`subspaces.alignment`)."""
        return subspaces.alignment(self.covariance(), other.covariance())

    def covariance(self) -> Tensor:
        """C = sum_i lambda_i u_i u_i^T (D, D), float64."""
        u = self.rows.double()
        return (u.T * self.eigenvalues) @ u

    def energy(self, v: Tensor) -> Tensor:
        """Quadratic form v^T C v of directions v (K, C, H, W): how strongly fresh networks answer to each (Eq. 6)."""
        if checks.tensor(v, "directions").shape[1:] != self.directions.shape[1:]:
            raise ValueError(
                f"expected directions of shape (K, {', '.join(map(str, self.directions.shape[1:]))}), got "
                f"{tuple(v.shape)}"
            )
        return (v.flatten(1).double() @ self.rows.double().T).square() @ self.eigenvalues

    def overlap_range(self, k: int) -> tuple[float, float]:
        """Range of the overlap of the top-k subspace with the truth, from the split-half overlap.

        The lower end is the overlap of the halves itself; see `subspaces.overlap_with_truth`.

        Raises:
            KeyError: the split-half overlap was not measured at this k.
        """
        if k not in self.split_half:
            raise KeyError(f"the split-half overlap was measured at k = {sorted(self.split_half)}, got k = {k}")
        return subspaces.overlap_with_truth(self.split_half[k])

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
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
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
