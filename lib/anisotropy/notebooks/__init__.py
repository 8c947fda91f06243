"""The notebooks: `presets` reads their parameters as `declarations` wants them, `scheduling` and `execution` run them.

`records` says what a run was made from, and so whether its results are still those of the same inputs.

A notebook itself needs `presets`, and `paths` for the folders that its parameters name. `figure_index` says where each
figure is computed. May import the rooms above.
"""

from anisotropy._util import paths

__all__ = ["paths"]
