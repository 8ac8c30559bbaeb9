"""Staff's Markdown as safe HTML."""

import re
from xml.etree.ElementTree import Element

from django.utils.safestring import SafeString, mark_safe
from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor

SAFE_ADDRESS = re.compile(r"(https://|mailto:|/|#)", re.IGNORECASE)


class _SafeLinks(Treeprocessor):  # type: ignore[misc]
    def run(self, root: Element) -> None:
        for node in root.iter():
            for name in ("href", "src"):
                if name in node.attrib and not SAFE_ADDRESS.match(node.attrib[name].strip()):
                    del node.attrib[name]


class _NoRawHtml(Extension):  # type: ignore[misc]
    """HTML written into the Markdown stays visible text; links lead to https, mail or this site, and nowhere else."""

    def extendMarkdown(self, md: Markdown) -> None:
        md.preprocessors.deregister("html_block")
        md.inlinePatterns.deregister("html")
        md.treeprocessors.register(_SafeLinks(md), "safe_links", 0)


def as_html(text: str) -> SafeString:
    """Return the Markdown as HTML without raw HTML, images and unsafe links."""
    reader = Markdown(extensions=[_NoRawHtml()])
    for pattern in ("image_link", "image_reference", "short_image_ref"):
        reader.inlinePatterns.deregister(pattern)
    return mark_safe(str(reader.convert(text)))  # noqa: S308 - raw HTML is escaped above
