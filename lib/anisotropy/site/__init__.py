"""The report: `pages` puts it together from what `runs` left, `rendering` draws notebooks, `explorer` packs its data.

Styles, scripts and the template lie in `web/`. May import the rooms above.
"""
