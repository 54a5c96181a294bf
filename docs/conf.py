"""How Sphinx builds this documentation: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# The package of this checkout, installed or not, and the directive below.
sys.path[:0] = [os.path.dirname(HERE), os.path.join(HERE, "_ext")]

from jobqueue import __version__  # noqa: E402 - found by the line above

project = "jobqueue"
author = "The jobqueue authors"
project_copyright = "the jobqueue authors"
release = version = __version__

extensions = ["myst_parser", "program_help", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_ext"]
root_doc = "index"

html_theme = "furo"
html_title = f"jobqueue {release}"
html_copy_source = False

# In docstrings a name in single backquotes is a link where there is such an object, else just a name.
default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_custom_sections = ["Files", "Source"]
napoleon_include_init_with_doc = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
