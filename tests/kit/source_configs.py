"""Configs by which a process A gets a container in `-profile test`, each with that container."""

from __future__ import annotations

CONTAINERS: dict[str, tuple[str, dict[str, str], str]] = {
    "a variable": ("def base = 'q.io/a'\nprocess { withName: A { container = \"${base}/b:1\" } }\n",
                   {}, "q.io/a/b:1"),
    "a variable that a branch sets": (
        "String image = 'q.io/no/no:1'\nif (true) {\n image = 'q.io/a/b:1'\n}\n"
        "process.container = image\n", {}, "q.io/a/b:1"),
    "a class and a function": (
        "class Foo { String container = 'no/no:1' }\n"
        "def foo(x) {\n process.container = 'no/no:1'\n}\nprocess.container = 'q.io/a/b:1'\n",
        {}, "q.io/a/b:1"),
    "what is tried and fails": (
        "try {\n includeConfig 'nosuch.config'\n} catch (Exception e) {\n"
        " process.container = 'q.io/a/b:1'\n}\n", {}, "q.io/a/b:1"),
    "a value on several lines": (
        "process.container = 1 == 1\n    ? 'q.io/a/b:1'\n    : 'no/no:1'\n", {}, "q.io/a/b:1"),
    "what a profile set before": (
        "params.flag = false\nprofiles { test { params.flag = true } }\n"
        "if (params.flag) {\n process.container = 'q.io/a/b:1'\n}\n", {}, "q.io/a/b:1"),
    "what a profile sets behind": (
        "params.flag = false\nif (!params.flag) {\n process.container = 'q.io/a/b:1'\n}\n"
        "profiles { test { params.flag = true } }\n", {}, "q.io/a/b:1"),
    "an include within a scope": (
        "process { includeConfig 'more.config' }\n", {"more.config": "container = 'q.io/a/b:1'\n"},
        "q.io/a/b:1"),
}
