"""``gnn-branching doctor``."""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from gnn_branching.cli.output import JsonPath, results_console, write_figures
from gnn_branching.contracts import InputError
from gnn_branching.libraries import EXTRAS
from gnn_branching.provenance import available_cores, collect_provenance

FOUND, ABSENT, WRONG = "[green]✓", "–", "[red]✗"
REBUILD_ECOLE = "gnn-branching install-ecole --force"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One line of the doctor's report.

    Args:
        name: What was looked at.
        value: What was found.
        remedy: What to do about it; empty if all is well.
        is_wrong: Whether something is off; a library that is not installed is not.
    """

    name: str
    value: str
    remedy: str = ""
    is_wrong: bool = False

    @property
    def mark(self) -> str:
        """What stands before the line."""
        return WRONG if self.is_wrong else ABSENT if self.remedy else FOUND


def doctor(*, json: JsonPath = None) -> int:
    """Print versions, the one SCIP in the process, device, threads and caches, and what is not installed.

    Exits with 3, and says the remedy, if anything is off. Solving needs neither PyTorch nor Ecole: where they are
    missing, it says what for they are needed.

    Example: `gnn-branching doctor`
    """
    provenance = collect_provenance()
    findings = [Examined(name=name, value=found) for name, found in provenance.packages.items()]
    findings += [
        Examined(name="python", value=provenance.python),
        Examined(name="system", value=f"{provenance.system} {provenance.machine}"),
        Examined(name="cpu", value=f"{provenance.cpu}, {available_cores()} cores usable"),
        *_solver_findings(),
        *_device_findings(),
        _kernels_finding(),
        _kernel_cache_finding(),
        *_extra_findings(),
    ]
    table = Table("", "what", "found", box=None)
    for finding in findings:
        remedy = f"\n→ {finding.remedy}" if finding.remedy else ""
        table.add_row(finding.mark, finding.name, escape(finding.value + remedy))
    results_console().print(table)
    n_problems = sum(finding.is_wrong for finding in findings)
    write_figures(json, {finding.name: finding.value for finding in findings} | {"n_problems": n_problems})
    return 3 if n_problems else 0


def _solver_findings() -> list[Examined]:
    from gnn_branching.solver.environment import scip_environment

    try:
        found = scip_environment()
    except InputError as error:
        return [Examined(name="ecole", value=str(error), remedy=REBUILD_ECOLE, is_wrong=True)]
    n_libraries = len(found.libraries)
    names = ", ".join(Path(library).name for library in found.libraries)
    is_one = n_libraries == 1 or not found.libraries
    return [
        Examined(name="scip", value=found.scip_version),
        Examined(
            name="libscip mapped",
            value=f"{n_libraries}: {names}",
            remedy="" if is_one else REBUILD_ECOLE,
            is_wrong=not is_one,
        ),
    ]


def _device_findings() -> list[Examined]:
    """Say what PyTorch would train on, without the seconds that importing it takes."""
    torch = find_spec("torch")
    if torch is None or torch.origin is None:
        return []
    cuda = runpy.run_path(str(Path(torch.origin).with_name("version.py")))["cuda"]
    drivers = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    models = [line.partition(":")[2].strip() for file in drivers for line in file.read_text().splitlines()[:1]]
    if cuda is None or not models:
        why = "this build of torch has no CUDA" if cuda is None else "no NVIDIA driver is loaded"
        return [Examined(name="device", value=f"cpu ({why})")]
    return [Examined(name="device", value=f"CUDA {cuda}: {', '.join(models)}")]


def _extra_findings() -> list[Examined]:
    """Say which libraries are not installed, what needs them, and how to get them."""
    return [
        Examined(
            name=name,
            value=f"not installed: {', '.join(missing)}; needed for {extra.purpose}",
            remedy=extra.remedy,
        )
        for name, extra in EXTRAS.items()
        if (missing := extra.missing())
    ]


def _kernels_finding() -> Examined:
    from gnn_branching.compilation.library import ahead

    found = ahead()
    if found.library is not None:
        return Examined(name="kernels", value=f"compiled ahead for {found.level}")
    return Examined(name="kernels", value=f"compiled when first needed: those compiled ahead are {found.why_not}")


def _kernel_cache_finding() -> Examined:
    import gnn_branching

    folder = Path(gnn_branching.__file__).parent
    n_kernels = sum(1 for _ in folder.rglob("*.nbc"))
    return Examined(name="kernel cache", value=f"{n_kernels} compiled kernels")
