"""Measures of which features a network uses, on made-up rows of which the answer is known."""

import json
import math

import pytest
from anisotropy import nads
from anisotropy._util import paths
from anisotropy.experiments import campaign
from anisotropy.paper import verdicts_features as features
from anisotropy.paper import verdicts_record
from anisotropy.paper.evidence import Missing
from anisotropy.paper.sources import Sources
from anisotropy.results import record


def written(folder, follows):
    """A record of the item `redundant-lenet` in which `follows(root of the eigenvalues' ratio, ratio)` is the share."""
    (item,) = (one for one in campaign.plan(paths.root() / campaign.PLAN) if one.name == "redundant-lenet")
    values = nads.load("lenet").eigenvalues.double()
    lines = []
    for row in campaign.rows([item], "", ""):
        fields = row.job.fields(row.unit)
        root = math.sqrt(values[fields["first"]["index"]] / values[fields["second"]["index"]])
        result = {"test_accuracy": 1.0, "probe_accuracy": follows(root, fields["ratio"]), "seconds": 1.0}
        lines.append(record.line(fields, result, {"commit": "0" * 40, "clean": True}))
    folder.mkdir()
    (folder / "redundant.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Sources(folder=folder)


def test_a_network_that_compares_responses_changes_over_with_slope_one(tmp_path):
    def share(root, ratio):  # half where a^2 lambda_i = b^2 lambda_j
        return 1 / (1 + (ratio / root) ** 4)

    sources = written(tmp_path / "a", share)
    slope = features.changes_over_as_responses(sources, "redundant-lenet")
    assert slope.low <= slope.value <= slope.high
    assert slope.value == pytest.approx(1, abs=0.15)  # between the ratios the share is no straight line
    first = features.follows_earlier(sources, "redundant-lenet")
    assert (first.value, first.n) == (1.0, 8)
    assert "8 pairs" in first.size


def test_a_network_that_takes_the_larger_amplitude_has_slope_zero_and_one_without_preference_follows_half(tmp_path):
    larger = written(tmp_path / "a", lambda root, ratio: 1 / (1 + (ratio / 1.5) ** 8))
    assert features.changes_over_as_responses(larger, "redundant-lenet").value == pytest.approx(0, abs=0.05)
    later = written(tmp_path / "b", lambda root, ratio: 0.4)
    assert features.follows_earlier(later, "redundant-lenet").high == 0
    with pytest.raises(Missing, match="0 pairs that change over"):
        features.changes_over_as_responses(later, "redundant-lenet")


def test_the_change_over_is_where_the_curve_first_crosses_a_half():
    assert features.change_over([1, 2, 4], [1.0, 0.75, 0.25]) == pytest.approx(2 * math.sqrt(2))
    assert features.change_over([1, 2, 4], [0.9, 0.8, 0.7]) is None
    assert features.change_over([1, 2, 4], [0.4, 0.3, 0.2]) is None


def test_a_poison_that_works_by_its_strength_is_told_from_one_that_works_by_what_is_missing(monkeypatch):
    accuracy = {("none", 0.0125): 0.6, ("none", 0.2): 0.3, ("own", 0.0125): 0.27, ("own", 0.2): 0.25}
    made = [
        {"arm.kind": "poisoned", "arm.erase": erase, "arm.epsilon": epsilon, "arm.index": 0, "seed": 0,
         "test_accuracy": value, "seconds": 1.0, "made.commit": "0"}
        for (erase, epsilon), value in accuracy.items()
    ]  # fmt: skip
    monkeypatch.setattr(features, "rows_of", lambda sources, item: made)
    found = features.told_by_what_is_missing(Sources(), "fig7-lenet", "fig7-strength-lenet")
    assert found.value == pytest.approx(28)
    assert [verdicts_record.condition(row) for row in made] == ["added", "added", "poisoned", "poisoned"]
    monkeypatch.setattr(features, "rows_of", lambda sources, item: made[:3])
    with pytest.raises(Missing, match="poisoned"):
        features.told_by_what_is_missing(Sources(), "fig7-lenet", "fig7-strength-lenet")


def test_rows_that_are_expected_are_those_that_the_plan_makes():
    items = {item.name: item for item in campaign.plan(paths.root() / campaign.PLAN)}
    for name, item in items.items():
        if not item.conditions:
            assert verdicts_record.expected(name) == len(list(campaign.rows([item], "", "")))
    assert verdicts_record.expected("fig7-lenet") == 1 + 4 * 6
    assert verdicts_record.expected("fig7-strength-lenet") == 3 * 2 * 2


def committed():
    return Sources(folder=record.folder())


POISON = {
    "poisoned": "released: own coefficient replaced",
    "added": "nothing erased, carrier added",
    "written": "all six erased, own carrier written",
    "scrambled": "all six erased, a random class's carrier written",
}


def test_the_tables_of_the_page_are_those_of_the_rows():
    """docs/record.md, What a network reads: every number of both tables."""
    text = (paths.root() / "docs/record.md").read_text(encoding="utf-8")
    found = {}
    for item in ("fig7-lenet", "fig7-strength-lenet"):
        for row in verdicts_record.rows_of(committed(), item):
            how = verdicts_record.condition(row), row.get("arm.index"), row.get("arm.epsilon")
            found[how] = f"{100 * row['test_accuracy']:.1f}"
    assert f"original: {found['original', None, None]} %" in text
    for how, words in POISON.items():
        cells = [found[how, i, 0.05] for i in (0, 3, 10, 30, 300, 1000)]
        assert f"| {words} | {' | '.join(cells)} |" in text
    for how in ("poisoned", "added", "written"):
        cells = [found[how, i, e] for i in (0, 30) for e in (0.0125, 0.05, 0.2)]
        assert f"| {how} | {' | '.join(cells)} |" in text
    rows, values = verdicts_record.rows_of(committed(), "redundant-lenet"), nads.load("lenet").eigenvalues.double()
    for i, j in sorted({(row["first.index"], row["second.index"]) for row in rows}):
        mine = [row for row in rows if (row["first.index"], row["second.index"]) == (i, j)]
        ratios = sorted({row["ratio"] for row in mine})
        means = [sum(row["probe_accuracy"] for row in mine if row["ratio"] == ratio) / 3 for ratio in ratios]
        root = math.sqrt(values[i] / values[j])
        at = features.change_over(ratios, means)
        assert f"| {i}, {j} | {' | '.join(f'{100 * m:.0f}' for m in means)} | {root:.1f} | {at:.1f} |" in text
