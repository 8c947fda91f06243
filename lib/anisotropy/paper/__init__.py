"""What the paper says against what is measured: `claims` with verdicts, the authors' `published` numbers, figures.

`plotting` draws (`wide_figures` and `wide_tables` for the article 08), `passports` keeps a picture with the numbers
behind it and what made it, `agreement` compares maps of accuracies, `discrimination` and `foretold` say what foretells
them. May import the rooms above.
"""
