"""What the documents of results say is what their rows say, and what made the rows is declared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gnn_branching.contracts import InputError
from gnn_branching.evaluation.report.write import write_report
from scripts import results
from scripts.results import BLOCK, DOCUMENTS, experiments, read_experiment, rendered

KNOWN = experiments()
PAGES = [name for name, experiment in KNOWN.items() if experiment.page and experiment.page_is_document]


def test_blocks_say_what_is_declared_and_what_the_rows_say() -> None:
    blocks = {name: experiment.blocks() for name, experiment in KNOWN.items()}
    for document in DOCUMENTS.glob("*.md"):
        text = document.read_text()
        assert {found[2] for found in BLOCK.finditer(text)} <= KNOWN.keys()
        assert rendered(text, blocks) == text, f"run python -m scripts.results ... --table-only for {document.name}"


@pytest.mark.parametrize("name", PAGES)
def test_documents_that_are_pages_say_what_the_rows_say(name: str, tmp_path: Path) -> None:
    experiment = KNOWN[name]
    write_report(experiment.folders, tmp_path / experiment.page)
    for made in (path for path in tmp_path.iterdir() if path.suffix == ".md"):
        assert made.read_text() == (DOCUMENTS / made.name).read_text()


def test_the_index_leads_to_every_document() -> None:
    index = (DOCUMENTS / "README.md").read_text()
    assert {f"({document.name})" for document in DOCUMENTS.glob("*.md") if document.name != "README.md"} <= set(
        re.findall(r"\([\w-]+\.md\)", index)
    )


def test_every_script_of_an_experiment_is_declared() -> None:
    declared = " ".join(command for experiment in KNOWN.values() for run in experiment.runs for command in run.commands)
    for script in (Path(__file__).parent.parent / "scripts").glob("*_experiment.py"):
        assert f"scripts.{script.stem} " in declared


def test_documents_say_where_rows_are_not_kept() -> None:
    text = "\n".join(document.read_text() for document in DOCUMENTS.glob("*.md"))
    for name in ("learning-rate", "forecast", "cluster", "ways"):
        assert KNOWN[name].is_kept or f"`python -m scripts.results {name}` makes them" in text


def test_running_keeps_the_rows_and_writes_the_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(results, "DOCUMENTS", tmp_path)
    (tmp_path / "make.py").write_text(
        "import json, pathlib, sys\n"
        "out = pathlib.Path(sys.argv[1])\n"
        "out.mkdir(parents=True)\n"
        "(out / 'figures.json').write_text(json.dumps({'speedup': 2.5}))\n"
    )
    (tmp_path / "fast.toml").write_text(
        'question = "?"\n'
        '[[run]]\nrows = "fast/here"\ncommands = ["python make.py {out}"]\n'
        '[[table]]\nname = "figures"\nby = "scripts.results:figures"\ntitle = "Speed"\n'
    )
    document = tmp_path / "fast.md"
    document.write_text("<!-- results fast figures -->\n\n<!-- end results -->\n")
    experiment = read_experiment(tmp_path / "fast.toml")
    assert experiment.blocks().keys() == {"commands"}
    experiment.make_rows()
    results.write_documents(experiment)
    assert (tmp_path / "fast" / "here" / "figures.json").is_file()
    assert "| speedup | 2.50 |" in document.read_text()


def test_empty_blocks_stay_apart() -> None:
    document = "".join(f"<!-- results fast {name} -->\n<!-- end results -->\n" for name in ("figures", "commands"))
    assert rendered(document, {"fast": {"figures": "A", "commands": "B"}}) == (
        "<!-- results fast figures -->\n\nA\n\n<!-- end results -->\n"
        "<!-- results fast commands -->\n\nB\n\n<!-- end results -->\n"
    )


def test_a_declaration_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text('question = "?"\npages = "x"\n[[run]]\ncommands = []\n')
    with pytest.raises(InputError, match=r"wrong\.toml: .*pages"):
        read_experiment(tmp_path / "wrong.toml")
