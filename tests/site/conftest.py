"""The site, built once for all tests that look at it."""

import pytest
from anisotropy.site import building


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Folder of the site; a warning of Sphinx is an error."""
    return building.build(tmp_path_factory.mktemp("site") / "site").parent
