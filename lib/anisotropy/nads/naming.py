"""What a direction is called in a result: by what it is or how it was made, not by its last bits, where that is known.

A result that names its direction can be looked up, read and computed again by anyone; a hash can only be compared.
"""

import functools
import hashlib
import json
from typing import Any

import torch

from anisotropy._util import checks
from anisotropy.directions import bases
from anisotropy.models import architectures
from anisotropy.nads import loading, result
from anisotropy.nads.definitions import Gradient, Mixed, Secant

NUMERICS = 1
"""Version of the directions that names stand for: the Fourier basis, and the NADs that the package carries."""

MEASURED = 1
"""Version of the NADs that settings stand for: random networks, responses, covariances and their eigenvectors."""

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


def basis(given: Any) -> dict[str, Any]:
    """Name a basis (K, C, H, W) by what it is or how it was made, so that another processor finds the same name.

    Args:
        given: NADs, a Fourier basis, a random one, or a tensor.

    Returns:
        {"nads", "made"} where the package carries it; {"measured": settings} of NADs of a network of the paper;
        {"fourier": [H, W]}; {"random": [H, W], "seed"}; else {"hash"} of its numbers.
    """
    rows = checks.directions(given, "a basis")
    digest = _digest(rows)
    for network in loading.available() if rows.shape[1:].numel() == 1024 else ():
        found = loading.load(network)
        if _digest(found.directions) == digest:
            return {"nads": network, "made": made(found)}
    if isinstance(given, bases.FourierBasis):
        return {"fourier": list(given.shape)}
    if isinstance(given, result.Nads) and _repeatable(given):
        return {"measured": _settings(given) | {"networks": given.networks, "version": MEASURED}}
    if isinstance(given, bases.RandomBasis):
        return {"random": [given.height, given.width], "seed": given.seed}
    return {"hash": digest}


def _repeatable(found: result.Nads) -> bool:
    """Whether NADs follow from their settings: all directions, of a network whose name says what it is."""
    architecture = found.settings.get("architecture")
    known = isinstance(architecture, dict) and architecture.get("name") in architectures.BUILTIN
    return known and found.whole and found.settings.get("at") in ("normal", "zero")


@functools.lru_cache(maxsize=8)
def basis_from(name: str) -> Any:
    """Return the basis of a name that `basis` gave, as JSON; NADs of "measured" are measured once more.

    Raises:
        ValueError: the name holds a hash only, or stands for NADs of another version of the package.
    """
    named = json.loads(name)
    if "nads" in named and named["nads"] in loading.available():
        found = loading.load(named["nads"])
    elif "measured" in named:
        found = _measured(named["measured"])
    elif "fourier" in named:
        return bases.fourier(*named["fourier"])
    elif "random" in named:
        return bases.RandomBasis(*named["random"], seed=named["seed"])
    else:
        raise ValueError(f"expected the name of NADs, of the Fourier basis or of a random one, got {named}")
    if basis(found) != named:
        raise ValueError("expected NADs of the settings in the name, got others: they are measured in another way now")
    return found


def _measured(name: dict[str, Any]) -> result.Nads:
    """NADs from the settings that they are named by."""
    from anisotropy.nads import estimation

    made_of = dict(name["architecture"])
    channels, *size = made_of.pop("input_shape")
    make = architectures.factory(made_of.pop("name"), in_channels=channels, image_size=tuple(size), **made_of)
    kind = {"secant": Secant, "gradient": Gradient, "mixed": Mixed}[name["method"]]
    fields = {"step": name["step"], "draws": name["readout_draws"], "probes": name["probes"]}
    fields |= {"dtype": name["dtype"], "at": name["at"]}
    fields = {k: v for k, v in fields.items() if v is not None and k in kind.__dataclass_fields__}
    return estimation.estimate(make, response=kind(**fields), networks=name["networks"], seed=name["seed"])


def _digest(rows: torch.Tensor) -> str:
    numbers = rows.detach().cpu().float().contiguous().numpy().tobytes()
    return hashlib.sha256(repr(tuple(rows.shape)).encode() + numbers).hexdigest()[:32]


def made(found: result.Nads) -> str:
    """Digest (12 digits) of what NADs were measured with: architecture, method, networks, seed, precision."""
    text = json.dumps([_settings(found), found.networks, NUMERICS], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _settings(found: result.Nads) -> dict[str, Any]:
    return {name: value for name, value in found.settings.items() if name not in MADE_BY}


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
