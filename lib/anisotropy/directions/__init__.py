"""Directions of input space, and the distribution D(v) whose classes differ along one of them (Sec. 2).

`fourier`, `random` and `complete` make orthonormal rows, `Waves` makes them as they are needed (`bases`); `modes` has
those of graphs and sequences; `separable` draws samples of D(v). May import `_util`.
"""

from anisotropy.directions.bases import FourierBasis, RandomBasis, Waves, complete, fourier, random

__all__ = ["FourierBasis", "RandomBasis", "Waves", "complete", "fourier", "random"]
