# SPDX-License-Identifier: MIT
"""A Python file that only says what is what, read as data: nothing of it is ever executed. Nothing here does I/O.

Read are: literals, ``dict()`` and ``list()``, names assigned to before, ``+`` of texts and of lists, ``%s`` in a
text, ``name[key]``, ``name[key] = value`` and ``name.update(…)``. Whatever else stands there is *unreadable*, and
so is all that is made of it; that matters only to who needs the value. A key that is unreadable is known by its
source text: the names in fedmsg's ``endpoints`` (``"bodhi.%s" % hostname``) are labels.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Any

from ..exceptions import ToolsError

# Values share what they are made of, so a short file can name a huge one: the sizes of all values together.
_MOST_ITEMS = 1_000_000
_LONGEST_TEXT = 65536
_LONGEST_QUOTE = 80  # bytes
_FORMATS = re.compile(r"%(?:%|s|d|\((\w+)\)s)")
_NAMES = {"true": True, "false": False, "null": None}  # a file in JSON is one as well


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a value that is not data: where, and its source text."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.text} is not data, and this file is not executed: "
            "write the value itself in its place"
        )


def parse(text: str, file: str) -> dict[Any, Any]:
    """The dictionary ``config`` that the file leaves behind (or that its only expression is).

    Arguments:
        text: the file's content.
        file: its name, for the errors.

    Raises:
        ToolsError: it is no Python, it is too deep or too large, or it leaves no ``config``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = ast.parse(text, file)
        config = _Reader(text, file).run(module)
    except SyntaxError as exc:
        raise ToolsError(f"{file}:{exc.lineno or 1}: is no Python 3: {exc.msg}") from exc
    except (RecursionError, MemoryError) as exc:
        raise ToolsError(f"{file}: is nested too deeply to be read") from exc
    except ValueError as exc:
        raise ToolsError(f"{file}: is no Python 3: {exc}") from exc
    if isinstance(config, Unreadable):
        raise ToolsError(str(config))
    if not isinstance(config, dict):
        raise ToolsError(f"{file}: leaves no dictionary named config, as in config = dict(endpoints={{}})")
    return config


def first_unreadable(value: object) -> Unreadable | None:
    """The first thing in ``value`` that could not be read, keys aside; None: all of it could."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Unreadable):
            return item
        if isinstance(item, dict | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(reversed(list(item.values() if isinstance(item, dict) else item)))
    return None


class _Reader:
    """Goes through one file from top to bottom."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._lines = text.encode(errors="replace").split(b"\n")
        self._names: dict[str, Any] = dict(_NAMES)
        self._alone: Any = None
        self._items = 0

    def run(self, module: ast.Module) -> Any:
        for statement in module.body:
            if not self._understood(statement):
                self._taint(statement)
        return self._names.get("config", self._alone)

    def _understood(self, node: ast.stmt) -> bool:  # noqa: PLR0911 - one line for each kind
        match node:
            case ast.Assign(targets=targets, value=value):
                read = self._value(value)
                return all(self._assign(target, read) for target in targets)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                return self._assign(target, self._value(value))
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add()):
                self._names[name] = self._sum(node, self._names.get(name), self._value(node.value))
                return True
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                return True
            case ast.Expr(value=ast.Dict() as value):
                self._alone = self._value(value)
                return True
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=target, attr="update")) as call):
                return self._update(target, call)
        return False

    def _assign(self, target: ast.expr, value: Any) -> bool:
        match target:
            case ast.Name(id=name):
                self._names[name] = value
                return True
            case ast.Subscript(slice=key):
                owner = self._value(target.value)
                if isinstance(owner, dict):
                    owner[self._key(key)] = value
                    return True
        return False

    def _update(self, target: ast.expr, call: ast.Call) -> bool:
        owner, new = self._value(target), self._dictionary(call)
        if not isinstance(owner, dict) or not isinstance(new, dict):
            return False
        owner.update(new)
        return True

    def _taint(self, statement: ast.stmt) -> None:
        """Nobody knows what this statement does to what it names, or to what these hold."""
        mark = self._unreadable(statement)
        for node in ast.walk(statement):
            names = [node.id] if isinstance(node, ast.Name) else []
            if isinstance(node, ast.alias):
                names = [(node.asname or node.name).partition(".")[0]]
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                names = [node.name]
            for name in names:
                _spoil(self._names.get(name), mark)
                self._names[name] = mark
                if name == "*":
                    self._names.clear()

    def _value(self, node: ast.expr) -> Any:
        value = self._read(node)
        self._items += len(value) + 1 if isinstance(value, dict | list | tuple) else 1
        if self._items > _MOST_ITEMS:
            raise MemoryError
        return self._unreadable(node) if value is NotImplemented else value

    def _read(self, node: ast.expr) -> Any:  # noqa: PLR0911 - one line for each kind
        """The value, or NotImplemented."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                value = self._names.get(name, NotImplemented)
                return NotImplemented if isinstance(value, Unreadable) else value
            case ast.Subscript(slice=key):
                owner = self._value(node.value)
                return (
                    owner.get(self._key(key), NotImplemented) if isinstance(owner, dict) else NotImplemented
                )
            case ast.List(elts=elements) | ast.Set(elts=elements) | ast.Tuple(elts=elements):
                values = [self._value(element) for element in elements]
                return tuple(values) if isinstance(node, ast.Tuple) else values
            case ast.Dict():
                return self._pairs(node)
            case ast.Call(func=ast.Name(id="dict" | "list" as name)) if name not in self._names:
                return self._dictionary(node) if name == "dict" else self._list(node)
            case ast.BinOp(op=ast.Add()):
                return self._sum(node, self._value(node.left), self._value(node.right))
            case ast.BinOp(op=ast.Mod()):
                return _format(self._value(node.left), self._value(node.right))
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
        return NotImplemented

    def _pairs(self, node: ast.Dict) -> Any:
        read: dict[Any, Any] = {}
        for key, value_node in zip(node.keys, node.values, strict=True):
            value = self._value(value_node)
            if key is not None:
                read[self._key(key)] = value
            elif isinstance(value, dict):
                read.update(value)
            else:
                return NotImplemented
        return read

    def _dictionary(self, call: ast.Call) -> Any:
        """``dict(…)``: a dictionary or pairs, and keywords."""
        read: dict[Any, Any] = {}
        for argument in call.args:
            value = self._value(argument)
            if isinstance(value, list | tuple) and all(_is_pair(pair) for pair in value):
                value = {pair[0]: pair[1] for pair in value}
            if not isinstance(value, dict) or len(call.args) > 1:
                return NotImplemented
            read.update(value)
        for keyword in call.keywords:
            value = self._value(keyword.value)
            if keyword.arg is not None:
                read[keyword.arg] = value
            elif isinstance(value, dict):
                read.update(value)
            else:
                return NotImplemented
        return read

    def _list(self, call: ast.Call) -> Any:
        values = [self._value(argument) for argument in call.args]
        if call.keywords or len(values) > 1 or not all(isinstance(value, list | tuple) for value in values):
            return NotImplemented
        return list(values[0]) if values else []

    def _sum(self, node: ast.stmt | ast.expr, left: Any, right: Any) -> Any:
        if isinstance(left, str) and isinstance(right, str) and len(left) + len(right) <= _LONGEST_TEXT:
            return left + right
        if isinstance(left, list) and isinstance(right, list):
            self._items += len(left) + len(right)
            return left + right
        return self._unreadable(node)

    def _key(self, node: ast.expr) -> Any:
        key = self._value(node)
        return key if isinstance(key, str | int | float | None) else self._source(node)

    def _unreadable(self, node: ast.stmt | ast.expr) -> Unreadable:
        return Unreadable(self._file, node.lineno, self._source(node))

    def _source(self, node: ast.stmt | ast.expr) -> str:
        """The source text, on one line and cut to what a line bears."""
        whole = (
            node.end_lineno == node.lineno and (node.end_col_offset or 0) - node.col_offset <= _LONGEST_QUOTE
        )
        end = node.end_col_offset if whole else node.col_offset + _LONGEST_QUOTE
        text = self._lines[node.lineno - 1][node.col_offset : end].decode(errors="replace").strip()
        return text if whole else f"{text} ..."


def _spoil(value: Any, mark: Unreadable) -> None:
    """Whatever is in these containers may be something else by now."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, dict | list) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            waiting.extend(item.values())
            item.update(dict.fromkeys([*item, mark.text], mark))
        else:
            waiting.extend(item)
            item[:] = [mark]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str)


def _format(text: Any, value: Any) -> Any:
    """``text % value`` with nothing but ``%s``, ``%d`` and ``%(name)s``, which cannot grow beyond its parts."""
    if not isinstance(text, str) or "%" in _FORMATS.sub("", text):
        return NotImplemented
    parts = (
        value if isinstance(value, tuple) else tuple(value.values()) if isinstance(value, dict) else (value,)
    )
    if not all(isinstance(part, str | int) for part in parts):
        return NotImplemented
    if len(text) + text.count("%") * sum(len(str(part)) for part in parts) > _LONGEST_TEXT:
        return NotImplemented
    try:
        return text % value
    except (TypeError, ValueError, KeyError):
        return NotImplemented
