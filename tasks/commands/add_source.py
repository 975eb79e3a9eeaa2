"""What `doit add` is given: where a pipeline's code lies, and what the pipeline is called here."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from tasks.core import config_places
from tasks.core.config.load import PIPELINE, RESERVED
from tasks.core.config.settings import ARCHIVES, Origin
from tasks.core.errors import ConfigError
from tasks.core.net import urls

GITHUB = "https://github.com/"
AT_GITHUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_][A-Za-z0-9._-]*")
"""OWNER/NAME, which Nextflow itself looks for at GitHub."""
BY_SSH = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\s:]+")
SCHEMES = ("https", "http", "ssh", "file")
PAGE = re.compile(r"/(?:-/)?(?:tree|blob|releases|commits?|src)(?:/|$)")
"""A page of a forge, below its repository."""
MAX_NAME = 60
"""Characters of a pipeline's name: it stands in the names of tasks, folders and releases."""
USAGE = "doit add nf-core/NAME, a git URL, or a folder"


def origin(text: str, revision: str | None) -> Origin:
    """The source that a word of the command line means; its revision may still be open.

    ConfigError for what can't be one, and for a URL with a password, which would be written down.
    """
    text = text.strip()
    if not text or any(not character.isprintable() for character in text):
        raise ConfigError("that is no source", where=USAGE, todo="name one: nf-core/demo")
    folder = Path(text).expanduser()
    if "://" in text or BY_SSH.fullmatch(text):
        return Origin(source=_url(text), revision=revision)
    if _is_repository(folder):
        return Origin(source=folder.absolute().as_uri(), revision=revision)
    if folder.is_dir() and not text.startswith("nf-core/"):
        if revision is not None:
            raise ConfigError("a folder is taken as it is, and has no revision", where=folder,
                              todo="leave `revision` out; or, for a commit of a git repository "
                                   f"there, name it as {(folder / '.git').absolute().as_uri()}")
        return Origin(source=os.path.normpath(folder))
    if folder.is_file() or text.endswith(ARCHIVES):
        raise ConfigError("an archive must be named with its SHA-256", where=text,
                          todo="unpack it and name the folder; or write the config by hand, with "
                               "`sha256` beside `source` (docs/pipelines.md)")
    if AT_GITHUB.fullmatch(text.rstrip("/")):
        return Origin(source=GITHUB + text.rstrip("/").removesuffix(".git"), revision=revision)
    raise ConfigError(f"{text!r} is no folder here, and no repository's address", where=USAGE,
                      todo=f"for nf-core's: doit add nf-core/{text}" if PIPELINE.fullmatch(text)
                      else "give a URL with its https://, or the path of a folder")


def _url(text: str) -> str:
    """A repository's URL, without what a browser's address line adds."""
    if BY_SSH.fullmatch(text):
        return text
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:  # such as an open bracket in the host
        raise ConfigError("that is no URL", where=urls.redact(text)) from error
    if parts.scheme not in SCHEMES:
        raise ConfigError(f"git isn't asked by {parts.scheme}://", where=urls.redact(text),
                          todo=f"name it by one of {', '.join(SCHEMES)}")
    if urls.has_password(text):
        raise ConfigError("the URL holds a login, which would be written into the configuration",
                          where=urls.redact(text),
                          todo="leave it out; AIRLOCK_GIT_TOKEN in the environment is a token for "
                               "https")
    path = parts.path.rstrip("/")
    if not path or (parts.scheme != "file" and not parts.hostname):
        raise ConfigError("the URL names no repository", where=urls.redact(text))
    if path.endswith(ARCHIVES):
        raise ConfigError("an archive must be named with its SHA-256", where=urls.redact(text),
                          todo="name the repository; or write the config by hand, with `sha256` "
                               "beside `source` (docs/pipelines.md)")
    if parts.hostname in ("nf-co.re", "www.nf-co.re"):
        raise ConfigError("this is a page about a pipeline of nf-core", where=urls.redact(text),
                          todo=f"doit add nf-core/{path.split('/')[1]}")
    page = PAGE.search(path)
    if page and parts.scheme in ("https", "http"):
        raise ConfigError("this is a page of the repository", where=urls.redact(text),
                          todo=f"doit add {parts.scheme}://{parts.netloc}{path[:page.start()]} "
                               "revision=REVISION")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _is_repository(folder: Path) -> bool:
    """Whether it is a bare git repository, whose files are a revision's."""
    return all((folder / name).exists() for name in ("HEAD", "objects", "refs"))


def name(source: str, wanted: str | None) -> str:
    """What the pipeline is called here: as asked, else after the last part of its source.

    ConfigError where that is no name, means something else already, or has a config.
    """
    last = re.split(r"[/:]", source.rstrip("/").removesuffix("/.git").removesuffix(".git"))[-1]
    if not last.strip("."):  # the folder `.` or `..`
        last = Path(source).resolve().name
    name = wanted if wanted is not None else re.sub("[^a-z0-9_-]+", "-", last.lower()).strip("-")
    if not PIPELINE.fullmatch(name) or len(name) > MAX_NAME:
        raise ConfigError(f"{name[:MAX_NAME]!r} is no name of a pipeline", where=f"name={name}"
                          if wanted is not None else source,
                          todo="say name=NAME: a small letter first, then small letters, digits, "
                               f"- and _, {MAX_NAME} in all")
    if name in RESERVED:
        raise ConfigError(f"{name!r} means something else here, and can't name a pipeline",
                          where=source, todo="say name=NAME")
    path = config_places.pipeline(name)
    if os.path.lexists(path):
        raise ConfigError(f"there is a pipeline {name!r} already, and it is not overwritten",
                          where=path, todo="say name=OTHER to have both; or change, or remove, "
                                           "that file by hand")
    return name
