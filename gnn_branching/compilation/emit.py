"""Compile the kernels in a process of their own, and write them as an object file.

Each becomes a function of one kind, ``int entry(void **slots)``, so that ``runtime.c`` can call them all: the slots are
the arguments of Numba's function, which takes arrays apart.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numba
from llvmlite import ir

from gnn_branching.compilation import just_in_time
from gnn_branching.compilation.library import PACKAGE, fingerprints
from gnn_branching.compilation.notation import code_of

ALL = (
    "gnn_branching.policy.layers",
    "gnn_branching.solver.candidates",
    "gnn_branching.solver.features",
    "gnn_branching.solver.guard",
    "gnn_branching.solver.lp_graph",
    "gnn_branching.solver.search_features",
    "gnn_branching.subproblem",
)
"""What a solve loads; kernels of whatever they import come with them. Training's own are compiled when needed."""
MODULES = {"x86-64-v3": ALL, "x86-64-v4": ALL[:1]}
"""Whose kernels are compiled for each level: only the network's layers are faster with wider vectors."""
FROM_RUNTIME = ("NRT_MemInfo_alloc_aligned", "NRT_MemInfo_call_dtor", "numba_attempt_nocopy_reshape")
FROM_C = ("log", "log1p", "memcpy", "memset", "pow", "sqrt")
"""What kernels may call: ``runtime.c``, C's library, and SCIP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A kernel in an object file.

    Args:
        name: Its module and name.
        signature: As ``runtime.c`` reads it.
        releases_lock: Whether other threads of Python may run meanwhile.
        symbol: Of its entry.
        n_slots: What the entry reads.
    """

    name: str
    signature: str
    releases_lock: bool
    symbol: str
    n_slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """An object file's kernels.

    Args:
        rows: The kernels.
        sources: All files of the package that they were compiled from, with their SHA-256.
    """

    rows: list[Row]
    sources: dict[str, str]

    @staticmethod
    def from_text(text: str) -> Emitted:
        """Read what a process printed."""
        found = json.loads(text)
        return Emitted(rows=[Row(**row) for row in found["rows"]], sources=found["sources"])


def emit(path: Path) -> Emitted:
    """Compile all kernels for the processor that Numba is told by ``NUMBA_CPU_NAME``, and write their object file.

    Raises:
        RuntimeError: If a kernel calls what will not be there when it runs.
    """
    just_in_time.options_of_all |= {"cache": False, "no_cpython_wrapper": True}
    for name in MODULES[_level()]:
        import_module(name)
    whole = llvm.parse_assembly("")
    rows = []
    for kernel in just_in_time.compiled:
        (result,) = kernel.overloads.values()
        whole.link_in(llvm.parse_bitcode(result.library._final_module.as_bitcode()))
        kind = result.target_context.call_conv.get_function_type(result.fndesc.restype, result.fndesc.argtypes)
        entry = _entry(result.fndesc, kind)
        whole.link_in(llvm.parse_assembly(str(entry.module)))
        rows.append(
            Row(
                name=f"{kernel.__module__}.{kernel.__qualname__}",
                signature=code_of(kernel.py_func),
                releases_lock=bool(kernel.targetoptions.get("nogil")),
                symbol=entry.name,
                n_slots=len(kind.args),
            )
        )
    symbols = {row.symbol for row in rows}
    _check(whole)
    for function in whole.functions:
        if not function.is_declaration and function.name not in symbols:
            function.linkage = "internal"
    whole.verify()
    path.write_bytes(_machine().emit_object(whole))
    return Emitted(rows=rows, sources=fingerprints(_sources()))


def _entry(described: Any, kind: ir.FunctionType) -> ir.Function:
    """Return a function, in a module of its own, that calls Numba's with what is in slots of 8 bytes."""
    level = re.sub(r"\W", "_", _level())
    module = ir.Module()
    inner = ir.Function(module, kind, described.llvm_func_name)
    word, index = ir.IntType(64), ir.IntType(32)
    name = f"gnn_branching_{level}_{described.mangled_name}"
    outer = ir.Function(module, ir.FunctionType(index, [word.as_pointer()]), name)
    builder = ir.IRBuilder(outer.append_basic_block())
    slots = [builder.gep(outer.args[0], [ir.Constant(index, i)]) for i in range(len(kind.args))]
    pointers = [builder.bitcast(slot, kind.as_pointer()) for slot, kind in zip(slots, kind.args, strict=True)]
    builder.ret(builder.call(inner, [builder.load(pointer) for pointer in pointers]))
    return outer


def _check(whole: Any) -> None:
    known = re.compile(rf"SCIP\w+|llvm\..*|{'|'.join(FROM_RUNTIME + FROM_C)}")
    unknown = [found.name for found in whole.functions if found.is_declaration and not known.fullmatch(found.name)]
    if unknown:
        raise RuntimeError(f"kernels call {', '.join(unknown)}, which runtime.c does not have")


def _machine() -> Any:
    """Return what makes code that may lie anywhere in memory."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=_level(),
        features="",
        opt=3,
        reloc="pic",
        codemodel="default",
    )


def _level() -> str:
    """Return the processor that Numba compiles for."""
    return str(numba.config.CPU_NAME)  # type: ignore[attr-defined]


def _sources() -> list[str]:
    """Return all of the package that was loaded to compile the kernels, and what they are linked with."""
    found = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    files = [Path(file) for file in found if file is not None]
    names = {str(file.relative_to(PACKAGE)) for file in files if file.is_relative_to(PACKAGE)}
    return sorted(names | {"compilation/build.py", "compilation/runtime.c"})


if __name__ == "__main__":
    print(json.dumps(asdict(emit(Path(sys.argv[1])))))
