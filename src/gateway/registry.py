"""Which kinds of inbox there are: the folders under connectors/, and other packages' entry points.

A folder's name is checked against the listing before anything is imported, so that no configured text can name a
module. Importing a folder's SPEC loads no client library (see gateway.connector); `SPEC.create` does.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

import structlog

import connectors
from gateway.connector import ConnectorSpec
from gateway.errors import Problem, Refused

log = structlog.get_logger("registry")

GROUP = "gateway.connectors"
"""Entry points of other packages: the name is the kind, the object its ConnectorSpec."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Registry:
    """Loads all specs when it is made: do so before the event loop runs, since importing reads files."""

    def __init__(self, extra: Iterable[ConnectorSpec] = ()) -> None:
        self._specs: dict[str, ConnectorSpec] = {}
        self.broken: dict[str, str] = {}
        """Kind → why it could not be loaded. One broken connector keeps no other from working."""
        for name in listed():
            self._load(name, lambda name=name: importlib.import_module(f"connectors.{name}").SPEC)
        for entry in entry_points(group=GROUP):
            self._load(entry.name, entry.load)
        for spec in extra:
            self._add(spec.kind, spec)

    def kinds(self) -> tuple[str, ...]:
        """All kinds, sorted."""
        return tuple(sorted(self._specs))

    def specs(self) -> dict[str, ConnectorSpec]:
        """All specs by kind, sorted."""
        return {kind: self._specs[kind] for kind in self.kinds()}

    def find(self, kind: str) -> ConnectorSpec | None:
        """The kind's spec, if there is one."""
        return self._specs.get(kind)

    def spec(self, kind: str) -> ConnectorSpec:
        """The kind's spec; raises Refused naming the kinds there are."""
        spec = self._specs.get(kind)
        if spec is None:
            reason = self.broken.get(kind)
            message = (
                f"cannot be loaded: {reason}" if reason else f"no such channel; there are: {', '.join(self.kinds())}"
            )
            raise Refused(Problem("kind", message))
        return spec

    def _load(self, name: str, load: Any) -> None:
        try:
            self._add(name, load())
        except Exception as error:  # whatever an outside package's import raises
            self.broken[name] = f"{type(error).__name__}: {error}"
            log.error("connector.unusable", kind=name, error=self.broken[name])

    def _add(self, name: str, spec: object) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a kind: lower-case letters, digits and _ are")
        if not isinstance(spec, ConnectorSpec):
            raise TypeError(f"expected a ConnectorSpec, found {type(spec).__name__}")
        if spec.kind != name:
            raise ValueError(f"is called {name} but its spec says {spec.kind}")
        if name in self._specs:
            raise ValueError("another connector has this kind")
        unknown = set(spec.secrets) - set(spec.settings.__struct_fields__)
        if unknown:
            raise ValueError(f"names secrets that are no settings: {', '.join(sorted(unknown))}")
        self._specs[name] = spec


def listed() -> tuple[str, ...]:
    """The connector folders there are, without importing any."""
    return tuple(
        module.name
        for module in pkgutil.iter_modules(connectors.__path__)
        if module.ispkg and _NAME.fullmatch(module.name)
    )
