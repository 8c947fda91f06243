"""Measures behind the verdicts, on tables and bases in which the answer is known."""

import csv
import math

import numpy as np
import pytest
import torch
from anisotropy import nads
from anisotropy.paper import verdicts_nads, verdicts_record, verdicts_runs, verdicts_tables, verdicts_theory
from anisotropy.paper.evidence import Elsewhere, Missing
from anisotropy.paper.sources import CNNS, Sources, energy_at, orbit_of
from anisotropy.theory import pooling

SUFFIX = {"lenet": "ln", "vgg11": "vgg", "resnet18": "rn", "densenet121": "dn"}


def maps(folder, accuracy):
    """A folder with a Fig. 1 in which `accuracy(network, ky, kx)` was reached."""
    (folder / "docs" / "data").mkdir(parents=True, exist_ok=True)
    with (folder / "docs" / "data" / "dft_accuracies.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["x", "y", *(f"acc_{SUFFIX[n]}" for n in CNNS)])
        for x in range(16):
            for y in range(16):
                writer.writerow([x, y, *(100 * accuracy(n, 2 * (y - 8), abs(2 * (x - 8))) for n in CNNS)])
    return Sources(folder)


def curves(folder, accuracy):
    """A folder with a Fig. 6 in which `accuracy(network, index)` was reached; every index is measured."""
    (folder / "docs" / "data").mkdir(parents=True, exist_ok=True)
    with (folder / "docs" / "data" / "nads.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", *(f"{what}_{SUFFIX[n]}" for n in CNNS for what in ("acc", "eig"))])
        for index in range(200):
            jitter = 1e-3 * (index % 2)  # breaks in the line, so that no index counts as interpolated
            writer.writerow([index, *(v for n in CNNS for v in (100 * accuracy(n, index) - jitter, 1 / (index + 1)))])
    return Sources(folder)


def test_a_map_that_falls_with_frequency_and_one_with_a_peak(tmp_path):
    falling = maps(tmp_path / "a", lambda n, ky, kx: 1 - math.hypot(ky, kx) / 60)
    assert verdicts_tables.fig1_rise_with_frequency(falling, "lenet").value == pytest.approx(0, abs=1e-9)
    assert verdicts_tables.fig1_range(falling, "lenet").value == pytest.approx(100 * math.hypot(16, 16) / 60)
    peak = maps(tmp_path / "b", lambda n, ky, kx: 0.9 if (ky, kx) == (12, 12) else 0.6)
    assert verdicts_tables.fig1_rise_with_frequency(peak, "lenet").value == pytest.approx(30)
    assert verdicts_tables.fig1_unlike(peak).value == 0  # four maps that are one


def test_the_steadier_definition_is_read_from_the_record(tmp_path):
    with pytest.raises(Missing, match="of VGG-11 in the record"):
        verdicts_nads.steadier_gradient(Sources(), "vgg11")
    found = verdicts_nads.steadier_gradient(Sources(), "lenet")
    (row,) = [r for r in Sources().rows("measures") if r["measure"] == "nads.definitions"]
    assert found.value == row["found.halves"][0] - row["found.halves"][1]
    assert found.command == f"make audit ROW={row['key'][:12]}"


def test_nads_tell_a_map_that_was_made_by_them_and_not_another(tmp_path):
    made = maps(tmp_path / "a", lambda n, ky, kx: 0.9 if energy_at("resnet18", ky, kx) > 1 else 0.5)
    found = verdicts_tables.fig1_told_by_nads(made, "resnet18")
    assert found.value == 1
    assert found.low > 0.9
    other = maps(tmp_path / "b", lambda n, ky, kx: 0.9 if energy_at("resnet18", ky, kx) <= 1 else 0.5)
    assert verdicts_tables.fig1_told_by_nads(other, "resnet18").value == 0
    assert orbit_of("lenet", -4, 6) == orbit_of("lenet", 6, 4)  # LeNet treats both axes and both directions alike


def test_a_falling_curve_and_one_with_a_rise(tmp_path):
    falling = curves(tmp_path / "a", lambda n, k: 1 - k / 400)
    assert verdicts_tables.fig6_largest_rise(falling, "vgg11").value < 0.01
    assert verdicts_tables.fig6_explained_by_order(falling, "vgg11").value > 0.999
    assert verdicts_tables.fig6_early_are_learnt(falling, "vgg11").value == 1
    rising = curves(tmp_path / "b", lambda n, k: 0.95 if k in (0, 90) else 0.6)
    assert verdicts_tables.fig6_largest_rise(rising, "vgg11").value == pytest.approx(35, abs=0.01)
    assert verdicts_tables.fig6_explained_by_order(rising, "vgg11").value < 0.6


def published(folder, spectra, rows):
    """A folder with NADs laid out as the authors'."""
    (folder / "NADs").mkdir(parents=True, exist_ok=True)
    for name, stem in (
        ("lenet", "LeNet"),
        ("vgg11", "VGG11"),
        ("resnet18", "ResNet18"),
        ("densenet121", "DenseNet121"),
    ):
        np.save(folder / "NADs" / f"{stem}_NADs.npy", rows(name)[:1023].numpy().astype(np.float32))
        np.save(folder / "NADs" / f"{stem}_eigenvals.npy", np.sqrt(spectra(name)).astype(np.float32))
    return Sources(folder)


def test_drops_in_the_order_of_the_spectra_have_no_pair_the_other_way(tmp_path):
    rates = dict(zip(CNNS, (0.01, 0.02, 0.04, 0.08), strict=True))
    eye = torch.eye(1024)
    published(tmp_path, lambda n: np.exp(-rates.get(n, 0.0) * np.arange(1024)), lambda n: eye)
    agreeing = curves(tmp_path, lambda n, k: 1 - min(0.5, 0.5 * rates[n] * k))
    assert verdicts_tables.fig6_decay_against_drop(agreeing).value == 0
    assert verdicts_tables.fig6_decay_against_depth(agreeing).value == 0
    swapped = rates | {"lenet": rates["densenet121"], "densenet121": rates["lenet"]}
    opposite = curves(tmp_path, lambda n, k: 1 - min(0.5, 0.5 * swapped[n] * k))
    assert verdicts_tables.fig6_decay_against_drop(opposite).value == 5


def test_our_own_basis_is_ours_and_a_random_one_is_not(tmp_path):
    found = nads.load("lenet")
    same = published(tmp_path / "a", lambda n: found.eigenvalues.numpy(), lambda n: found.rows)
    assert verdicts_nads.same_subspace(same, "lenet", 10).value > 1
    generator = torch.Generator().manual_seed(0)
    drawn = torch.linalg.qr(torch.randn(1024, 1024, generator=generator))[0]
    other = published(tmp_path / "b", lambda n: found.eigenvalues.numpy(), lambda n: drawn)
    assert verdicts_nads.same_subspace(other, "lenet", 10).value < 0.1
    assert verdicts_nads.expected_overlap("lenet", 10) < found.overlap_range(10)[0]


def test_waves_are_combs_and_supports_where_they_should_be(tmp_path):
    wave = torch.cos(2 * torch.pi * 8 * torch.arange(32) / 32).repeat(32, 1)
    rows = torch.eye(1024).clone()
    rows[:4] = (wave / wave.norm()).flatten()
    maps(tmp_path, lambda n, ky, kx: 0.9 if (ky, kx) == (0, 8) else 0.5)
    sources = published(tmp_path, lambda n: np.ones(1024), lambda n: rows)
    sources.their_nads = lambda network: type("Rows", (), {"directions": rows.view(-1, 1, 32, 32)})()
    assert verdicts_nads.on_a_comb(sources, "resnet18").value == pytest.approx(1)
    assert verdicts_nads.frequencies_in_one(sources, "resnet18").value == pytest.approx(2)
    assert verdicts_nads.support_is_learnt(sources, "lenet").value == pytest.approx(1)


def test_theorem_1_as_printed_is_what_simulated_classification_says():
    """Complex noise, S = 4, in agreement; S = 8, not."""
    for stride, agrees in ((4, True), (8, False)):
        taps = pooling.average(stride, 128)
        hits, n = pooling.monte_carlo(
            taps, stride, 6, epsilon=1.0, sigma=1.0, samples=40_000, noise="circular",
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        known = {"epsilon": 1.0, "sigma": 1.0, "method": "printed", "convention": "literal"}
        printed = pooling.bayes_accuracy(taps, stride, 6, **known)
        assert (abs(hits / n - printed) < 4 * math.sqrt(0.25 / n)) == agrees
    assert verdicts_theory.bayes_printed(Sources(), 4, "circular").value < 1e-12
    assert verdicts_theory.bayes_printed(Sources(), 8, "circular").value > 0.01


def test_formulas_as_printed_lack_what_ours_have():
    for quantity in ("hessian_phi", "gradient_covariance", "mixed_derivatives"):
        ours = verdicts_theory.simulated_over_formula(Sources(), quantity, printed=False)
        printed = verdicts_theory.simulated_over_formula(Sources(), quantity)
        assert ours.value == pytest.approx(1, abs=0.05)
        assert printed.high < 0.5
    for quantity in ("gradient", "mixed"):
        assert verdicts_theory.off_diagonal(Sources(), quantity).value < 4.2


def test_lemma_2_as_printed_fails_below_its_alpha_and_holds_above():
    limit = 3 / (2 * math.sqrt(math.pi))
    assert verdicts_theory.lemma2_ratio(Sources(), limit / 1.1).low > 1
    assert verdicts_theory.lemma2_ratio(Sources(), limit * 1.1).high < 1


def test_what_is_not_there_is_missing(tmp_path):
    with pytest.raises(Elsewhere):
        verdicts_tables.fig1_range(Sources(), "lenet")
    with pytest.raises(Elsewhere):
        verdicts_tables.fig8_lost(Sources(tmp_path), "lenet")
    with pytest.raises(Missing, match="the run of 05_poisoning"):
        verdicts_runs.claim(Sources(runs=tmp_path), "05_poisoning", "no such claim", "")
    with pytest.raises(Missing, match="0 of 9 rows"):
        verdicts_record.lost_by_flipping(Sources(folder=tmp_path), "fig8-vgg11")


def rows(monkeypatch, accuracies):
    """Rows on images with these accuracies: (kind, seed) -> accuracy."""
    made = [
        {"arm.kind": kind, "seed": seed, "test_accuracy": a, "train_accuracy": 1.0, "seconds": 1.0, "made.commit": "0"}
        for (kind, seed), a in accuracies.items()
    ]
    monkeypatch.setattr(verdicts_record, "rows_of", lambda sources, item: made)


def test_flipping_is_paired_by_seed_and_signs_take_their_share(monkeypatch):
    loss = {0: 0.30, 1: 0.32, 2: 0.31}
    accuracies = {}
    for seed, lost in loss.items():
        accuracies |= {("clean", seed): 0.8 + seed / 50, ("flipped", seed): 0.8 + seed / 50 - lost}
        accuracies[("signed", seed)] = 0.8 + seed / 50 - lost / 2
    rows(monkeypatch, accuracies)
    lost = verdicts_record.lost_by_flipping(Sources(), "fig8-vgg11")
    assert lost.value == pytest.approx(31)
    assert 25 < lost.low < lost.high < 37
    assert verdicts_record.share_left_by_signs(Sources(), "fig8-vgg11").value == pytest.approx(0.5)
    assert "VGG-11" in lost.size
    assert not lost.full  # 10 epochs of 50
