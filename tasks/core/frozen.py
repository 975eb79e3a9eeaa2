"""`@frozen`: a frozen, keyword-only dataclass whose methods are shared instead of generated.

`@dataclass` writes and compiles five methods for each class, which takes 0.3 ms. For the two dozen
classes that loading the graph needs that was a quarter of what `doit list` costs beside doit.
mypy, `dataclasses.fields`, `replace` and `asdict` take these as what they are: dataclasses.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:
    def dataclass_transform(**_: Any) -> Any:
        return lambda decorator: decorator

Class = TypeVar("Class")


@dataclass_transform(kw_only_default=True, frozen_default=True,
                     field_specifiers=(dataclasses.field,))
def frozen(cls: type[Class]) -> type[Class]:
    """Make the class a frozen, keyword-only dataclass."""
    for name, method in METHODS.items():
        setattr(cls, name, method)
    return dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=True)(cls)


def _init(self: Any, **given: Any) -> None:
    for name, field in self.__dataclass_fields__.items():
        if name in given:
            self.__dict__[name] = given.pop(name)
        elif field.default is not dataclasses.MISSING:
            self.__dict__[name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            self.__dict__[name] = field.default_factory()
        else:
            raise TypeError(f"{type(self).__qualname__} needs {name!r}")
    if given:
        raise TypeError(f"{type(self).__qualname__} has no field {', '.join(given)}")


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple(self.__dict__[field.name] for field in self.__dataclass_fields__.values()
                 if field.compare)


def _eq(self: Any, other: Any) -> bool:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _repr(self: Any) -> str:
    fields = (f"{field.name}={self.__dict__[field.name]!r}"
              for field in self.__dataclass_fields__.values() if field.repr)
    return f"{type(self).__qualname__}({', '.join(fields)})"


def _refuse(self: Any, name: str, *_: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"{type(self).__qualname__}.{name} is frozen")


METHODS = {"__init__": _init, "__eq__": _eq, "__hash__": _hash, "__repr__": _repr,
           "__setattr__": _refuse, "__delattr__": _refuse}
