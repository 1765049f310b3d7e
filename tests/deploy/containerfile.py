# SPDX-License-Identifier: MIT
"""A Containerfile's instructions, and its build stage carried out in plain folders: there is no container engine here.

Knows what ours has, and refuses what it does not know.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    """``RUN`` and what follows it."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Of the JSON form as of the other."""
        return list(json.loads(self.text)) if self.text.startswith("[") else shlex.split(self.text)


def stages(path: Path) -> list[list[Instruction]]:
    """The instructions of each stage, which begins with FROM; what precedes the first is left out."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    found: list[list[Instruction]] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append(Instruction(name, " ".join(rest.split())))
    return found


def build(stage: list[Instruction], context: Path, root: Path, environment: dict[str, str]) -> None:
    """Carry out a stage below ``root``, which stands for the image's top folder.

    Raises:
        AssertionError: a command failed, or an instruction is not known here.
    """
    folder = root
    for name, text in stage:
        match name:
            case "FROM":
                pass
            case "WORKDIR":
                folder = root / text.removeprefix("/")
                folder.mkdir(parents=True)
            case "COPY":
                *sources, into = text.split()
                for source in sources:
                    target = folder / into
                    if (context / source).is_dir():
                        shutil.copytree(
                            context / source, target, ignore=shutil.ignore_patterns("__pycache__")
                        )
                    else:
                        target = target / Path(source).name if into.endswith("/") else target
                        target.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy(context / source, target)
            case "RUN":
                here = re.sub(r"(?<![\w.])/opt/", f"{root}/opt/", text)
                (root / "opt").mkdir(exist_ok=True)
                done = subprocess.run(
                    ["sh", "-c", here],
                    cwd=folder,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=600,
                )
                assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
            case _:
                raise AssertionError(f"what does {name} do?")
