"""The page for artifact reviewers: every command that decides a statement, with what it takes and what it writes."""

import re

import pytest
from anisotropy._util import paths
from anisotropy.paper import artifact_page, judging


@pytest.fixture(scope="module")
def report():
    return judging.judge(None, judging.committed())


def test_the_committed_page_is_that_of_the_committed_statements(report):
    assert (paths.root() / artifact_page.PAGE).read_text(encoding="utf-8") == artifact_page.page(report)


def test_every_statement_with_a_number_is_in_a_row_and_minutes_are_those_of_its_checks(report):
    listed = artifact_page.efforts(report)
    measured = {s.id for s, found, _ in report.statements if any(f.known for f in found)}
    assert {name for effort in listed.values() for name in effort.claims} == measured
    known = [f.known for _, found, _ in report.statements for f in found if f.known]
    for command, effort in listed.items():
        assert effort.minutes == max(k["minutes"] for k in known if k["command"] == command)


def test_what_a_command_writes_is_there(report):
    for command, effort in artifact_page.efforts(report).items():
        assert (paths.root() / artifact_page.written_by(command, effort)).exists(), command


def test_sizes_are_those_of_all_files_and_rounded_up(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a").write_bytes(b"x" * 900_000)
    (tmp_path / "inner" / "b").write_bytes(b"x" * 200_000)
    assert artifact_page.megabytes(tmp_path) == 2
    assert artifact_page.megabytes(tmp_path / "a") == 1


def test_a_run_is_told_from_other_commands():
    effort = artifact_page.Effort(files={"figures/x.json": None, "results/directions.jsonl": None})
    assert artifact_page.written_by("make reproduce PRESET=laptop ONLY=03_nads", effort) == "figures/laptop/03_nads"
    assert artifact_page.written_by("make campaign HOURS=24 ONLY=fig2", effort) == "results/directions.jsonl"
    assert re.search(r"statements\.json$", artifact_page.written_by("make statements SLOW=1", effort))
