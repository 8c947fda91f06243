"""What a direction is called in a result: by what it is or how it was made, not by its last bits, where that is known.

A result that names its direction can be looked up, read and computed again by anyone; a hash can only be compared.
"""

import functools
import hashlib
import json
from typing import Any

import torch

from anisotropy.directions import bases
from anisotropy.nads import loading, result

NUMERICS = 1
"""Version of the directions that names stand for: the Fourier basis, and the NADs that the package carries."""

MADE_BY = ("torch", "seconds", "workers", "device")
"""Settings of an estimate of NADs that say what made it and do not change what is estimated."""


def identity(direction: torch.Tensor) -> dict[str, Any]:
    """Name a direction (*shape) as rounded by `units.rounded`.

    Args:
        direction: float64, unit norm.

    Returns:
        {"kind": "fourier", "ky", "kx", "phase"} for a vector of the Fourier basis of one channel, or of sequences
        (length,) and (1, length), which are pictures of height 1; {"kind": "nads", "network", "made", "index"} for
        a row of the NADs that the package carries, where `made` is a digest of the settings that they were measured
        with; {"kind": "given", "hash"} for any other. Exact: a vector that differs in one rounded entry is another one.

    Example:
        >>> from anisotropy import directions
        >>> from anisotropy.experiments.units import rounded
        >>> identity(rounded(directions.fourier(8, 8).pictures())[3])
        {'kind': 'fourier', 'ky': 1, 'kx': 0, 'phase': 'cos'}
    """
    return _fourier(direction) or _shipped(direction) or {"kind": "given", "hash": content(direction)}


def made_from(name: dict[str, Any], shape: tuple[int, ...]) -> torch.Tensor:
    """Return the direction (*shape) of a name that `identity` gave.

    Raises:
        ValueError: the name holds a hash only, or NADs that this version of the package does not carry.
    """
    if name.get("kind") == "fourier":
        sides = (1, *shape)[-2:]
        return bases.wave(*sides, name["ky"], name["kx"], name["phase"]).view(shape)
    if name.get("kind") == "nads" and name.get("network") in loading.available():
        found = loading.load(name["network"])
        if made(found) == name["made"] and name["index"] < len(found.directions):
            return found.directions[name["index"]]
    raise ValueError(
        f"expected the name of a Fourier vector, or of a direction of the NADs that this package carries, got {name}"
    )


def content(direction: torch.Tensor) -> str:
    """Hash of a rounded direction's numbers, 32 hexadecimal digits."""
    return hashlib.sha256(direction.numpy().tobytes()).hexdigest()[:32]


def basis(rows: torch.Tensor) -> dict[str, Any]:
    """Name a basis (K, C, H, W): {"nads", "made"} where the package carries it, else {"hash"} of its numbers."""
    digest = _digest(rows)
    for network in loading.available() if rows.shape[1:].numel() == 1024 else ():
        found = loading.load(network)
        if _digest(found.directions) == digest:
            return {"nads": network, "made": made(found)}
    return {"hash": digest}


def _digest(rows: torch.Tensor) -> str:
    numbers = rows.detach().cpu().float().contiguous().numpy().tobytes()
    return hashlib.sha256(repr(tuple(rows.shape)).encode() + numbers).hexdigest()[:32]


def made(found: result.Nads) -> str:
    """Digest (12 digits) of what NADs were measured with: architecture, method, networks, seed, precision."""
    settings = {name: value for name, value in found.settings.items() if name not in MADE_BY}
    text = json.dumps([settings, found.networks, NUMERICS], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _fourier(direction: torch.Tensor) -> dict[str, Any] | None:
    """The strongest frequency of a picture is the only one that can be its name: one vector to compare, not D."""
    one, height, width = (1, 1, *direction.shape)[-3:]
    if one != 1 or (direction.ndim == 2 and height != 1):  # of several colours, or of the nodes of a graph
        return None
    picture = direction.view(height, width)
    spectrum = torch.fft.fft2(picture)
    ky, kx = divmod(int(spectrum.abs().argmax()), width)
    ky, kx = bases.representative(ky, kx, (height, width))
    for phase in bases.phases(ky, kx, (height, width)):
        wave = torch.round(bases.wave(height, width, ky, kx, phase) * 2**30) / 2**30 + 0.0
        if torch.equal(wave, picture):
            return {"kind": "fourier", "ky": ky, "kx": kx, "phase": phase}
    return None


def _shipped(direction: torch.Tensor) -> dict[str, Any] | None:
    if tuple(direction.shape) != (1, 32, 32):  # of all that the package carries
        return None
    found = _known().get(content(direction))
    return dict(found) if found else None


@functools.cache
def _known() -> dict[str, dict[str, Any]]:
    """Hash of every direction that the package carries -> its name."""
    known = {}
    for network in loading.available():
        found = loading.load(network)
        digest = made(found)
        for index, row in enumerate(torch.round(found.directions.double() * 2**30) / 2**30 + 0.0):
            known[content(row)] = {"kind": "nads", "network": network, "made": digest, "index": index}
    return known
