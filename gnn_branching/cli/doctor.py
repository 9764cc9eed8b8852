"""``gnn-branching doctor``."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gnn_branching.cli.output import JsonPath, write_figures
from gnn_branching.provenance import available_cores, collect_provenance

REBUILD_ECOLE = "run `make setup`, or python scripts/install_ecole.py with this environment's interpreter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One line of the doctor's report.

    Args:
        name: What was looked at.
        value: What was found.
        remedy: What to do about it; empty if all is well.
    """

    name: str
    value: str
    remedy: str = ""


def doctor(*, json: JsonPath = None) -> int:
    """Print versions, the one SCIP in the process, device, threads and caches.

    Exits with 3, and says the remedy, if anything is off.

    Example: `gnn-branching doctor`
    """
    provenance = collect_provenance()
    findings = [Examined(name=name, value=found) for name, found in provenance.packages.items()]
    findings += [
        Examined(name="python", value=provenance.python),
        Examined(name="system", value=f"{provenance.system} {provenance.machine}"),
        Examined(name="cpu", value=f"{provenance.cpu}, {available_cores()} cores usable"),
        *_solver_findings(),
        _device_finding(),
        _kernel_cache_finding(),
    ]
    table = Table("", "what", "found", box=None)
    for finding in findings:
        mark = "[red]✗" if finding.remedy else "[green]✓"
        table.add_row(mark, finding.name, finding.value + (f"\n→ {finding.remedy}" if finding.remedy else ""))
    Console().print(table)
    failed = [finding for finding in findings if finding.remedy]
    write_figures(json, {finding.name: finding.value for finding in findings} | {"n_problems": len(failed)})
    return 3 if failed else 0


def _solver_findings() -> list[Examined]:
    try:
        environment = importlib.import_module("gnn_branching.solver.environment")
        found = environment.scip_environment()
    except ImportError as error:
        return [Examined(name="ecole", value=f"cannot be imported: {error}", remedy=REBUILD_ECOLE)]
    n_libraries = len(found.libraries)
    names = ", ".join(Path(library).name for library in found.libraries)
    remedy = "" if n_libraries == 1 or not found.libraries else REBUILD_ECOLE
    return [
        Examined(name="scip", value=found.scip_version),
        Examined(name="libscip mapped", value=f"{n_libraries}: {names}", remedy=remedy),
    ]


def _device_finding() -> Examined:
    torch = importlib.import_module("torch")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return Examined(name="device", value=f"{device}, {torch.get_num_threads()} torch threads")


def _kernel_cache_finding() -> Examined:
    import gnn_branching

    folder = Path(gnn_branching.__file__).parent
    n_kernels = sum(1 for _ in folder.rglob("*.nbc"))
    return Examined(name="kernel cache", value=f"{n_kernels} compiled kernels")
