"""Where verdicts take their numbers from: the authors' tables, the record, and the runs committed under `figures/`."""

import csv
import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from anisotropy import directions, nads
from anisotropy._util import paths
from anisotropy.directions import bases
from anisotropy.paper import published
from anisotropy.paper.evidence import Elsewhere, Missing
from anisotropy.results import record

CNNS = ("lenet", "vgg11", "resnet18", "densenet121")
NAMES = {
    "logreg": "logistic regression",
    "lenet": "LeNet",
    "vgg11": "VGG-11",
    "resnet18": "ResNet-18",
    "densenet121": "DenseNet-121",
}
"""Our names of the paper's networks -> how they are printed."""


@dataclass(eq=False)  # one object a command, cached by its identity
class Sources:
    """What verdicts may be computed from.

    Attributes:
        published: folder of the authors' data, None where none was given.
        lines: file of the record -> how many of its lines to read; all of a file that is not named.
        folder: of the record; None for the repository's.
        runs: folder of the committed runs; None for `figures/`, or `figures/laptop` of notebooks that show less.
    """

    published: Path | None = None
    lines: dict[str, int] = field(default_factory=dict)
    folder: Path | None = None
    runs: Path | None = None

    def given(self) -> Path:
        """Return the folder of the authors' data.

        Raises:
            Elsewhere: none was given.
        """
        if self.published is None:
            raise Elsewhere("the authors' data, which are not part of this repository")
        return self.published

    @functools.cached_property
    def fourier(self) -> xr.Dataset:
        """The authors' accuracy maps (Fig. 1)."""
        return published.fourier_accuracies(self.given())

    @functools.cached_property
    def along_nads(self) -> xr.Dataset:
        """The authors' accuracies along their NADs (Fig. 6), the measured indices only."""
        whole = published.nad_accuracies(self.given())
        return whole.sel(index=whole.index[whole.measured.values])

    @functools.lru_cache(maxsize=8)  # noqa: B019
    def their_nads(self, network: str) -> nads.Nads:
        """Return the authors' NADs of a network."""
        return nads.load_published(self.given(), network)

    def table(self, name: str) -> list[dict[str, str]]:
        """Return the rows of one of the small files beside the authors' data (`fig7_digitised.csv`).

        Raises:
            Missing: the folder has no such file; a checkout of the authors' repository has not.
        """
        path = self.given() / name
        if not path.is_file():
            raise Elsewhere(f"{name}, which the folder of the authors' data does not have")
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def checksums(self) -> dict[str, str]:
        """Return file -> first 16 digits of its SHA-256, of all the authors' files in the folder."""
        found = sorted(p for p in self.given().rglob("*") if p.suffix in (".csv", ".npy"))
        root = self.given()
        return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()[:16] for p in found}

    def cells(self, network: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the distinct cells of the authors' map: frequencies (K, 2) and accuracies (K,)."""
        trained = self.fourier.trained.values
        grid = np.stack(np.meshgrid(self.fourier.ky, self.fourier.kx, indexing="ij"), -1)
        return grid[trained], self.fourier.accuracy.sel(network=network).values[trained]

    @functools.lru_cache(maxsize=4)  # noqa: B019
    def rows(self, experiment: str) -> list[dict]:
        """Return the rows of a file of the record, in its order; none where there is no such file."""
        path = (self.folder or record.folder()) / f"{experiment}.jsonl"
        if not path.exists():
            return []
        found = list(record.read(path).rows.values())
        return found[: self.lines.get(experiment, len(found))]

    def run(self, notebook: str) -> dict:
        """Return `claims.json` of a committed run.

        Raises:
            Missing: there is none.
        """
        return self.data(notebook, "claims.json")

    def folder_of(self, notebook: str) -> Path:
        """Folder of a notebook's committed run: its reading version where there is one; "laptop/NAME" for the other."""
        if self.runs:
            return self.runs / Path(notebook).name
        if "/" in notebook:
            return paths.committed() / notebook
        reading = paths.committed() / notebook
        return reading if reading.is_dir() else paths.committed() / "laptop" / notebook

    def data(self, notebook: str, name: str) -> dict:
        """Return the numbers of a committed figure, JSON, or columns of a CSV file as lists.

        Raises:
            Missing: there are none.
        """
        path = self.folder_of(notebook) / name
        if not path.is_file():
            raise Missing(f"the run of {notebook}: {name}")
        if path.suffix == ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {name: [float(row[name]) for row in rows if row[name] != ""] for name in rows[0]}


@functools.cache
def loaded(network: str) -> nads.Nads:
    """NADs that the package carries, read once."""
    return nads.load(network)


@functools.cache
def energies(network: str) -> dict[tuple[int, int], float]:
    """v'Cv of the NADs that the package carries along each cosine of 32 x 32, as a multiple of the mean over all."""
    found, basis = loaded(network), directions.fourier(32, 32)
    energy = found.energy(basis.pictures())
    energy = (energy / energy.mean()).numpy()
    chosen = (k for k in range(len(energy)) if basis.phases[k] != "sin")
    return {tuple(int(f) for f in basis.frequencies[k]): float(energy[k]) for k in chosen}


def energy_at(network: str, ky: int, kx: int) -> float:
    """v'Cv along the cosine of a frequency, either member of its conjugate pair."""
    return energies(network)[bases.representative(ky, kx, (32, 32))]


@functools.cache
def orbit_of(network: str, ky: int, kx: int) -> tuple[int, int]:
    """Name of the set of frequencies that the symmetries of a network make alike: its smallest member."""
    symmetry = loaded(network).settings["symmetry"]
    alike = [(ky, kx), (-ky, kx)] if "h" in symmetry else [(ky, kx)]
    alike += [(b, a) for a, b in alike] if "t" in symmetry else []
    return min(bases.representative(*f, (32, 32)) for f in alike)
