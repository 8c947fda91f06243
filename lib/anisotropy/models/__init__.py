"""Networks, by name and checked: `architectures.factory(name)` makes factories of freshly initialised networks.

`networks` has the paper's five, `blurpool` and `variants` others; `vetting` and `output_checks` refuse what would give
wrong numbers; `memory` says how much of them fits on a GPU. May import the rooms above: `directions`, `theory`.
"""
