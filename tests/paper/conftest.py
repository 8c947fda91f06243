"""A table laid out as the authors'."""

import pytest
from anisotropy.paper import discrimination


@pytest.fixture
def folder(tmp_path):
    """A table laid out as the authors': 16 x 16 cells, mirrored in x; what is low is learnt."""
    (tmp_path / "docs/data").mkdir(parents=True)
    rows = ["x,y,acc_ln,acc_lr"]
    for x in range(16):
        for y in range(16):
            ky, kx = 2 * (y - 8), 2 * (x - 8)
            rows.append(f"{x},{y},{90 if ky**2 + kx**2 < 50 else 50},100")
    (tmp_path / discrimination.TABLE).write_text("\n".join(rows) + "\n")
    return tmp_path
