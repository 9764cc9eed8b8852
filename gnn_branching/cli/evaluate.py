"""``gnn-branching evaluate`` and ``gnn-branching report``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from gnn_branching.cli.options import ExecutorName, RayAddress, remote_executor
from gnn_branching.cli.output import JsonPath, Seed, Workers, results_console, write_figures
from gnn_branching.contracts import InputError
from gnn_branching.run_folder import run_folder

if TYPE_CHECKING:
    from gnn_branching.evaluation.evaluate import Evaluation

PROGRAMS = ("gnn-branching", "evaluate")


def evaluate(
    policies: list[str],
    /,
    *,
    family: Annotated[list[str] | None, Parameter(negative="")] = None,
    size: Annotated[list[str] | None, Parameter(negative="")] = None,
    instances: Path | None = None,
    n: Annotated[int, Parameter(name="--n")] = 20,
    seeds: int = 5,
    settings: Annotated[list[str] | None, Parameter(negative="")] = None,
    baseline: str = "relpscost",
    time_limit: float = 3600.0,
    node_limit: int = 0,
    memory_limit: int = 8192,
    shift: float = 1.0,
    out: Path | None = None,
    solu: Annotated[list[Path] | None, Parameter(negative="")] = None,
    trees: int = 0,
    agreement: int = 0,
    retry_failures: Annotated[bool, Parameter(negative="")] = False,
    executor: ExecutorName = "local",
    ray_address: RayAddress = None,
    workers: Workers = None,
    seed: Seed = 0,
    json: JsonPath = None,
) -> int:
    """Compare policies with SCIP's rules, paired on the same instances and seeds.

    Run the same command again to continue where it stopped, however it stopped. Writes `results.parquet` (one row per
    solve), `summary.json`, `report.html`, `report.md`, `tables/` (Markdown, CSV, LaTeX) and `figures/`. Exits with 3 if
    optimal values contradict each other or a known optimum.

    Example: `evaluate runs/set-cover/policy pscost --family set-cover --size easy --settings paper --settings default`

    Parameters
    ----------
    policies
        Policies by name or folder (`label=folder` names it in tables, `folder@preset` says how it is used), and SCIP's
        own rules by name (`pscost`, `fullstrong`, `vanillafullstrong`, `random`, ...); `expert`, strong branching as a
        choice alone, what a perfect imitation would do; or `highs`, the other open solver. `POLICY@recipe` solves under
        the policy's recipe, `relpscost@recipe=POLICY` under that of another.
    family
        Generated family to solve; may be repeated.
    size
        Sizes of the family; may be repeated. `easy` by default.
    instances
        Instead of a family: a folder of problem files, one problem file, or a text file that lists some.
    n
        Generated instances per family and size.
    seeds
        SCIP seeds per instance.
    settings
        `recipe` (what each policy was proven with, against SCIP's default settings; taken where a policy has one and
        nothing else is asked for), `paper` (no cuts below the root, no restarts; otherwise the default), `default`
        (SCIP's default settings), or a parameter file; may be repeated.
    baseline
        The rule that all others are compared with; added if it is not among them.
    time_limit
        Seconds per solve; SCIP stops there, and is killed soon after if it does not.
    node_limit
        Tree nodes per solve; 0 for none.
    memory_limit
        MiB per solve, also enforced from outside.
    shift
        Shift of the geometric means: seconds for times, units for counts.
    out
        Folder for everything; the same folder resumes. `runs/evaluation` by default.
    solu
        Lists of known optima (`.solu`) to check against; may be repeated. A `.sol` beside an instance is read anyway.
    trees
        Record the branch-and-bound trees of this many instances, for the report.
    agreement
        Compare policies with strong branching along their own trees on this many instances.
    retry_failures
        Do crashed and killed solves again.
    """
    from gnn_branching.evaluation.solves.plan import ResourceLimits
    from gnn_branching.pipeline.evaluate import evaluate as run

    folder = run_folder(out, "evaluation")
    evaluation = run(
        policies,
        folder,
        family=family or (),
        size=size or (),
        instances=instances,
        n=n,
        seeds=seeds,
        settings=settings or (),
        baseline=baseline,
        limits=ResourceLimits(time_limit_seconds=time_limit, node_limit=node_limit, memory_limit_mib=memory_limit),
        shift=shift,
        solu=solu or (),
        trees=trees,
        agreement=agreement,
        retry_failures=retry_failures,
        executor=remote_executor(executor, folder, workers=workers, ray_address=ray_address),
        executor_name=executor,
        workers=workers or 0,
        seed=seed,
        command=_command_line(),
    )
    _show(evaluation, folder.path)
    write_figures(json, evaluation.figures)
    return evaluation.exit_code


def _command_line() -> str:
    """Return what was typed; empty if Python code called the command."""
    program = Path(sys.argv[0]).name.replace("__main__.py", "gnn-branching")
    return shlex.join([program, *sys.argv[1:]]) if program in PROGRAMS else ""


def _show(evaluation: Evaluation, folder: Path) -> None:
    """Print what fits a terminal; shout on stderr."""
    from gnn_branching.evaluation.report.tables import to_terminal

    console = results_console()
    for table in evaluation.tables:
        if table.name != "instances":
            console.print(to_terminal(table))
    console.print(evaluation.report.page.lead, style="bold", highlight=False)
    warnings = Console(stderr=True, highlight=False, soft_wrap=True)
    for alert in evaluation.report.page.alerts:
        warnings.print(Text(alert.title, style="bold red" if alert.tone == "bad" else "yellow"))
    for line in evaluation.unrecorded:
        warnings.print(Text(f"not recorded: {line}", style="yellow"))
    for disagreement in evaluation.disagreements:
        warnings.print(Text(f"DISAGREEMENT {disagreement}", style="bold red"))
    print(f"Report: {folder / 'report.html'}")


def report(folders: list[Path], /, *, baseline: str = "", out: Path | None = None) -> int:
    """Write one self-contained HTML page, and the same as Markdown, from what is there.

    Shows evaluations, training curves, diagnostics and provenance found in the folders and below; several evaluations,
    one a family say, become one comparison. Exits with 3 if optimal values contradict each other.

    Example: `gnn-branching report runs/set-cover runs/independent-set --out docs/results/easy.html`

    Parameters
    ----------
    folders
        Folders of evaluations or training runs; subfolders are looked into.
    baseline
        The rule that the others are compared with, any that was solved with; the evaluations' own by default.
    out
        The page; its Markdown and main picture go beside it, ending in `.md` and `.svg`. `report.html` in the first
        folder by default.
    """
    from gnn_branching.evaluation.report.write import write_report

    for place in folders:
        if not place.is_dir():
            raise InputError(f"folder {place} does not exist; give the folder of an evaluation or a training run")
    target = out or folders[0] / "report.html"
    if target.suffix not in (".html", ".htm"):
        raise InputError(f"--out {target} must end in .html; the Markdown goes beside it")
    disagreements = write_report(folders, target, baseline).disagreements
    for disagreement in disagreements:
        print(f"DISAGREEMENT {disagreement}", file=sys.stderr)
    print(target)
    print(target.with_suffix(".md"))
    return 3 if disagreements else 0
