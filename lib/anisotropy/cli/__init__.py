"""Command lines: `python -m anisotropy reproduce` runs the notebooks, `report` writes the report of a run, `site` the
site, `measure` measures the NADs of one architecture, and `audit` computes lines of the record again.

May import every room.
"""
