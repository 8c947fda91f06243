"""Command lines: `python -m anisotropy reproduce` runs the notebooks, `python -m anisotropy report` writes the report.

May import every room.
"""
