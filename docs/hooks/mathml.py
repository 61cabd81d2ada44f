"""Formulas as MathML at build time, which browsers show without scripts and without a network."""

import html
import re

from latex2mathml.converter import convert

# What pymdownx.arithmatex leaves of `$...$` and `$$...$$` in its generic mode.
_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.S)
_DISPLAY = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.S)
# Names of keys: browsers know no monospace letters in MathML, but text keeps a word together.
_KEY = re.compile(r"\\mathtt\{([^}]*)\}")


def on_page_content(content: str, **_: object) -> str:
    """Exchange the LaTeX of a page for MathML."""
    content = _DISPLAY.sub(lambda found: f"<p>{_mathml(found[1], 'block')}</p>", content)
    return _INLINE.sub(lambda found: _mathml(found[1], "inline"), content)


def _mathml(latex: str, display: str) -> str:
    latex = _KEY.sub(lambda found: f"\\text{{{found[1]}}}", html.unescape(latex))
    return convert(latex.replace(r"\_", "_").strip(), display=display)
