"""What Nextflow is told of image files on a host: where they lie, and how its engine runs them."""

from __future__ import annotations

from pathlib import Path

from tasks.core.frozen import frozen
from tasks.core.nextflow.image_selectors import quoted


@frozen
class Library:
    """The folder of image files by Nextflow's names, absolute, for an engine of this kind.

    Nextflow looks there first, takes no lock and writes nothing. What isn't there it would pull
    into `cache`, a place of this user's own. `options` are those that `exec` needs on this host.
    """

    engine: str
    folder: Path
    cache: Path
    options: tuple[str, ...] = ()

    def config(self) -> str:
        """The settings that nothing may change on this host."""
        return "".join(f"{self.engine}.{name} = {quoted(str(path))}\n" for name, path in (
            ("libraryDir", self.folder), ("cacheDir", self.cache)))

    def run_options(self) -> str:
        """What a user's own config may set otherwise, where this host needs anything at all."""
        return (f"{self.engine}.runOptions = {quoted(' '.join(self.options))}\n"
                if self.options else "")
