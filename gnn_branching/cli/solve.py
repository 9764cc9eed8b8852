"""``gnn-branching solve``."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gnn_branching.cli.output import JsonPath, Seed, write_figures
from gnn_branching.config import SCIP_RULES
from gnn_branching.contracts import InputError, Policy, SolveFigures, SolveStatus

if TYPE_CHECKING:
    from gnn_branching.solver.deferred import DeferredPolicy

RECIPE = "recipe"
"""Name of the settings that a policy was proven with."""


def solve(
    model: Path,
    *,
    policy: str = "relpscost",
    preset: str | None = None,
    settings: str | None = None,
    time_limit: float | None = None,
    node_limit: int | None = None,
    memory_limit: float | None = None,
    gap_limit: float | None = None,
    solution: Path | None = None,
    log: Annotated[bool, Parameter(negative="")] = False,
    force: Annotated[bool, Parameter(negative="")] = False,
    seed: Seed = 0,
    json: JsonPath = None,
) -> int:
    """Solve a model with a policy, and print SCIP's status line.

    Ctrl-C stops SCIP and prints the best solution so far (exit code 130).

    Example: `gnn-branching solve mine.mps --policy set-cover --time-limit 600 --solution mine.sol`

    Parameters
    ----------
    model
        Problem file: `.lp`, `.mps`, `.cip`, `.opb`, `.nl`, or one of these with `.gz`.
    policy
        Name or folder of a policy, or one of SCIP's own rules (`relpscost`, `pscost`, `fullstrong`, ...).
    preset
        How the policy is used, by default as its card says: `guarded` (SCIP takes over where the model is of another
        kind, or the policy chooses badly), `plain` (no guard), `verified`, `verified-top`, `with-pseudocosts`,
        `cautious`, `top-of-tree`, `warm`.
    settings
        `recipe` (those that the policy was proven with; taken where it has some and nothing else is asked for),
        `default` (SCIP's default settings), `paper` (no cuts below the root, no restarts), or a SCIP parameter file
        (`.set`).
    time_limit
        Seconds.
    node_limit
        Tree nodes.
    memory_limit
        MiB of SCIP's own memory.
    gap_limit
        Relative gap at which to stop; 0.01 is one per cent.
    solution
        Write the best solution to this file.
    log
        Show SCIP's log on stderr.
    force
        Let a policy branch although its card says that it is slower than SCIP's default rule.
    """
    from wurlitzer import Wurlitzer

    from gnn_branching.solver.settings import SolveLimits
    from gnn_branching.solver.solve import prepare_solve

    limits = SolveLimits(
        time_limit_seconds=time_limit, node_limit=node_limit, memory_limit_mib=memory_limit, gap_limit=gap_limit
    )
    if solution is not None and not solution.resolve().parent.is_dir():
        raise InputError(f"the folder of --solution {solution} does not exist")
    setup = choose_setup(policy, settings)
    rule = choose_rule(setup.rule or policy, setup.settings, force=force or setup.is_recipe)
    prepared = prepare_solve(
        model,
        rule=rule,
        settings=setup.parameters or setup.settings,
        seed=seed,
        limits=limits,
        rule_settings=preset,
    )
    prepared.model.hideOutput(not log)
    # SCIP's log to stderr: results alone belong on stdout. By its number, because only what has one needs no pipe.
    with open(2, "wb", closefd=False) as stderr, Wurlitzer(stdout=stderr):
        figures = prepared.run()
    if prepared.model.getNSols() and solution is not None:
        prepared.model.writeBestSol(str(solution))
    if "guard-recipe" in figures.rule.fallbacks:
        print(f"note: policy {policy} was made for other models; SCIP left its recipe at the root", file=sys.stderr)
    _print_outcome(figures, solution if prepared.model.getNSols() else None)
    if figures.status is SolveStatus.INTERRUPTED and prepared.model.getNSols():
        best = prepared.model.getBestSol()
        for variable in prepared.model.getVars():
            value = prepared.model.getSolVal(best, variable)
            if value:
                print(f"{variable.name} {value:.15g}")
    write_figures(json, _flat(figures) | {"settings": setup.settings, "recipe": setup.is_recipe})
    return 130 if figures.status is SolveStatus.INTERRUPTED else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Under what a model is solved.

    Args:
        settings: Name of the settings, or a parameter file.
        parameters: The recipe's parameter file; empty for none.
        rule: SCIP's own rule where the recipe says that it branches; else empty.
    """

    settings: str
    parameters: str = ""
    rule: str = ""

    @property
    def is_recipe(self) -> bool:
        """Whether a policy's recipe is used."""
        return bool(self.parameters)


def choose_setup(policy: str, settings: str | None) -> Setup:
    """Return the settings that are asked for, or else the policy's recipe, or else SCIP's own; a recipe is announced.

    Raises:
        InputError: If a recipe is asked for, and there is none.
    """
    from gnn_branching.policy.card import read_card
    from gnn_branching.policy.folder import recipe_file
    from gnn_branching.policy.load import find_folder

    if policy in SCIP_RULES:
        if settings == RECIPE:
            raise InputError(f"{policy} is SCIP's own rule and has no recipe; name a policy that has one")
        return Setup(settings=settings or "default")
    folder = find_folder(policy)
    recipe = read_card(folder).recipe
    if settings not in (None, RECIPE) or (settings is None and recipe is None):
        return Setup(settings=settings or "default")
    parameters = str(recipe_file(folder))
    assert recipe is not None
    print(f"note: settings from the recipe of policy {policy}: {recipe.against_untouched}", file=sys.stderr)
    return Setup(settings=RECIPE, parameters=parameters, rule=recipe.scip_rule)


def choose_rule(name: str, settings: str, *, force: bool = False) -> str | DeferredPolicy:
    """Return the name of one of SCIP's rules as it is, and anything else as a policy that is loaded beside the solve.

    Under settings that the policy has not seen, a line on stderr says so. A policy that lost against one of SCIP's
    rules is replaced by that rule, unless forced; a line on stderr says so too.

    Raises:
        InputError: If there is no such policy.
    """
    if name in SCIP_RULES:
        return name
    from gnn_branching.policy.card import read_card
    from gnn_branching.policy.load import find_folder, load_policy, say_unseen_settings
    from gnn_branching.solver.deferred import DeferredPolicy

    card = read_card(find_folder(name))
    verdict = card.verdict
    if verdict is not None and verdict.verdict == "slower" and not force:
        print(
            f"note: policy {name} is {verdict}; SCIP's {verdict.baseline} branches instead (--force uses the policy)",
            file=sys.stderr,
        )
        return verdict.baseline
    say_unseen_settings(name, card, [settings])

    def load() -> Policy:
        policy = load_policy(name)
        policy.warm_up()
        return policy

    return DeferredPolicy(name=name, preset=card.preset, load=load)


def _print_outcome(figures: SolveFigures, solution: Path | None) -> None:
    print(f"SCIP Status        : {figures.status}")
    print(f"Solving Time (sec) : {figures.wall_seconds:.2f}")
    print(f"Solving Nodes      : {figures.n_tree_nodes}")
    print(f"Primal Bound       : {figures.primal_bound:.14g}")
    print(f"Dual Bound         : {figures.dual_bound:.14g}")
    rule = figures.rule
    if rule.n_decisions or rule.n_fallbacks:
        price = f" ({1e3 * rule.decision_seconds / rule.n_decisions:.2f} ms each)" if rule.n_decisions else ""
        print(f"Learned decisions  : {rule.n_decisions}{price}, handed over: {rule.n_fallbacks}")
        for reason, count in sorted(rule.fallbacks.items()):
            print(f"  {reason:<17}: {count}")
    if solution is not None:
        print(f"Solution           : {solution}")


def _flat(figures: SolveFigures) -> dict[str, object]:
    """Return the figures as one flat JSON object; unknown numbers become null."""
    plain = asdict(figures)
    rule = plain.pop("rule")
    fallbacks = rule.pop("fallbacks")
    plain |= rule | {f"fallbacks.{reason}": count for reason, count in fallbacks.items()}
    plain["n_fallbacks"] = figures.rule.n_fallbacks
    plain["status"] = str(figures.status)
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in plain.items()}
