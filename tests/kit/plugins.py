"""Plugins, and an index of them on a web server."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

from tests.kit.web import Web

MANIFEST = "classes/META-INF/MANIFEST.MF"


def zipped(plugin: str, version: str, needs: str = "", **more: bytes) -> bytes:
    """The same bytes whenever it is made: a ZipInfo is of 1980, a bare name of now."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST), (
            f"Plugin-Id: {plugin}\nPlugin-Version: {version}\n"
            + (f"Plugin-Dependencies: {needs}\n" if needs else "")))
        for name, content in more.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


class Shop:
    """A plugin index on the web server."""

    def __init__(self, web: Web) -> None:
        self.web, self.releases = web, dict[str, list[dict[str, Any]]]()
        self.publish()

    def add(self, plugin: str, version: str, data: bytes | None = None,
            **changes: Any) -> bytes:
        """Offer a release, in the place of one of the same version; returns the zip."""
        data = zipped(plugin, version) if data is None else data
        name = f"{plugin}-{version}.zip"
        self.web.files[f"/{name}"] = data
        others = [release for release in self.releases.get(plugin, [])
                  if release["version"] != version]
        self.releases[plugin] = [*others, {
            "version": version, "url": name, "date": "2024-01-01T00:00:00Z",
            "requires": ">=24.04.0", "sha512sum": hashlib.sha512(data).hexdigest(), **changes}]
        self.publish()
        return data

    def publish(self) -> None:
        self.web.files["/plugins.json"] = json.dumps(
            [{"id": key, "releases": value} for key, value in self.releases.items()]).encode()
