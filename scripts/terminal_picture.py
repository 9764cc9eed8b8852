"""Draw what a command shows in a terminal, as an SVG for the documents.

python -m scripts.terminal_picture docs/pictures/evaluate.svg --lines 24 -- evaluate set-cover --family set-cover --n 4
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import shlex
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 112
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def output_of(command: list[str]) -> str:
    """Run a command in a terminal of its own, and return what it shows there at the end, colours included.

    Raises:
        CalledProcessError: If the command fails.
    """
    ours, its = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=its, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(its)
        shown = bytearray()
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="picture to write, .svg")
    parser.add_argument("--lines", type=int, default=40, help="lines to show at most")
    parser.add_argument("command", nargs="+", help="one of this environment, after --")
    arguments = parser.parse_args()
    program, *words = arguments.command
    lines = output_of([str(Path(sys.executable).with_name(program)), *words]).splitlines()[: arguments.lines]
    console = Console(record=True, width=COLUMNS, file=StringIO())
    console.print(Text(f"$ {shlex.join(arguments.command)}", style="bold"))
    console.print(Text.from_ansi("\n".join(lines)))
    # Rich's own style asks the network for a font; the reader's monospaced one will do.
    arguments.out.write_text(FONT_FACE.sub("", console.export_svg(title="gnn-branching")))


if __name__ == "__main__":
    main()
