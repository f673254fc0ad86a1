"""Sphinx extension: pictures get texts, cells of notebooks anchors, links in outputs pages, and badges are at hand."""

import re
from pathlib import PurePosixPath
from typing import Any

from docutils import nodes
from pages import PICTURES, cells, picture_of
from sphinx.application import Sphinx
from sphinx.util import logging

BADGES = {
    "https://mybinder.org/badge_logo.svg": "binder.svg",
    "https://colab.research.google.com/assets/colab-badge.svg": "colab.svg",
}
logger = logging.getLogger(__name__)


def describe(app: Sphinx, document: nodes.document) -> None:
    """Mend a page when it was read."""
    docname = PurePosixPath(app.env.docname)
    for image in document.findall(nodes.image):
        if badge := BADGES.get(image["uri"]):
            image["uri"] = f"/_static/{badge}"
    for link in document.findall(nodes.reference):  # in outputs; those of texts Sphinx resolves itself
        if re.fullmatch(r"\w+\.ipynb", link.get("refuri", "")):
            link["refuri"] = link["refuri"].replace(".ipynb", ".html")
    if docname.parent.name == "notebooks":
        for box in document.findall(nodes.container):
            if box.get("nb_element") != "cell_code":
                continue
            cell = cells(docname.name)[box["cell_index"]]
            box["ids"].append(f"nb-{cell.id}")
            name = picture_of(docname.name, cell)
            for image in box.findall(nodes.image):
                if name not in PICTURES:
                    logger.warning("no alternative text for %s in docs/figures.toml", name, location=box)
                image["alt"] = PICTURES.get(name, ("", ""))[1]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", describe, priority=400)  # before Sphinx collects the images
    return {"parallel_read_safe": True, "parallel_write_safe": True}
