"""The record holds what was computed, names what is wrong with it, and the audit finds what was altered."""

import json

import numpy as np
import pytest
from anisotropy import nads
from anisotropy._util import provenance
from anisotropy.experiments import audit, campaign, image_sweeps
from anisotropy.images import arms, cifar
from anisotropy.models import architectures
from anisotropy.results import record, resumable, stores
from anisotropy.training.recipes import Recipe

SMALL = {"samples": 3840, "epochs": 1, "dtypes": ("float32",)}  # 30 steps


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """Lines of trainings on D(v), with Fourier vectors and a NAD, and of one on images, as of committed code."""
    folder = tmp_path_factory.mktemp("store")
    items = [
        campaign.Item("a", "Fig. 1", "logreg", frequencies=((0, 2, "cos"), (0, 3, "sin")), seeds=(0, 1), **SMALL),
        campaign.Item("b", "Fig. 6", "logreg", nads=(5,), **SMALL),
    ]
    for row in campaign.rows(items, str(folder), ""):
        resumable.Compute(row.job)([row.unit])
    make = architectures.factory("logreg", in_channels=3, num_outputs=10)
    source = cifar.Source("digits", train=500)
    job = image_sweeps.Job(make, make.spec, source, Recipe.cifar(epochs=2), str(folder), "cpu")
    basis = nads.load("lenet").directions
    added = arms.scrambled(basis, 3, 0.05, label="p", erase="none")
    for arm in (arms.clean(), arms.flipped(basis), added):
        resumable.Compute(job)([(arm, 1)])
    return [line | {"made.clean": True} for line in record.from_store(stores.Store(folder))]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "folder", lambda: tmp_path)
    return tmp_path


def split(lines):
    return [r for r in lines if "images.name" not in r], [r for r in lines if "images.name" in r]


def test_every_line_is_flat_and_gives_back_its_identity(lines):
    assert len(lines) == 8
    for line in lines:
        assert stores.digest(record.fields_of(line)) == line["key"]
        assert not any(isinstance(value, dict) for value in line.values())
        assert line["made.commit"]


def test_every_kind_of_line_is_computed_again_to_the_same_numbers(lines):
    findings = [audit.compute(audit.Draw(line, part)) for line in lines for part in (audit.WHOLE, audit.EARLY)]
    assert [finding.verdict for finding in findings] == [audit.AGREES] * 16, findings


@pytest.mark.parametrize("change", ["accuracy by 3 points", "loss by 1 %"])
def test_an_altered_line_is_found_whenever_it_is_drawn(lines, change):
    for line in lines:
        if change == "accuracy by 3 points":
            altered, parts = line | {"test_accuracy": line["test_accuracy"] - 0.03}, (audit.WHOLE,)
        else:
            altered, parts = line | {"early": [line["early"][0] * 1.01, *line["early"][1:]]}, (audit.WHOLE, audit.EARLY)
        for part in parts:
            assert audit.compute(audit.Draw(altered, part)).verdict == audit.DIFFERS


def test_on_another_processor_a_line_may_differ_by_rounding_and_not_by_more(lines):
    other = lines[0] | {"made.on": "another", "test_accuracy": lines[0]["test_accuracy"] + 0.01}
    assert audit.compute(audit.Draw(other, audit.WHOLE)).verdict == audit.AGREES
    far = other | {"early": [loss and loss * 1.01 for loss in other["early"]]}
    assert audit.compute(audit.Draw(far, audit.WHOLE)).verdict == audit.DIFFERS


def test_what_cannot_be_computed_here_is_said(lines, monkeypatch):
    own = lines[0] | {"architecture.name": "mine:net"}
    assert "no network of the paper" in audit.compute(audit.Draw(own, audit.WHOLE)).text
    old = lines[0] | {"numerics": [0]}
    old["key"] = stores.digest(record.fields_of(old))
    assert "another version" in audit.compute(audit.Draw(old, audit.WHOLE)).text
    monkeypatch.setattr(provenance, "has_bfloat16", lambda: False)
    half = lines[0] | {"recipe.dtype": "bfloat16"}
    assert "no bfloat16" in audit.compute(audit.Draw(half, audit.WHOLE)).text


def test_a_draw_reaches_every_kind_and_keeps_to_its_time(lines):
    long = [line | {"seconds": 3000.0, "recipe.dtype": "bfloat16", "recipe.epochs": 20} for line in lines[:3]]
    draws = audit.drawn(lines + long, 120.0, generator=np.random.default_rng(0))
    assert {draw.part for draw in draws if draw.row["seconds"] == 3000.0} == {audit.EARLY}
    assert {"images.name" in draw.row for draw in draws} == {True, False}
    assert sum(draw.row["seconds"] for draw in draws if draw.part == audit.WHOLE) < 120
    again = audit.drawn(lines + long, 120.0, generator=np.random.default_rng(0))
    assert [d.row["key"] for d in draws] == [d.row["key"] for d in again]


def test_lines_are_added_once_and_a_second_of_the_same_identity_must_agree(lines, place):
    trainings, _ = split(lines)
    assert record.add("directions", trainings) == len(trainings)
    content = (place / "directions.jsonl").read_text()
    assert record.add("directions", trainings) == 0
    assert (place / "directions.jsonl").read_text() == content
    with pytest.raises(ValueError, match="contradicts the record"):
        record.add("directions", [trainings[0] | {"train_loss": trainings[0]["train_loss"] * 1.01}])
    with pytest.raises(ValueError, match="not made by committed code"):
        record.add("directions", [trainings[0] | {"made.clean": False}])


def test_files_of_two_machines_merge_by_union(lines, place):
    trainings, _ = split(lines)
    record.add("directions", trainings[:2])
    other = trainings[1] | {"made.on": "another", "test_accuracy": trainings[1]["test_accuracy"] + 0.01}
    with (place / "directions.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in (other, trainings[2]))
    found = record.read(place / "directions.jsonl")
    assert (len(found.rows), len(found.replicates), found.problems) == (3, 1, [])


DAMAGE = {
    "cut in half": lambda text: text[: len(text) // 2],
    "identity altered": lambda text: text.replace('"seed": 0', '"seed": 7'),
    "accuracy out of range": lambda text: text.replace('"test_accuracy": 0.', '"test_accuracy": 7.'),
    "contradicts another": lambda text: text.replace('"train_accuracy": 0.', '"train_accuracy": 0.0'),
    "no mapping": lambda text: "[1, 2]",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_line_is_named_with_its_number_and_the_others_stay(lines, place, damage):
    trainings, _ = split(lines)
    record.add("directions", trainings[:2])
    path = place / "directions.jsonl"
    whole = path.read_text()
    path.write_text(whole + damage(whole.splitlines()[0]) + "\n")
    found = record.read(path)
    assert len(found.rows) == 2
    assert len(found.problems) == 1
    assert "directions.jsonl, line 3" in found.problems[0]
    with pytest.raises(ValueError, match="mend them first"):
        record.add("directions", trainings[2:])


def test_a_withdrawn_line_is_no_result_and_its_reason_is_kept(lines, place):
    trainings, _ = split(lines)
    record.add("directions", trainings)
    record.withdraw("directions", trainings[0]["key"], "made with a wrong learning rate")
    found = record.read(place / "directions.jsonl")
    assert trainings[0]["key"] not in found.rows
    assert found.withdrawn[trainings[0]["key"]] == "made with a wrong learning rate"
    with pytest.raises(ValueError, match="the key of a line"):
        record.withdraw("directions", "0" * 32, "none")


def test_the_committed_record_is_whole():
    for name in ("directions", "images"):
        if name in record.experiments():
            assert record.read(record.folder() / f"{name}.jsonl").problems == []
