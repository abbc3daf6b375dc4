"""Settings of Sphinx for the site; ``make docs`` builds it (``scripts/build_site.py``)."""

from calib import __version__

project = "calib"
author = "The calib authors"
project_copyright = "The calib authors, MIT licence"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4  # anchors of headings as GitHub has them

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 90  # a parameter a line in longer ones
napoleon_numpy_docstring = False
napoleon_attr_annotations = False  # of data classes they stand in the signature

smartquotes = False  # --help is no dash

html_theme = "furo"  # its fonts are those of the reader's machine, and it loads nothing from other places
html_title = f"calib {__version__}"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
