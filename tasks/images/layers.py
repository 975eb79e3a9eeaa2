"""What sets the image of a process, in Nextflow's order of precedence.

Nextflow asks, from the weakest to the strongest: the general `process.container`, the process's
own directive, `withLabel`, `withName` with the process's own name, with its alias, and with its
qualified name (ProcessConfig in its sources); among equals the later one wins.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.core.source.directives import Directive
from tasks.images.processes import Process
from tasks.images.rules import Rule


def layers(process: Process, name: str, rules: Sequence[Rule]) -> list[Directive]:
    """What sets the image of a process under a plain or qualified name, the strongest last."""
    own, alias = process.containers, name.rpartition(":")[2]
    general = [process.set_by(rule) for rule in rules if not rule.kind]
    labels = [process.set_by(rule) for rule in rules if rule.kind == "withLabel"
              and any(rule.matches(label) for label in process.labels)]
    names = [process.set_by(rule) for asked in dict.fromkeys([process.name, alias, name])
             for rule in rules if rule.kind == "withName" and rule.matches(asked)]
    is_sure = any(not directive.guards for directive in own)
    return [*([] if is_sure else general), *own, *labels, *names]
