# SPDX-License-Identifier: MIT
"""Finding the callback that the command line or the configuration names. Calling it does not belong here."""

from __future__ import annotations

import functools
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .failures import USAGE, Failure, where

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import Callback


def load(chosen: Callback, conf: Mapping[str, Any]) -> Any:
    """What to call with messages: from the file, else from the module, else what the configuration names.

    A class is instantiated. Raises ``Failure`` (2) with the reason in one line, whatever the user's code raises.
    """
    if chosen.file:
        return _callable(_from_file(chosen.file), f"--callback-file {chosen.file}")
    path = chosen.module or conf["callback"]
    origin = f"--callback {path}" if chosen.module else f"callback {path!r} of the configuration"
    if not path:
        raise Failure(
            "no callback: give one by --callback MODULE:OBJ or --callback-file FILE:OBJ, or set callback in "
            "the configuration",
            USAGE,
        )
    return _callable(_from_module(path, origin), origin)


def _from_module(path: str, origin: str) -> Any:
    name, _, attribute = path.partition(":")
    if not name or not attribute:
        raise Failure(f"{origin}: it must have the form MODULE:OBJ, such as mypackage.module:function", USAGE)
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise Failure(
                f"{origin}: there is no module {error.name!r} here; is the package installed in the environment "
                f"of this program ({sys.prefix})?",
                USAGE,
            ) from error
        raise Failure(f"{origin}: importing {name} failed: {where(error)}", USAGE) from error
    except (Exception, SystemExit) as error:
        raise Failure(f"{origin}: importing {name} failed: {where(error)}", USAGE) from error
    return _attribute(module, attribute, origin, name)


def _from_file(path_and_name: str) -> Any:
    origin = f"--callback-file {path_and_name}"
    path, _, attribute = path_and_name.rpartition(":")
    if not path or not attribute:
        raise Failure(f"{origin}: it must have the form FILE:OBJ, such as my/script.py:function", USAGE)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - no need of pathlib
            source = file.read()
    except OSError as error:
        raise Failure(f"{origin}: cannot read {path}: {error.strerror}", USAGE) from error
    try:
        code = compile(source, path, "exec")
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else error
        raise Failure(f"{origin}: {path}{line}: {said}", USAGE) from error
    module = _module_for(path)
    try:
        exec(code, module.__dict__)  # noqa: S102 - running the user's file is what was asked for
    except (Exception, SystemExit) as error:
        raise Failure(f"{origin}: running {path} failed: {where(error)}", USAGE) from error
    return _attribute(module, attribute, origin, path)


def _module_for(path: str) -> ModuleType:
    """An empty module, known to Python: dataclasses and pickle look up the module of a class by its name."""
    stem = path.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".py")
    taken = stem in sys.modules or stem in sys.stdlib_module_names
    module = ModuleType(f"callback_{stem}" if taken else stem)
    module.__file__ = path
    sys.modules[module.__name__] = module
    return module


def _attribute(module: ModuleType, attribute: str, origin: str, place: str) -> Any:
    try:
        return functools.reduce(getattr, attribute.split("."), module)
    except AttributeError as error:
        raise Failure(f"{origin}: there is no {attribute!r} in {place}", USAGE) from error


def _callable(target: Any, origin: str) -> Any:
    from ..callbacks import resolve  # noqa: PLC0415 - brings asyncio along

    try:
        return resolve(target)
    except ValueError as error:
        if not isinstance(target, type):
            raise Failure(f"{origin}: {error}", USAGE) from error
        raise Failure(f"{origin}: making an instance failed: {where(error)}", USAGE) from error
    except (Exception, SystemExit) as error:
        raise Failure(f"{origin}: making an instance failed: {where(error)}", USAGE) from error
