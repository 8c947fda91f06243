"""Infinitely wide networks: their NADs exactly, layer by layer, without sampling.

`exact.infinite_width` and `exact.energies` are the way in; `layers` describes architectures, `translate` reads torch
modules, `graph.NoClosedForm` says which layer cannot be done. Below: `axes` and `lists` (which entries of a covariance
are needed), `activations`, `recursion`, `images` (secants and dipoles), `gradients` and their `slopes`. On top:
`widths`, how far random networks are from the limit, and `ingredients`, what each part of an architecture does to it.
"""

from anisotropy.kernels.exact import energies, graph_of, infinite_width
from anisotropy.kernels.graph import NoClosedForm

__all__ = ["NoClosedForm", "energies", "graph_of", "infinite_width"]
