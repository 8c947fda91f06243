"""The report of a run, one file, and the site round the committed results.

`pages` puts our own pages together from what `runs` left, with `articles` and a `gallery` of figures; `explorer` packs
the data of the explorer; `rendering` draws formulas and pictures. `staging` lays out the sources of the site, among
them the `statement_pages` and the `api`, and `building` gives them to Sphinx, to which `documentation` adds what it
lacks. Styles, scripts and templates lie in `web/`. May import the rooms above.
"""
