"""Tables of results as netCDF files that carry a checksum of themselves."""

import hashlib
import io
import re
import warnings
from pathlib import Path

import numpy as np
import xarray as xr

from anisotropy.results import stores

SEAL = re.compile(rb"sha256:([0-9a-f]{64})")
"""The checksum in a netCDF file, an attribute; it is that of the file with zeros in its place."""


def write(dataset: xr.Dataset, store: Path | str) -> None:
    """Write a dataset into the store, under the name in its attribute `file`; warn where that cannot be done.

    The file carries a checksum of itself, which `read` compares. A full disk or a read-only store must not cost the
    caller a table that is there in memory, and its units on disk.
    """
    labels = {name: (c.dims, _plain_label(c.values)) for name, c in dataset.coords.items()}
    try:
        dataset = dataset.assign_coords(labels).assign_attrs(checksum="sha256:" + 64 * "0")
        content = bytes(dataset.to_netcdf(engine="scipy"))  # netCDF 3, which needs no HDF5 library
        sealed = SEAL.sub(f"sha256:{hashlib.sha256(content).hexdigest()}".encode(), content)
        stores.write_atomically(Path(store) / dataset.attrs["file"], sealed)
    except (OSError, TypeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        warnings.warn(f"the table of the sweep was not written to a file: {why}", stacklevel=3)


def read(path: Path | str) -> xr.Dataset:
    """Table of a sweep from its netCDF file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no netCDF 3 file, or altered since it was written (files of 0.1.0 have no checksum).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    again = "run the sweep again; what is in its store is not computed anew"
    content = path.read_bytes()
    try:
        with xr.open_dataset(io.BytesIO(content), engine="scipy") as opened:
            dataset = opened.load()
    except Exception as error:  # scipy raises whatever the wrong bytes lead it to
        raise ValueError(
            f"{path} is not a netCDF file that a sweep wrote, or it was cut short ({type(error).__name__}: {error}): "
            f"{again}"
        ) from error
    seals = SEAL.findall(content)
    whole = hashlib.sha256(SEAL.sub(b"sha256:" + 64 * b"0", content)).hexdigest().encode()
    if (seals or "checksum" in dataset.attrs) and seals != [whole]:
        raise ValueError(f"{path} was altered or damaged since the sweep wrote it: {again}")
    return dataset


def _plain_label(values: np.ndarray) -> np.ndarray:
    """Labels as netCDF 3 holds them: it has whole numbers of 32 bits, floats and text, of one kind each."""
    if values.dtype.kind in "iu" and values.size and max(abs(int(values.min())), abs(int(values.max()))) >= 2**31:
        exact = values.astype(float)
        return exact if (np.abs(exact) < 2**53).all() else values.astype(str)
    return np.vectorize(str, otypes=[str])(values) if values.dtype.kind == "O" else values
