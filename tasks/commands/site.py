"""`doit site NAME`: a site's file, its key, and the folder for the administrator's hand."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from getpass import getpass
from pathlib import Path
from typing import Any

from tasks.core import config_places
from tasks.core.config.engines import FILES
from tasks.core.config.image_settings import Registry
from tasks.core.config.load import enter, load
from tasks.core.config.settings import Site
from tasks.core.errors import ConfigError
from tasks.core.graph.commands import Typed
from tasks.core.paths import SitePaths
from tasks.core.trust import signature
from tasks.site import answers, login, site_file, trust_folder

NAME = re.compile("[a-z][a-z0-9_-]*")


def site(typed: Typed) -> int:
    """Write sites/NAME.yml where there is none, and lay the trust folder ready; 2 where a
    command line without a terminal lacks something."""
    if not typed.words or not NAME.fullmatch(typed.words[0]):
        raise ConfigError("a site needs a name: small letters, digits, - and _",
                          where="doit site NAME")
    name = typed.words[0]
    enter("online", begins=True)
    path = config_places.site(name)
    if path.exists():
        if typed.variables:
            raise site_file.exists(path)
        print(f"{path} is there, and stays as it is")
    else:
        try:
            _write(name, typed)
        except answers.Incomplete as error:
            sys.stderr.write(f"ERROR: {error}\n")
            return 2
    made = load({"site": name}).site
    folder = SitePaths(site=name).trust
    laid = trust_folder.lay(made, folder)
    print(f"{folder}/ is what an administrator takes to the offline hosts by hand: "
          f"{', '.join(laid)}")
    print(_next(made, folder))
    return 0


def _write(name: str, typed: Typed) -> None:
    """Get the answers, make the key and keep the login as these say, and write the file last."""
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    given = (answers.from_terminal(typed.variables, input, print) if at_terminal
             else answers.from_words(typed.variables))
    keys = site_file.values(given)
    if at_terminal and "registry" in keys:
        _log_in(name, given, keys["registry"])
    text = site_file.text(name, site_file.values(given))
    key = Path(given["key"]).expanduser()
    if given.get("makekey") == "1":
        signature.ready(key, create=True, identity=given["identity"])
        print(f"{key} is the new signing key; keep it, and let nobody else read it")
    print(f"{site_file.write(name, text)} is written")


def _log_in(name: str, given: dict[str, str], at: Mapping[str, Any]) -> None:
    """Ask for the registry's login, where none is known, and note where it is kept."""
    address = Registry(host=at["host"], port=at.get("port"), connections=1).address
    if login.known(address, given["authfile"]):
        return
    place = login.own_file(name)
    if login.typed(address, place, input, getpass):
        given["authfile"] = str(place)
        print(f"{place} holds that login, for this user alone")


def _next(made: Site, folder: Path) -> str:
    """What comes next, in the order in which it is typed."""
    steps = [(f"./doit doctor site={made.name}", "each line that fails says its cure"),
             (f"less {folder}/INSTALL.txt", "for the administrator, meanwhile"),
             (f"./doit site={made.name}", f"carries {', '.join(made.pipelines)}")]
    if made.images.carry != FILES:
        address = made.own_registry.address
        steps.insert(2, (f"./doit site={made.name} images:plan", "what would move"))
        if not login.known(address, str(made.authfile or "")):
            steps.insert(0, (f"docker login {address}", "no login for it is known yet"))
    width = max(len(command) for command, _ in steps)
    lines = [f"{command:<{width}}  # {what}" for command, what in steps]
    assumed = (f"Of the offline hosts it says {made.platform} and Python "
               f"{', '.join(made.python)}; correct it there if they differ.")
    return "\n".join([assumed, "Next:", *(f"  {line}" for line in lines),
                      f"With `export AIRLOCK_SITE={made.name}`, site={made.name} can be left out."])
