"""How Sphinx makes the website of what `build.py` gathers."""

from pages import SITE

import ot_latent
from ot_latent.paper.claims import claims

project = "ot_latent"
author = "The ot_latent authors"
copyright = f"2026, {author}"
version = release = ot_latent.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "pictures",
]
templates_path = ["_templates"]
exclude_patterns = ["_made"]

myst_enable_extensions = ["amsmath", "attrs_block", "colon_fence", "deflist", "dollarmath", "substitution"]
myst_substitutions = {"claims": len(claims().entries)}
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # scripts of others, for widgets that no committed notebook has
nb_merge_streams = True
nb_render_markdown_format = "gfm"

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say what is wanted, in words and shapes
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

# One file, which `build.py` takes from a package: no formula needs the network.
mathjax_path = "mathjax/tex-svg-full.js"

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "ot_latent"
html_baseurl = SITE
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_additional_pages = {"404": "404.html"}
html_context = {"site": html_baseurl}
html_copy_source = False
