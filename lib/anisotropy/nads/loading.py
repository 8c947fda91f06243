"""NADs that were measured before: those that come with the package, a file of one's own, the authors' originals.

`load` opens the first two by name or path, `load_published` the files of the authors' repository.
"""

import difflib
import zipfile
from pathlib import Path

import numpy as np
import torch

from anisotropy._util import paths
from anisotropy.directions.bases import complete
from anisotropy.nads.result import Nads, read_tensors

DATA = Path(__file__).with_name("data")
"""NADs that come with the package."""


def available() -> list[str]:
    """Names of the NADs that come with the package."""
    return sorted(path.stem for path in DATA.glob("*.safetensors"))


def load(name: str | Path) -> Nads:
    """NADs by name (see `available`) or from a file that `Nads.save` wrote.

    Raises:
        FileNotFoundError: neither a known name nor a file.
        ValueError: the file is not one of ours, cut short, or its directions are not orthonormal.
    """
    if not isinstance(name, (str, Path)):
        raise ValueError(f"expected a name out of {available()}, or the path of a file, got {name!r}")
    shipped = DATA / f"{name}.safetensors"
    if str(name) in available():
        path = shipped
    elif paths.is_file(Path(name)):
        path = Path(name)
    else:
        near = difflib.get_close_matches(str(name).lower(), available(), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise FileNotFoundError(f"no NADs {str(name)[:200]!r}: {hint}expected a file or one of {available()}")
    tensors, known = read_tensors(path)
    if missing := {"eigenvalues", "directions"} - set(tensors):
        raise ValueError(f"{path} holds no {sorted(missing)}: it was not written by Nads.save")
    try:
        for by_dimension in ("split_half", "plain_networks"):  # JSON keeps keys as text
            known[by_dimension] = {int(k): v for k, v in known[by_dimension].items()}
        known["curve"] = [tuple(point) for point in known["curve"]]
        loaded = Nads(**tensors, **known)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} does not hold what Nads.save writes ({type(error).__name__}: {error}): measure it again, or fetch "
            "it again"
        ) from error
    gram = loaded.rows.double() @ loaded.rows.double().T
    if not float((gram - torch.eye(len(gram))).abs().max()) <= 1e-4:  # NaN compares as False
        raise ValueError(f"{path}: the directions are not orthonormal; the file was altered: fetch it again")
    if not bool(torch.isfinite(loaded.eigenvalues).all() and (loaded.eigenvalues >= 0).all()):
        raise ValueError(
            f"{path}: expected eigenvalues of at least 0, got others; the file was altered: fetch it again"
        )
    return loaded


PUBLISHED = {
    "logreg": "LogReg",
    "lenet": "LeNet",
    "vgg11": "VGG11",
    "resnet18": "ResNet18",
    "densenet121": "DenseNet121",
}
"""Our names of networks -> the beginnings of the authors' file names."""


def load_published(folder: str | Path, name: str, *, samples: int = 10_000) -> Nads:
    """The authors' NADs of a 32 x 32 grey image from a folder laid out as their repository.

    ``NADs/<Net>_NADs.npy`` holds 1,023 of the 1,024 directions; the last is completed. ``NADs/<Net>_eigenvals.npy``
    holds the singular values of the `samples` x D matrix of responses (whatever its name says), here turned into
    eigenvalues of the covariance, s^2 / (samples - 1).

    Args:
        folder: checkout of the authors' repository, or a folder with the same layout.
        name: ``LeNet`` or ``lenet``, and so on.
        samples: random networks that the authors used.

    Raises:
        FileNotFoundError: the folder does not hold the two files.
        ValueError: they do not hold what they should.
    """
    stem = PUBLISHED.get(name, name)
    found = sorted(Path(folder).glob("NADs/*_NADs.npy"))
    match = [p for p in found if p.name.lower().startswith(stem.lower())]
    values = [Path(str(p).replace("_NADs.npy", "_eigenvals.npy")) for p in match[:1]]
    if not match or not values[0].is_file():
        held = ", ".join(p.name.removesuffix("_NADs.npy") for p in found) or "none"
        raise FileNotFoundError(
            f"no published NADs of {name!r} in {folder}: expected NADs/{stem}_NADs.npy and NADs/{stem}_eigenvals.npy "
            f"as in the authors' repository; found: {held}"
        )
    rows, singular = _array(match[0]), _array(values[0]).flatten()
    side = round(rows.shape[1] ** 0.5) if rows.dim() == 2 else 0
    if side * side != rows.shape[-1] or not 0 < len(rows) <= rows.shape[1]:
        raise ValueError(f"{match[0]}: expected up to D rows of D = H*H numbers, got shape {tuple(rows.shape)}")
    directions = complete(rows)
    eigenvalues = torch.zeros(len(directions), dtype=torch.float64)
    eigenvalues[: len(singular)] = singular[: len(directions)].square() / (samples - 1)
    settings = {"architecture": {"name": stem}, "method": "secant", "step": 100.0, "source": "published by the authors"}
    return Nads(eigenvalues, directions.float().view(-1, 1, side, side), samples, settings=settings)


def _array(path: Path) -> torch.Tensor:
    """Float64 numbers of a .npy file; one that holds pickled objects is refused, never executed."""
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float64))
    except (ValueError, EOFError, TypeError, AttributeError, OSError, zipfile.BadZipFile) as error:  # .npz too
        raise ValueError(
            f"{path}: expected an array of numbers in NumPy's format, got pickled objects, something else, or a file "
            "cut short; nothing of it was executed: fetch it again"
        ) from error
