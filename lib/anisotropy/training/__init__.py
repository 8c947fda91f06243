"""Training: `train` one network from tensors as a `Recipe` says, or `train_many` small ones at once.

`loop` trains one, `stacked` many, `recipes` says how, `checkpoints` keep what was reached. May import the rooms above:
`models`.
"""

from anisotropy.training.loop import Outcome, evaluate, train
from anisotropy.training.recipes import Recipe
from anisotropy.training.stacked import train_many

__all__ = ["Outcome", "Recipe", "evaluate", "train", "train_many"]
