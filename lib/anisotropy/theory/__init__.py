"""What can be computed without training: linear pooling and its Bayes accuracy, the deep linear model, Lemma 2.

`pooling` with `prefilters` and `aliasing` (Sec. 2.1, Theorem 1), `deep_linear` and `deep_linear_training` (Sec. 2.2,
Fig. 4), `dipole_bounds` (Sec. 3). May import the rooms above: `directions`.
"""
