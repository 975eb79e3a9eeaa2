"""Pages for people: one self-contained HTML file, from a template on the project's one base.

Every text that a template is given may come from outside. It is escaped for HTML, and what would
steer a reader's eye without being seen (control and direction marks) is shown as its escape.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core import files, picture
from tasks.core.errors import shown

BASE = Path(__file__).with_name("page.html")
"""The base of all pages: its head, style and script, and the blocks that a template fills."""

PICTURE = Path(__file__).with_name("picture.html")
"""Pictures that templates take from there."""
SCRIPT = Path(__file__).with_name("page.js")
"""The only script of a page: it searches and sorts tables, and unfolds all for print."""
POLICY = "policy-of-the-page"
"""It stands for the page's policy until the page is whole: that names what is inline by digest."""
INLINE = re.compile("<(style|script)>(.*?)</(?:style|script)>", re.DOTALL)


def render(template: Path, values: Mapping[str, Any]) -> str:
    """The page that a template makes of the values."""
    import jinja2

    def finalize(value: Any) -> Any:
        """Other text than what a macro of the template has made, which was escaped there."""
        return shown(value) if isinstance(value, str) and not hasattr(value, "__html__") else value

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=finalize, trim_blocks=True,
        lstrip_blocks=True, loader=jinja2.FileSystemLoader([template.parent, BASE.parent]))
    environment.filters["size"] = files.human_size
    environment.filters["drawn"] = picture.drawn
    page = environment.get_template(template.name).render(
        {**values, "policy": POLICY, "script": SCRIPT.name, "pictures": PICTURE.name})
    return page.replace(POLICY, _policy(page), 1)


def _policy(page: str) -> str:
    """Nothing is loaded, and no other style or script holds than those that the template has.

    Texts from outside are escaped in the page, so none of them is an element.
    """
    digests: dict[str, list[str]] = {"style": [], "script": []}
    for kind, text in INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        digests[kind].append(f"'sha256-{digest}'")
    return "; ".join(["default-src 'none'", "base-uri 'none'", "form-action 'none'", *(
        f"{kind}-src {' '.join(dict.fromkeys(listed))}" for kind, listed in digests.items()
        if listed)])
