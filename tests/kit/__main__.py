"""Makes what the tests of nf-core's templates keep: minutes of work, done beside the other tests.

    python -m tests.kit
"""

from __future__ import annotations

from tests.kit import template_image, templates

if __name__ == "__main__":
    print(template_image.image())
    for template in templates.TEMPLATES:
        print(template.folder)
