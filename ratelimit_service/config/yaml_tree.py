"""YAML as plain values, with the place of each in its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import Reader

from ratelimit_service.errors import ConfigError, Place

MAX_DEPTH: Final = 100
"""How deep lists and maps may nest; a level of descriptors takes two."""

MAX_REPEATED: Final = 100_000
"""How many values a file may gain by aliases, so that a few lines cannot fill the memory."""

Resolved: TypeAlias = bool | int | float | str | None


class _Mark(Protocol):
    """What both YAML readers tell of a place; they count from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


Location: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value: as it is written, and as YAML reads it."""

    text: str
    value: Resolved


Tree: TypeAlias = "Scalar | list[Tree] | dict[str, Tree]"


@dataclass(slots=True)
class Spot:
    """Where a value stands, where the keys of a map stand, and what lies below."""

    place: Place
    keys: dict[str, Place] = field(default_factory=dict)
    below: dict[str | int, Spot] = field(default_factory=dict)

    def at(self, location: Location) -> Place:
        """Return where a value stands, or the nearest value around it that exists."""
        spot = self
        for part in location:
            if part not in spot.below:
                break
            spot = spot.below[part]
        return spot.place

    def key_at(self, location: Location) -> Place:
        """Return where the key of a value stands; without such a key, as ``at``."""
        *parents, last = location
        spot = self
        for part in parents:
            if part not in spot.below:
                return spot.place
            spot = spot.below[part]
        return spot.keys.get(str(last)) or self.at(location)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's values, their places, and what is wrong with its maps."""

    tree: Tree
    spot: Spot
    errors: tuple[ConfigError, ...] = ()


def read_document(text: str, file: str) -> Document:
    """Read a file that holds one YAML document. Raises ConfigError where it is broken."""
    try:
        _check_depth(text, file)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(_marked(mark, file), f"broken YAML: {_problem(error)}") from error
    except yaml.YAMLError as error:
        raise ConfigError(_unprintable(text, file), "broken YAML: unprintable character") from error
    if root is None:
        raise ConfigError(Place(file, 1, 1), "the file is empty; give it at least a `domain`")
    reader = _TreeReader(file)
    tree, spot = reader.read(root, 0)
    return Document(tree, spot, tuple(reader.errors))


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG: Final = "tag:yaml.org,2002:"
_RESOLVED_TAGS: Final = {_TAG + name for name in ("null", "bool", "int", "float")}


class _TreeReader:
    """Turns composed nodes into values; aliases are followed, merge keys are merged."""

    def __init__(self, file: str) -> None:
        self.errors: list[ConfigError] = []
        self._file = file
        self._seen: set[int] = set()
        self._repeated = 0

    def read(self, node: yaml.Node, depth: int) -> tuple[Tree, Spot]:
        self._bound(node, depth)
        spot = Spot(self._place(node))
        if isinstance(node, yaml.MappingNode):
            table: dict[str, Tree] = {}
            for key, (key_node, value_node) in self._pairs(node, depth).items():
                table[key], spot.below[key] = self.read(value_node, depth + 1)
                spot.keys[key] = self._place(key_node)
            return table, spot
        if isinstance(node, yaml.SequenceNode):
            items: list[Tree] = []
            for index, item_node in enumerate(node.value):
                item, spot.below[index] = self.read(item_node, depth + 1)
                items.append(item)
            return items, spot
        return _scalar(node), spot

    def _bound(self, node: yaml.Node, depth: int) -> None:
        """Stop a file whose aliases multiply, or one that contains itself."""
        if id(node) in self._seen:
            self._repeated += 1
        self._seen.add(id(node))
        if depth > MAX_DEPTH:
            raise ConfigError(
                self._place(node),
                f"nested deeper than {MAX_DEPTH} levels; an alias may hold itself",
            )
        if self._repeated > MAX_REPEATED:
            raise ConfigError(
                self._place(node), f"aliases repeat more than {MAX_REPEATED} values; write fewer"
            )

    def _pairs(self, node: yaml.MappingNode, depth: int) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return a map's keys and values; its own keys beat merged ones."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                for source in self._merge_sources(value_node):
                    self._bound(source, depth + 1)
                    merged = self._pairs(source, depth + 1) | merged
                continue
            key = self._key(key_node)
            if key is None:
                continue
            if key in own:
                first = self._place(own[key][0])
                self._fail(key_node, f"the key `{key}` stands twice in this map; first at {first}")
                continue
            own[key] = (key_node, value_node)
        return merged | own

    def _key(self, node: yaml.Node) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "str":
            return str(node.value)
        written = f"`{node.value}`" if isinstance(node, yaml.ScalarNode) else "a list or a map"
        self._fail(node, f"keys must be text, not {written}; put quotes around it")
        return None

    def _merge_sources(self, node: yaml.Node) -> list[yaml.MappingNode]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        maps = [source for source in sources if isinstance(source, yaml.MappingNode)]
        if len(maps) < len(sources):
            self._fail(node, "`<<` merges maps only; name an anchor of a map")
        return maps

    def _fail(self, node: yaml.Node, reason: str) -> None:
        self.errors.append(ConfigError(self._place(node), reason))

    def _place(self, node: yaml.Node) -> Place:
        return _marked(node.start_mark, self._file)


def _scalar(node: yaml.Node) -> Scalar:
    """Resolve a scalar as YAML 1.1 does, but for base 60: `1:30` stays text."""
    text = str(node.value)
    if node.tag not in _RESOLVED_TAGS or ":" in text:
        return Scalar(text, text)
    try:
        return Scalar(text, SafeConstructor().construct_object(node))
    except (ValueError, LookupError):
        return Scalar(text, text)


def _check_depth(text: str, file: str) -> None:
    """Stop before a deep nesting overflows the stack of the composer, which recurses."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                place = _marked(event.start_mark, file)
                raise ConfigError(place, f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _marked(mark: _Mark | None, file: str) -> Place:
    return Place(file) if mark is None else Place(file, mark.line + 1, mark.column + 1)


def _problem(error: yaml.MarkedYAMLError) -> str:
    return ", ".join(part for part in (error.context, error.problem) if part)


def _unprintable(text: str, file: str) -> Place:
    found = Reader.NON_PRINTABLE.search(text)
    if found is None:
        return Place(file)
    before = text[: found.start()]
    return Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
