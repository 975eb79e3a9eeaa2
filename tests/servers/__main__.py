"""Makes what the tests of nf-core's templates keep: minutes of work, done beside the other tests.

    python -m tests.servers
"""

from __future__ import annotations

from tests.servers import templates, templates_image

if __name__ == "__main__":
    print(templates_image.made())
    for each in templates.TEMPLATES:
        print(each.folder)
