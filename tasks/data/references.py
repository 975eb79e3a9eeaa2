"""References of a genome: which attributes are carried, and as what the pipeline finds them.

docs/decisions/how-references-are-carried.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.errors import ConfigError
from tasks.core.net import urls
from tasks.core.source.genome_attributes import Use, uses
from tasks.data import trees
from tasks.data.trees import Tree


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The config's `references`: a genome, and its attributes; none means those in use."""

    genome: str
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class References:
    """The tree below the param that all paths start with, and others as params to set.

    `absent` are the params that the code gives an attribute which isn't carried, with its value.
    """

    tree: Tree | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)


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
    carried = _sorted({key: attributes[key] for key in wanted if urls.is_url(attributes[key])},
                      used, params, str(name))
    return dataclasses.replace(carried, absent=_absent(
        genomes, wanted if params.get("genome") == name else (), used, params))


def _absent(genomes: Mapping[str, Any], wanted: Sequence[str], used: Sequence[Use],
            params: Mapping[str, Any]) -> dict[str, str]:
    """The params that the code gives an attribute of the chosen genome that isn't `wanted`."""
    attributes = genomes.get(str(params.get("genome")), {})
    return {use.param: attributes[use.attribute] for use in used
            if use.param and use.attribute not in wanted
            and isinstance(attributes.get(use.attribute), str)
            and urls.is_url(attributes[use.attribute])
            and params.get(use.param) in (None, "", False)}


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
