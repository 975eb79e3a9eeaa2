"""References of a genome: which attributes are carried, and as what the pipeline finds them.

docs/decisions/how-references-are-carried.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core import files
from tasks.core.errors import AirlockError, ConfigError
from tasks.core.net import urls
from tasks.core.source.groovy.tokens import NEWLINE, STRING, Token, tokenize
from tasks.data import trees
from tasks.data.trees import Tree

READER = "getGenomeAttribute"
"""The function of nf-core's templates; also called of a class, and of a plugin."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The config's `references`: a genome, and its attributes; none means those in use."""

    genome: str
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class References:
    """The tree below the param that all paths start with, and others as params to set."""

    tree: Tree | None = None
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Use:
    """A genome's attribute that the code reads, and the param that gets it, where one does."""

    attribute: str
    param: str | None


def choose(params: Mapping[str, Any], wish: Wish | None, project: Path) -> References:
    """The references of the wish, else of the genome that the params choose.

    Raises ConfigError for a genome or attribute that the pipeline doesn't have, and for an
    attribute outside the common base that no param takes.
    """
    genomes = params.get("genomes")
    genomes = genomes if isinstance(genomes, dict) else {}
    name = wish.genome if wish else params.get("genome")
    if wish is None and (params.get("igenomes_ignore") or name not in genomes):
        return References()
    if name not in genomes:
        raise ConfigError(f"the pipeline has no genome {name!r}", where="references.genome",
                          todo=f"it has: {', '.join(sorted(genomes)) or 'none'}")
    attributes = {key: value for key, value in genomes[name].items() if isinstance(value, str)}
    used = uses(project)
    wanted = wish.attributes if wish and wish.attributes else _in_use(attributes, used, params)
    _refuse_unknown(wanted, attributes, str(name))
    return _sorted({key: attributes[key] for key in wanted if urls.is_url(attributes[key])},
                   used, params, str(name))


def _in_use(attributes: Mapping[str, str], used: Sequence[Use],
            params: Mapping[str, Any]) -> list[str]:
    """The attributes that the code reads and no param overrides; all where it names none."""
    if not used:
        return list(attributes)
    return [use.attribute for use in used if use.attribute in attributes
            and (use.param is None or params.get(use.param) in (None, "", False))]


def _refuse_unknown(wanted: Sequence[str], attributes: Mapping[str, str], genome: str) -> None:
    unknown = sorted({*wanted} - {*attributes})
    if unknown:
        raise ConfigError(f"the genome {genome!r} has no {', '.join(unknown)}",
                          where="references.attributes",
                          todo=f"it has: {', '.join(sorted(attributes))}")


def _sorted(attributes: Mapping[str, str], used: Sequence[Use], params: Mapping[str, Any],
            genome: str) -> References:
    base_param = base(attributes.values(), params)
    root = trees.folder(params[base_param]) if base_param else ""
    wanted, others, faults = {}, {}, []
    for name, url in sorted(attributes.items()):
        if base_param and trees.tidy(url).startswith(root):
            wanted[f"params.genomes.{genome}.{name}"] = trees.tidy(url)[len(root):]
            continue
        param = next((use.param for use in used if use.attribute == name and use.param), None)
        if param is None:
            faults.append(f"{name}: {urls.redact(url)}")
        elif params.get(param) in (None, "", False):
            others[param] = url
    if faults:
        raise ConfigError("these attributes lie below no param, and no param takes them:\n"
                          + "\n".join(f"    {fault}" for fault in faults),
                          where=f"params.genomes.{genome}",
                          todo="leave them out of references.attributes")
    tree = Tree(label=base_param, base=root, wanted=wanted) if base_param and wanted else None
    return References(tree=tree, others=others)


def base(attribute_urls: Iterator[str] | Sequence[str] | Any,
         params: Mapping[str, Any]) -> str | None:
    """The param that most of these URLs start with; of several the one named after genomes."""
    listed = [trees.tidy(url) for url in attribute_urls]
    counts = {name: sum(url.startswith(trees.folder(value)) for url in listed)
              for name, value in params.items()
              if isinstance(value, str) and urls.is_url(value.strip())}
    best = max(counts.values(), default=0)
    named = sorted((name for name, count in counts.items() if count == best),
                   key=lambda name: ("genomes" not in name, name))
    return named[0] if best else None


def uses(project: Path) -> list[Use]:
    """The attributes that the code reads by name, each once and in its order."""
    first_uses: dict[str, Use] = {}
    for path in files.tree(project):
        if path.suffix not in (".nf", ".groovy", ".config") or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        if READER not in text and "params.genomes" not in text:
            continue
        try:
            tokens = [token for token in tokenize(text, str(path)) if token.kind != NEWLINE]
        except AirlockError:  # Nextflow will say so, if it ever reads this file
            continue
        for use in _uses(tokens):
            if use.attribute not in first_uses or first_uses[use.attribute].param is None:
                first_uses[use.attribute] = use
    return list(first_uses.values())


def _uses(tokens: Sequence[Token]) -> Iterator[Use]:
    for at, token in enumerate(tokens):
        if token.is_name(READER):
            name = _argument(tokens, at + 1)
        elif token.is_name("genomes") and at + 1 < len(tokens) and tokens[at + 1].is_op("["):
            name = _member(tokens, at + 1)
        else:
            continue
        if name:
            yield Use(attribute=name, param=_taker(tokens, at))


def _argument(tokens: Sequence[Token], at: int) -> str | None:
    """The last argument of a call, where it is a text: the first may be `params`."""
    words = tokens[at:at + 6]
    if not words or not words[0].is_op("("):
        return None
    for place, word in enumerate(words):
        if word.kind == STRING and words[place + 1:place + 2] and words[place + 1].is_op(")"):
            return word.text
        if word.is_op(")"):
            return None
    return None


def _member(tokens: Sequence[Token], at: int) -> str | None:
    """`x` of genomes[…].x, genomes[…]?.x and genomes[…]['x']."""
    depth = 0
    for place in range(at, min(at + 12, len(tokens) - 2)):
        depth += tokens[place].is_op("[") - tokens[place].is_op("]")
        if depth == 0:
            behind, last = tokens[place + 1], tokens[place + 2]
            if behind.is_op(".", "?.") and last.kind in ("name", STRING):
                is_call = tokens[place + 3:place + 4] and tokens[place + 3].is_op("(")
                return None if is_call else last.text
            return last.text if behind.is_op("[") and last.kind == STRING else None
    return None


def _taker(tokens: Sequence[Token], at: int) -> str | None:
    """`x` of the statement `params.x = …` in which the token at `at` stands."""
    line = tokens[at].line
    for place in range(at, 2, -1):
        if tokens[place].line < line:
            return None
        if tokens[place].is_op("=") and tokens[place - 2].is_op(".") \
                and tokens[place - 3].is_name("params"):
            return tokens[place - 1].text
    return None
