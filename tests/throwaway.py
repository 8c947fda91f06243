"""Tiny notebooks for the tests of what runs notebooks."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

PARAMETERS = """preset = "quick"
seed = 0
rate = 0.1
count = 3
exact = True
word = "a"
names = ["lenet"]
"""


def write(folder: Path, name: str, *cells: str, parameters: str = PARAMETERS, **metadata) -> Path:
    """A notebook with a tagged parameters cell, the given code cells, and metadata of ours, such as `bounds`."""
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[tagged, *map(new_code_cell, cells)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    if metadata:
        notebook.metadata["anisotropy"] = metadata
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def preset(params: Path, notebook: str, text: str, name: str = "laptop") -> Path:
    """A preset file, `params/<notebook>/<name>.yaml`."""
    path = params / notebook / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
