"""Pages for people: one self-contained HTML file, from a template on the project's one base.

Every text that a template is given may come from outside. It is escaped for HTML, and what would
steer a reader's eye without being seen (control and direction marks) is shown as its escape.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.errors import shown

BASE = Path(__file__).with_name("page.html")
"""The base of all pages: its head, its style, and the blocks that a template fills."""


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
    return environment.get_template(template.name).render(values)
