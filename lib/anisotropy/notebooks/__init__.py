"""The notebooks: `presets` reads their parameters, `workers` and `execution` run them.

A notebook itself needs `presets`, and `paths` for the folders that its parameters name. `figure_index` says where each
figure is computed. May import the rooms above.
"""

from anisotropy._util import paths

__all__ = ["paths"]
