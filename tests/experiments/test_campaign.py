"""The campaign: rows fixed before they were computed, drawn as the plan says, computed, recorded and found again."""

import subprocess

import pytest
from anisotropy._util import paths
from anisotropy.experiments import campaign, strata
from anisotropy.results import record, stores

PLAN = paths.root() / campaign.PLAN


def test_the_frequencies_of_vgg11_are_those_that_the_seed_draws():
    item = next(item for item in campaign.plan(PLAN) if item.name == "fig1-vgg11")
    assert [list(f) for f in item.frequencies] == strata.drawn("vgg11", [[0, 8, 5], [8, 22, 6], [22, 45, 5]], 0)
    assert strata.drawn("vgg11", [[0, 8, 5]], 0) != strata.drawn("vgg11", [[0, 8, 5]], 1)


def test_what_is_foretold_of_resnet18_is_what_its_nads_say():
    ranked = {f: energy for energy, orbit in strata.orbits("resnet18", 1) for f in orbit}
    item = next(item for item in campaign.plan(PLAN) if item.name == "fig1-resnet18")
    cosines = [tuple(f) for f in item.frequencies if f[2] == "cos"]
    assert [ranked[f] > 0.14 for f in cosines] == [True, False, True, False, True, False]


def test_every_row_has_its_own_key_and_an_item_with_an_unknown_word_is_refused(tmp_path):
    planned = [row for row in campaign.rows(campaign.plan(PLAN), str(tmp_path), "")]
    assert len({row.key for row in planned}) == len(planned) > 100
    wrong = tmp_path / "plan.yaml"
    wrong.write_text("items: [{name: a, figure: b, network: lenet, epoch: 3}]")
    with pytest.raises(ValueError, match="epoch"):
        campaign.plan(wrong)
    with pytest.raises(ValueError, match="one of frequencies, nads, conditions and pairs"):
        campaign.Item("a", "b", "lenet")


def git(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", *arguments], cwd=paths.root(), capture_output=True, text=True)


def test_the_plan_was_committed_before_every_row_of_the_record_that_it_lists(tmp_path):
    found = record.read(record.folder() / "directions.jsonl").rows
    planned = {row.key for row in campaign.rows(campaign.plan(PLAN), str(tmp_path), "")} & found.keys()
    for commit in {found[key]["made.commit"] for key in planned}:
        if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
            pytest.skip("this clone is shallow: it does not hold the commits that made the rows")
        assert git("merge-base", "--is-ancestor", commit, "HEAD").returncode == 0
        shown = git("show", f"{commit}:{campaign.PLAN}")
        (tmp_path / "then.yaml").write_text(shown.stdout)
        then = {row.key for row in campaign.rows(campaign.plan(tmp_path / "then.yaml"), str(tmp_path), "")}
        assert {key for key in planned if found[key]["made.commit"] == commit} <= then


def test_a_row_is_computed_recorded_and_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "folder", lambda: tmp_path / "results")
    item = campaign.Item(
        "x", "Fig. 1", "logreg", frequencies=((0, 2, "cos"),), samples=64, epochs=2, dtypes=("float32",)
    )
    (row,) = campaign.rows([item], str(tmp_path / "store"), "")
    campaign.resumable.Compute(row.job)([row.unit])
    (line,) = record.from_store(stores.Store(tmp_path / "store"))
    assert (line["direction.ky"], line["direction.kx"], line["recipe.epochs"]) == (0, 2, 2)
    assert line["early"] == [pytest.approx(0.7, abs=0.7), None, None]  # two steps in all: one an epoch
    assert record.add("directions", [line | {"made.clean": True}]) == 1
    assert record.results([row.key])[row.key]["test_accuracy"] == line["test_accuracy"]
