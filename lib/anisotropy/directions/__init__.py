"""Directions of input space, and the distribution D(v) whose classes differ along one of them (Sec. 2).

`fourier`, `random` and `complete` make orthonormal rows (`bases`); `separable` draws samples of D(v). May import
`_util`.
"""

from anisotropy.directions.bases import FourierBasis, complete, fourier, random

__all__ = ["FourierBasis", "complete", "fourier", "random"]
