"""The site, for Sphinx. `make site` calls it on the sources that `anisotropy.site.staging` lays out."""

from anisotropy import __version__
from anisotropy._util import paths

WEB = paths.root() / "lib" / "anisotropy" / "site" / "web"

project = "NAD companion"
author = "The NAD companion contributors"
version = release = __version__
html_title = "NAD companion"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "anisotropy.site.documentation",
]
exclude_patterns = ["lib/**", "results/**"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!anisotropy\.).*")]  # other packages' names: their pages are on the network
suppress_warnings = ["ref.python"]  # two classes of one name, in rooms that do not meet

# Notebooks carry their outputs, which tests hold to fresh ones; nothing is run here.
nb_execution_mode = "off"
nb_merge_streams = True
nb_number_source_lines = False
myst_enable_extensions = ["amsmath", "attrs_inline", "dollarmath", "html_image"]
myst_dmath_double_inline = True
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
toc_object_entries = False  # thousands of names, copied into the navigation of every page
python_use_unqualified_type_names = True

html_theme = "furo"
html_static_path = [str(WEB / "static")]
templates_path = [str(WEB)]
html_css_files = ["site.css"]
html_show_search_summary = False  # it would fetch pages, which no browser allows a page from disk
html_copy_source = False
html_domain_indices = False
viewcode_follow_imported_members = False
html_show_copyright = False
html_math_renderer = "mathml"
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
