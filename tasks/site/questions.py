"""What a new site is asked for: in which order, what is taken for an answer, and what is assumed.

No question is for a password: see login.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tasks.core import config_places
from tasks.core.config import engines
from tasks.core.errors import AirlockError, ConfigError
from tasks.core.frozen import frozen
from tasks.core.schema import check

Given = Mapping[str, str]
REGISTRY = re.compile(r"(?P<host>[A-Za-z0-9.-]+)(:(?P<port>[0-9]{1,5}))?(/(?P<prefix>.+))?")
BUILD = "build"
"""What git ignores here, so that a secret may lie below it."""


@frozen
class Question:
    """One thing that is asked: NAME=VALUE on the command line.

    `assumed` is the answer where none is given; None where one must be. `applies` says whether it
    is asked after those before, and `unfit` why it must not be given else. `fault` says what is
    wrong with an answer. What is not `prompted` is only taken from the command line.
    """

    name: str
    text: str
    fault: Callable[[str], str | None]
    assumed: str | None = None
    applies: Callable[[Given], bool] = lambda _: True
    unfit: str | None = None
    prompted: bool = True


def _anything(_: str) -> str | None:
    return None


def _registry(text: str) -> str | None:
    match = REGISTRY.fullmatch(text)
    if match is None or "://" in text:
        return "write it as HOST:PORT or HOST:PORT/PREFIX, without https://"
    return _of_schema("registry", registry(text))


def registry(text: str) -> dict[str, str | int]:
    """HOST[:PORT][/PREFIX] as the keys of the site's registry; a port that isn't named stays out.
    """
    match = REGISTRY.fullmatch(text.rstrip("/"))
    if match is None:
        raise ConfigError(f"{text!r} is no registry", todo="write it as HOST:PORT/PREFIX")
    return {"host": match["host"], **({"port": int(match["port"])} if match["port"] else {}),
            **({"prefix": match["prefix"]} if match["prefix"] else {})}


def _of_schema(key: str, value: object) -> str | None:
    """What the site's schema has against the value of a key; its other keys are not looked at."""
    whole = {"pipelines": ["hello"], "platform": "linux/amd64", "python": ["3.11"],
             "registry": {"host": "h", "port": 1}, "plugins": {"index": "https://h/plugins.json"},
             "store": {"url": "s"}, "signing": {"key": "k", "identity": "i"},
             "offline": {"trust": "t"}}
    try:
        check({**whole, key: value}, "site", where=key)
    except AirlockError as error:
        return "; ".join(line.strip() for line in error.what.splitlines()[1:])
    return None


def _certificate(text: str) -> str | None:
    if not text:
        return None
    path = Path(text).expanduser()
    try:
        held = path.read_text("ascii")
    except OSError as error:
        return f"{path}: {error.strerror}"
    except ValueError:
        held = ""
    return None if "-----BEGIN CERTIFICATE-----" in held else (
        f"{path} is no certificate in PEM form (-----BEGIN CERTIFICATE-----)")


def _secret(text: str) -> str | None:
    """A path for what is secret: not in this repository, but for what git ignores there."""
    path = Path(text).expanduser().absolute()
    here, own = Path.cwd(), config_places.own()
    if text and path.is_relative_to(here) and not path.is_relative_to(here / BUILD):
        return f"{path} is in this repository, where no secret belongs: choose a place outside"
    if text and own is not None and path.is_relative_to(own):
        return (f"{path} is in the configuration's repository, where no secret belongs: choose a "
                "place outside")
    return None


def _authfile(text: str) -> str | None:
    if text and not Path(text).expanduser().is_file():
        return f"there is no file {text}; `docker login HOST` writes ~/.docker/config.json"
    return _secret(text)


def _store(text: str) -> str | None:
    if "://" in text and not text.startswith(("s3://", "file:///")):
        return "give a folder, file:///folder or s3://bucket/prefix"
    return None if not text.startswith("s3://") or text[5:].strip("/") else "name the bucket"


def _url(text: str) -> str | None:
    return None if not text or re.match("https?://.", text) else "give a URL: https://…"


def _list_of(key: str) -> Callable[[str], str | None]:
    return lambda text: _of_schema(key, listed(text))


def listed(text: str) -> list[str]:
    """The members of a list that is typed with commas."""
    return [word for word in re.split(r"[,\s]+", text) if word]


def _one_of(*known: str) -> Callable[[str], str | None]:
    return lambda text: None if text in known else f"it is one of: {', '.join(known)}"


def _plugins(text: str) -> str | None:
    key = "index" if text.endswith("plugins.json") else "registry"
    return _of_schema("plugins", {key: text})


def _pipelines(text: str) -> str | None:
    known = config_places.names("pipelines")
    strange = [name for name in listed(text) if name not in known]
    if strange:
        return (f"there is no {config_places.pipeline(strange[0])}; known: {', '.join(known)}; "
                "./doit add writes another")
    return _of_schema("pipelines", listed(text))


def _lacks(key: str) -> bool:
    """Whether no key is there, nor the public half of one that ssh-agent holds."""
    path = Path(key).expanduser()
    return bool(key) and not (path.is_file() or path.with_name(f"{path.name}.pub").is_file())


def _in_bucket(given: Given) -> bool:
    return given.get("store", "").startswith("s3://")


def _pulls(given: Given) -> bool:
    return given.get("engine", engines.DOCKER) not in engines.SIF_KINDS


NO_REGISTRY = "releases carry image files for this engine, so no registry is asked"
NO_BUCKET = "the store is a folder, so this isn't taken"
PLUGINS = "https://registry.nextflow.io/api"
QUESTIONS = (
    Question(name="engine", fault=_one_of(*engines.KINDS), assumed=engines.DOCKER,
             text=f"The offline hosts' container engine, {', '.join(engines.KINDS)}"),
    Question(name="registry", fault=_registry, applies=_pulls, unfit=NO_REGISTRY,
             text="The registry that images are pushed to, HOST:PORT or HOST:PORT/PREFIX"),
    Question(name="ca", fault=_certificate, assumed="", applies=_pulls, unfit=NO_REGISTRY,
             text="The certificate (PEM) of its CA, where it isn't a public one"),
    Question(name="authfile", fault=_authfile, assumed="", prompted=False, applies=_pulls,
             unfit=NO_REGISTRY, text="A Docker config file with its login"),
    Question(name="store", fault=_store,
             text="The store that carries all else: a folder, or s3://BUCKET/PREFIX"),
    Question(name="endpoint", fault=_url, assumed="", applies=_in_bucket, unfit=NO_BUCKET,
             text="The URL of its S3 server, where that isn't AWS"),
    Question(name="region", fault=_anything, applies=_in_bucket, assumed="", unfit=NO_BUCKET,
             text="Its region"),
    Question(name="key", fault=_secret, text="The private SSH key that signs releases"),
    Question(name="makekey", applies=lambda given: _lacks(given.get("key", "")),
             fault=lambda text: None if text == "1" else "without a key nothing can be signed",
             text="There is no such key; 1 makes it"),
    Question(name="identity", fault=lambda text: _of_schema("signing", {
        "key": "k", "identity": text}), assumed="airlock", prompted=False,
             text="The name of the key on the offline hosts"),
    Question(name="carry", fault=_one_of("registry", "store"), assumed="registry",
             applies=_pulls, unfit=NO_REGISTRY,
             text="Do both sides reach that registry by this name (registry), or the offline "
                  "hosts alone, so that images go by the store (store)"),
    Question(name="offline_store", fault=_store, assumed="",
             text="The store as the offline hosts reach it, where that differs"),
    Question(name="offline_endpoint", fault=_url, assumed="", prompted=False,
             text="The URL of its S3 server as they reach it",
             unfit="this is for an offline_store in a bucket",
             applies=lambda given: given.get("offline_store", "").startswith("s3://")),
    Question(name="trust", assumed="/etc/airlock",
             fault=lambda text: None if text.startswith("/") else "give an absolute path",
             text="The folder there that an administrator fills by hand"),
    Question(name="pipelines", fault=_pipelines, assumed="demo",
             text="The pipelines that run when none is named, with commas"),
    Question(name="platform", fault=_one_of("linux/amd64", "linux/arm64"), prompted=False,
             text="The offline hosts' platform", assumed=""),
    Question(name="python", fault=_list_of("python"), prompted=False, assumed="",
             text="Their versions of Python, with commas"),
    Question(name="plugins", fault=_plugins, assumed=PLUGINS, prompted=False,
             text="A plugin registry, or a plugins.json"),
)


def fault_of(question: Question, answer: str, given: Given) -> str | None:
    """What is wrong with an answer, in the light of those before."""
    if not answer and question.assumed is None:
        return "it has no default"
    if question.name == "region" and not answer and not given.get("endpoint"):
        return "a bucket at AWS has a region, such as eu-central-1"
    if not answer and question.assumed == "":
        return None
    return question.fault(answer)
