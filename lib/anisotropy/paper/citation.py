"""How to cite the paper and this software: what CITATION.cff says, in BibTeX."""

PAPER = """\
@inproceedings{ortizjimenez2020neural,
  title     = {Neural Anisotropy Directions},
  author    = {Ortiz-Jimenez, Guillermo and Modas, Apostolos and Moosavi-Dezfooli, Seyed-Mohsen and Frossard, Pascal},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {33},
  year      = {2020},
  note      = {arXiv:2006.09717}
}"""

SOFTWARE = """\
@software{anisotropy,
  title     = {NAD companion: an executable companion of Neural Anisotropy Directions},
  author    = {{The NAD companion contributors}},
  version   = {0.1.0},
  license   = {Apache-2.0}
}"""


def cite() -> None:
    """Print BibTeX entries of the paper and of this software."""
    print(PAPER, SOFTWARE, sep="\n\n")
