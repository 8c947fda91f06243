"""Command lines: `python -m anisotropy reproduce` runs the notebooks, `python -m anisotropy report` writes the report,
`python -m anisotropy measure` measures the NADs of one architecture, `python -m anisotropy audit` computes lines of the
record again.

May import every room.
"""
