"""Where each figure is computed: the page is that of the notebooks, and follows numbers to what they come from."""

import throwaway
from anisotropy._util import paths
from anisotropy.notebooks import figure_index

IMPORTS = """import numpy as np
from anisotropy import directions, nads
from anisotropy.directions import separable
from anisotropy.paper import passports, plotting
from anisotropy.theory import pooling"""

CODE = """basis = directions.random(3, (1, 8, 8), generator=seed)
basis = directions.fourier(8, 8).vectors  # what it was before does not matter
kept = {}
for name in ("lenet",):
    kept[name] = nads.estimate(name)
def again(k):
    return pooling.gamma(k, basis)
name = separable.sample(basis, 3)  # another `name` than that of the loop
"""


def found(tmp_path, *saves):
    return figure_index.figures(throwaway.write(tmp_path, "01_one", IMPORTS, CODE, *saves))


def test_numbers_are_followed_to_their_functions(tmp_path):
    saves = (
        'run.save(figure, "one", {"kept": kept, "style": plotting.LABELS})',
        'run.save(figure, "two", numbers={"again": [again(k) for k in range(3)]})',
        'run.save(figure, "three", {"given": np.arange(3)})',
    )
    one, two, three = found(tmp_path, *saves)
    assert one.functions == (("anisotropy.nads.estimation", "estimate"),)
    assert two.functions == (("anisotropy.directions.bases", "fourier"), ("anisotropy.theory.pooling", "gamma"))
    assert three.functions == ()


def test_a_method_that_changes_a_value_counts_and_what_comes_later_does_not(tmp_path):
    first = 'rows = []\nrows.append(separable.sample(name))\nrun.save(figure, "one", {"rows": rows})'
    (one,) = found(tmp_path, first, "rows.append(nads.load(0))")
    assert one.functions == (("anisotropy.directions.bases", "fourier"), ("anisotropy.directions.separable", "sample"))


def test_the_test_of_a_function_is_one_that_calls_it():
    path = figure_index.test_of("anisotropy.theory.pooling", "gamma")
    assert path == paths.root() / "tests" / "theory" / "test_pooling.py"
    assert figure_index.test_of("anisotropy.theory.pooling", "no_" + "such_function") is None


def test_the_page_is_that_of_the_notebooks():
    page = figure_index.page()
    assert page.count("\n| ") > 40
    committed = (paths.root() / "docs" / "figures.md").read_text(encoding="utf-8")
    assert page == committed, "python -m anisotropy.notebooks.figure_index writes it anew"
