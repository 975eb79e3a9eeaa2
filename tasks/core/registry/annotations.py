"""Keys of what images say of themselves (OCI image specification, "Annotations")."""

from __future__ import annotations

LICENCES = "org.opencontainers.image.licenses"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
