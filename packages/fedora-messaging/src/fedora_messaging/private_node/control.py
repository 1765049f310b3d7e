# SPDX-License-Identifier: MIT
"""Talking to a running node: any Erlang through ``erl_call`` (5 ms), ``rabbitmqctl`` (0.5 s), the HTTP API.

Starting and stopping the node does not belong here.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import subprocess
from itertools import count
from typing import TYPE_CHECKING, Any

from ..exceptions import NodeError
from .layout import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .installation import Installation
    from .layout import Settings

_calls = count(1)


class Control:
    """Commands to one node.

    Arguments:
        settings: of the node.
        installation: where the tools are.
        environment: for the tools.
    """

    def __init__(
        self, settings: Settings, installation: Installation, environment: Mapping[str, str]
    ) -> None:
        self._settings = settings
        self._installation = installation
        self._environment = environment

    def evaluate(self, erlang: str, timeout: float) -> str:
        """Run an Erlang expression in the node; returns the printed result.

        Raises:
            NodeError: the expression failed, or the node did not answer within ``timeout`` seconds.
        """
        expression = erlang.strip().rstrip(".") + "."
        if self._installation.erl_call is None:
            return self.ctl(["eval", expression], timeout).strip()
        dist = f"{HOST}:{self._settings.ports['dist']}"
        # A name of its own for each call: the node refuses a second one while it still lets go of the first.
        name = f"call{os.getpid()}x{next(_calls)}"
        # The cookie comes from HOME: on the command line every user could read it.
        arguments = ["-h", name, "-address", dist, "-e"]
        answer = self._run(self._installation.erl_call, arguments, timeout, expression + "\n")
        if not answer.startswith("{ok, "):
            raise NodeError(f"The node could not evaluate {expression}: {answer.strip()}")
        return answer.strip()[len("{ok, ") : -1]

    def ctl(self, arguments: Sequence[str], timeout: float) -> str:
        """Run ``rabbitmqctl`` with these arguments; returns what it prints.

        Raises:
            NodeError: it failed, with what it said, or took longer than ``timeout`` seconds.
        """
        names = ["--longnames"] if self._settings.long else []
        node = ["-n", self._settings.name, *names]
        return self._run(self._installation.rabbitmqctl, [*node, *arguments], timeout)

    def _run(self, path: Path, arguments: Sequence[str], timeout: float, text: str = "") -> str:
        program = path.name
        try:
            done = subprocess.run(  # noqa: S603
                self._installation.command(path, *arguments),
                env=dict(self._environment),
                cwd=self._settings.folder,
                input=text,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NodeError(f"{program} had no answer from the node within {timeout:g} seconds.") from error
        except OSError as error:
            raise NodeError(f"{program} could not be run: {error}.") from error
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise NodeError(f"{program} failed with status {done.returncode}: {' '.join(said[:4])}")
        return done.stdout


class Management:
    """The HTTP API of a node: ``management("GET", "/api/queues")``.

    Arguments:
        port: of the management plugin on 127.0.0.1.
        user: whom to be.
        password: the user's.
    """

    def __init__(self, port: int, user: str, password: str) -> None:
        self._port = port
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def __call__(self, method: str, path: str, body: Any = None, *, timeout: float = 30.0) -> Any:
        """One request; returns the JSON of the answer, None if it is empty.

        Arguments:
            method: ``GET``, ``PUT``, ``POST`` or ``DELETE``.
            path: from ``/api`` on, its parts percent-encoded (``/api/queues/%2F/name``).
            body: what to send as JSON; None sends nothing.
            timeout: seconds.

        Raises:
            NodeError: no answer, or one that is not a success; its ``status`` is the HTTP status.
        """
        sent = None if body is None else json.dumps(body)
        connection = http.client.HTTPConnection(HOST, self._port, timeout=timeout)
        try:
            with contextlib.closing(connection):
                connection.request(method, path, sent, self._headers)
                answer = connection.getresponse()
                data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise NodeError(f"No answer from the management API to {method} {path}: {error}.") from error
        if answer.status >= 300:
            said = data.decode(errors="replace").strip()
            raise NodeError(
                f"{method} {path} was answered with {answer.status}: {said}", status=answer.status
            )
        return json.loads(data) if data else None


def binary(text: str) -> str:
    """A string as an Erlang binary, byte by byte: nothing to escape, no encoding to guess."""
    return f"<<{','.join(map(str, text.encode()))}>>"
