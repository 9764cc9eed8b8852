"""Every command in every document is one that the command line, a script or the Makefile takes; quick ones are run."""

from __future__ import annotations

import argparse
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from cyclopts import CycloptsError, MissingArgumentError

import examples.own_family  # noqa: F401 (registers the family that the documents generate)
from gnn_branching.cli import main
from gnn_branching.cli.main import COMMANDS, app
from gnn_branching.config import load_config, parse_overrides
from gnn_branching.instances import get_family
from gnn_branching.solver.settings import PRESETS
from scripts.results import experiments

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "data" / "README.md"])
PROGRAMS = ("gnn-branching", "train-policy", "evaluate")
QUICK = "<!-- quick -->"
"""Above a block that is run, in a folder that the blocks of a document share."""
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?<=\n\n)(?:    \S[^\n]*\n)+")
INLINE = re.compile(rf"(?<!`)`((?:{'|'.join((*PROGRAMS, 'make', 'bash', 'python -m'))}) [^`\n]+)`(?!`)")
SHELL = ("", "sh", "bash", "console")
SEPARATORS = (";", "&&", "|", "do", "done")


class ParsedError(Exception):
    """Raised in place of what a script would do once it has read its arguments."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a document; a fragment may leave out what is required."""

    words: tuple[str, ...]
    is_fragment: bool = False

    def __str__(self) -> str:
        return shlex.join(self.words)


def lines_of(block: str) -> Iterator[Command]:
    """Yield the commands of a shell block: lines continued and cut at what separates commands."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        current: list[str] = []
        for word in [*words, ";"]:
            bare = word.rstrip(";") if word != ";" else word
            if bare and bare not in SEPARATORS:
                current.append(bare)
            if word.endswith(";") or word in SEPARATORS:
                yield from _meant(current)
                current = []


def _meant(words: list[str]) -> Iterator[Command]:
    """Yield what a line runs, without the variables and the launcher before it."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if "gnn_branching" in words[:8] and words[words.index("gnn_branching") - 1] == "-m":
        words = ["gnn-branching", *words[words.index("gnn_branching") + 1 :]]
    if words and words[0] in (*PROGRAMS, "make", "bash", "python"):
        yield Command(tuple(words))


def commands_of(text: str) -> Iterator[Command]:
    """Yield the commands of a Markdown document: those of shell blocks, and those named in a line."""
    rest = text
    for found in FENCE.finditer(text):
        if found[2] in SHELL:
            yield from lines_of(found[3])
        rest = rest.replace(found[0], "")
    for found in INDENTED.finditer(rest):
        yield from lines_of(found[0])
    for found in INLINE.finditer(rest):
        yield Command(tuple(shlex.split(found[1].replace(r"\|", "|"))), is_fragment=True)


def all_commands() -> list[Any]:
    """List all commands as parameters of a test, each once."""
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in DOCUMENTS}
    functions = [resolve_name(f"gnn_branching.cli.{command}") for command in COMMANDS]
    texts |= {f"{function.__name__} --help": inspect.getdoc(function) or "" for function in functions}
    for experiment in experiments().values():
        commands = [command for run in experiment.runs for command in experiment.commands(run)]
        texts[f"experiments/{experiment.name}.toml"] = "\n".join(["```", *commands, "```"])
    seen: dict[Command, str] = {}
    for place, text in texts.items():
        for command in commands_of(text):
            seen.setdefault(command, place)
    return [pytest.param(command, id=f"{place}: {command}") for command, place in seen.items()]


@pytest.mark.parametrize("command", all_commands())
def test_a_documented_command_is_understood(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *words = command.words
    if program == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in words if "=" not in word} <= targets
    elif program == "bash":
        assert (ROOT / words[0]).is_file()
    elif program == "python":
        _parse_script(words, monkeypatch)
    else:
        _parse_command(command)


def _parse_command(command: Command) -> None:
    """Let the command line's own parser read a command, and its values be looked up where they are names."""
    program, *words = command.words
    words = words if program == "gnn-branching" else [program, *words]
    try:
        _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    except MissingArgumentError:
        assert command.is_fragment or "…" in words
        return
    except CycloptsError as error:
        pytest.fail(str(error))
    given = bound.arguments
    for override in given.get("set_") or ():
        if not re.search(r"[…$A-Z]", override):
            parse_overrides([override])
    config = given.get("config")
    if config is not None and str(config).startswith("configs/") and "FAMILY" not in str(config):
        load_config(ROOT / config)
    families = given.get("family") or ()
    for family in [families] if isinstance(families, str) else families:
        if not re.search(r"[A-Z$]", family):
            get_family(family)
    for policy in given.get("policies") or ():
        preset = policy.partition("@")[2].partition("=")[0]
        assert preset in ("", "recipe", *PRESETS), preset
    if words[0] == "bench" and "part" in given:
        benchmark = import_module(f"benchmarks.{given['part']}").benchmark
        taken = inspect.signature(benchmark).parameters
        assert {name.replace("-", "_") for name in given.get("options", {})} <= set(taken)


def _parse_script(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a script or module of this repository as far as its arguments."""
    name = words[1] if words[0] == "-m" else words[0].removesuffix(".py").replace("/", ".")
    if name.split(".")[0] not in ("scripts", "benchmarks", "examples"):
        assert words[0] == "-m", words
        return
    module = import_module(name)
    rest = words[2:] if words[0] == "-m" else words[1:]
    if not rest:
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_only(parser: argparse.ArgumentParser, *_: object) -> None:
        parse(parser, [word for word in rest if word not in ("[…]",)])
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    with pytest.raises(ParsedError):
        module.main()


@pytest.mark.parametrize("option", ["--unknown", "--familly=set-cover"])
def test_an_unknown_option_would_be_found(option: str) -> None:
    with pytest.raises(pytest.fail.Exception):
        _parse_command(Command(("evaluate", "pscost", option)))


def quick_blocks() -> dict[str, list[tuple[str, str]]]:
    """Return the language and text of the blocks that are run, by document."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in DOCUMENTS:
        for part in path.read_text().split(QUICK)[1:]:
            block = FENCE.match(part.lstrip("\n"))
            assert block, f"{QUICK} in {path} stands above no block"
            found.setdefault(str(path.relative_to(ROOT)), []).append((block[2], block[3]))
    return found


@pytest.mark.parametrize("document", quick_blocks())
def test_quick_blocks_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in quick_blocks()[document]:
        if language == "python":
            exec(compile(text, document, "exec"), {"__name__": "__main__"})
            continue
        for command in lines_of(text):
            program, *words = command.words
            assert main(words if program == "gnn-branching" else [program, *words]) == 0, command


def test_extras_that_documents_name_exist() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        name
        for path in DOCUMENTS
        for names in re.findall(r"gnn-branching\[([\w,]+)\]", path.read_text())
        for name in names.split(",")
    }
    assert named
    assert named <= set(known)
