"""What of a registry's host is served elsewhere: `hosts.registries` of the site."""

from __future__ import annotations

from pathlib import Path

from tasks.core.net.network import Network
from tasks.core.registry.client import Access
from tasks.images.destination import Destination
from tasks.images.lock_format import read_lock
from tasks.images.verify import verify_images
from tests.kit import image_steps
from tests.kit import registries as servers
from tests.kit.images import layer


def test_a_part_of_a_host_is_mapped_and_its_rest_is_asked_where_the_host_is(
        tmp_path: Path) -> None:
    """Two registries: what is bundled lies in one, the other is the true host of all else."""
    servers.need_programs()
    with servers.registry(tmp_path / "bundled") as bundled, \
            servers.registry(tmp_path / "true") as true, \
            servers.registry(tmp_path / "target") as target:
        name = true.address
        for server, image in ((bundled, "stand-in/org/tool:1"), (true, "org/tool:1"),
                              (true, "org-two/tool:1")):
            servers.add_image(server, image, [layer({"bin/a": f"{server.port} {image}".encode()})])
        access = Access(ca=None, authfile=None, network=Network().naming(target.url), registries={
            f"{name}/org": f"{bundled.url}/stand-in/org", name: true.url,
            target.address: target.url})
        at = image_steps.steps(tmp_path, [f"{name}/org/tool:1", f"{name}/org-two/tool:1"], access,
                               Destination(address=target.address))
        at.lock_and_mirror()
        locked = {str(image.source): image.manifest for image in read_lock(at.lock.merged)}
        assert locked == {
            f"{name}/org/tool:1": servers.inspect(bundled, "stand-in/org/tool:1")["Digest"],
            f"{name}/org-two/tool:1": servers.inspect(true, "org-two/tool:1")["Digest"]}
        assert "2 images whole" in verify_images(at.verify)
