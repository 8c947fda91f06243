"""Neural anisotropy directions: eigenvectors of the response covariance of an architecture's random networks.

    C = E_theta[ s s^T ],    s the response of f_theta to dipoles (Sec. 3, Eq. 4 and 6),    C u_i = lambda_i u_i

`estimate` measures them, by one of three `definitions`; `load` opens measured ones: the paper's five networks by name,
or a file that `Nads.save` wrote; `load_published` opens the authors' files. How they are measured: `responses` of
random networks to dipoles, `readouts` averaged over, `covariances` added up by `running`, with what `symmetry` finds in
the architecture. `compare` says how close two estimates are, `comparison` shows several side by side. `energies` are
the responses along given directions, without a covariance. May import the rooms above: `directions`, `models`.
"""

from anisotropy.nads.definitions import Dipole, Gradient, Mixed, Secant
from anisotropy.nads.estimation import Until, estimate
from anisotropy.nads.loading import available, load, load_published
from anisotropy.nads.result import Nads

__all__ = ["Dipole", "Gradient", "Mixed", "Nads", "Secant", "Until", "available", "estimate", "load", "load_published"]
