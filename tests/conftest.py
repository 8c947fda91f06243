"""One thread, no window, and no test writes into the repository's figures."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, and for the processes that tests start

import matplotlib
import pytest
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _figures_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("ANISOTROPY_OUTPUT", str(tmp_path / "figures"))
    monkeypatch.delenv("ANISOTROPY_NOTEBOOKS", raising=False)
    monkeypatch.delenv("ANISOTROPY_PARAMS", raising=False)
