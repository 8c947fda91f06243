"""NADs of a network that may or may not come with the package."""

import torch
from anisotropy import nads
from anisotropy.models import architectures
from anisotropy.nads import shipped


def test_full_networks_of_the_paper_are_loaded_and_others_measured():
    whole = nads.load("lenet")
    assert torch.equal(shipped.or_measured("lenet", networks=2).directions, whole.directions)
    stands_in = shipped.or_measured("lenet", width=0.5, stand_in=True, networks=2)
    assert torch.equal(stands_in.directions, whole.directions)
    narrow = shipped.or_measured("lenet", width=0.5, networks=2, seed=3)
    own = nads.estimate(architectures.factory("lenet", width=0.5), networks=2, seed=3)
    assert torch.equal(narrow.eigenvalues, own.eigenvalues)
    assert not torch.equal(narrow.directions, whole.directions)
    mine = shipped.or_measured("anisotropy.variants:mlp", networks=2, stand_in=True)
    assert mine.networks == 2
