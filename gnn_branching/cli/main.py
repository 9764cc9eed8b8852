"""Entry points and exit codes: 0 done, 2 bad input, 3 done but a check failed, 130 interrupted."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from gnn_branching.contracts import InputError

EXIT_DONE, EXIT_BAD_INPUT, EXIT_CHECK_FAILED, EXIT_INTERRUPTED = 0, 2, 3, 130

app = App(
    name="gnn-branching",
    help="Learned branching for mixed-integer programming with SCIP.",
    version=lambda: version("gnn-branching"),
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # main() says what is kept
)
# By name, so that a command imports what it needs alone.
COMMANDS = (
    "doctor:doctor",
    "generate:generate",
    "collect:collect",
    "inspect:inspect",
    "train_policy:train_policy",
    "tune:tune",
    "accelerate:accelerate",
    "diagnose:diagnose",
    "evaluate:evaluate",
    "evaluate:report",
    "solve:solve",
    "policies:policies",
    "theory:theory",
    "bench:bench",
    "install_ecole:install_ecole",
)
for command in COMMANDS:
    app.command(f"gnn_branching.cli.{command}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``gnn-branching``; return the exit code."""
    try:
        result = app(
            arguments if arguments is None else list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except InputError as error:
        return _refuse(str(error))
    except CycloptsError as error:
        return _refuse(" ".join(str(error).split()))
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) went away; without this Python complains once more while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    return result if isinstance(result, int) else EXIT_DONE


def train_policy_main() -> int:
    """Run ``train-policy``, the same as ``gnn-branching train-policy``."""
    return main(["train-policy", *sys.argv[1:]])


def evaluate_main() -> int:
    """Run ``evaluate``, the same as ``gnn-branching evaluate``."""
    return main(["evaluate", *sys.argv[1:]])


def _refuse(message: str) -> int:
    print(f"gnn-branching: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_BAD_INPUT
