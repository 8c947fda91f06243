"""The notebooks: `presets` reads and checks their parameters, `workers` and `execution` run them.

A notebook itself needs `presets`, and `paths` for the folders that its parameters name. May import the rooms above.
"""

from anisotropy._util import paths

__all__ = ["paths"]
