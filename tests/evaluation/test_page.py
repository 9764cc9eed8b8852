from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browsing, emulate
from synthetic import made_up_rows, write_everything

from gnn_branching.evaluation.report.write import write_report

SECTIONS = ["overview", "pictures", "tables", "trees", "training", "diagnostics", "provenance"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    write_everything(folder, made_up_rows())
    assert write_report([folder], folder / "report.html").disagreements == ()
    return folder / "report.html"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browsing(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(driver: Any, report: Path) -> Any:
    emulate(driver)
    driver.get(report.as_uri())
    return driver


def column(page: Any, table: str, index: int) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
    found: list[str] = page.execute_script(script, f"#table-{table} tbody tr td:nth-child({index + 1})")
    return found


def values(page: Any, table: str, index: int) -> list[float | None]:
    script = "return [...document.querySelectorAll(arguments[0])].map(e => e.dataset.value ?? null)"
    found = page.execute_script(script, f"#table-{table} tbody tr td:nth-child({index + 1})")
    return [None if value is None else float(value) for value in found]


def click(page: Any, table: str, index: int) -> None:
    page.execute_script(f"document.querySelectorAll('#table-{table} th button')[{index}].click()")


def test_renders_without_a_word_on_the_console(page: Any) -> None:
    assert page.title == "Branching rules on 2 kinds of instances"
    assert page.get_log("browser") == []
    anchors = page.execute_script("return [...document.querySelectorAll('main > section')].map(e => e.id)")
    assert anchors == SECTIONS
    targets = page.execute_script("return [...document.querySelectorAll('nav a')].map(e => e.getAttribute('href'))")
    assert targets == [f"#{anchor}" for anchor in SECTIONS]


def test_asks_the_network_for_nothing(page: Any, report: Path) -> None:
    assert page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    text = report.read_text()
    links = re.findall(r"""(?:src|href)="([^"#][^"]*)""", text)
    assert all(link.startswith("data:") for link in links), links
    assert not re.search(r"@import|url\((?!#)", text)


def test_ids_are_unique_and_pictures_are_drawn(page: Any) -> None:
    ids = page.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    page.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
    boxes = page.execute_script(
        "return [...document.querySelectorAll('figure svg')].map(e => [e.ariaLabel, e.getBoundingClientRect().width,"
        " e.getBoundingClientRect().height])"
    )
    assert len(boxes) >= 2 + 3 * 4 + 2 + 1 + 2
    for label, width, height in boxes:
        assert label
        assert width > 200, label
        assert height > 100, label


def test_a_diagnosis_is_shown_with_its_advice_and_pictures(page: Any) -> None:
    assert column(page, "advice-0", 1) == ["Keep it"]
    assert column(page, "findings-0", 1) == ["holds"]
    assert column(page, "findings-0-silent", 1) == ["not applicable"]
    told = page.execute_script("return document.querySelector('#diagnostics dl').textContent")
    assert "data: collect more samples" in told
    assert page.execute_script("return document.querySelector('#diagnostics img').naturalWidth") > 0


def test_first_screen_holds_the_verdict(page: Any) -> None:
    lead = page.execute_script("return document.querySelector('.lead').textContent")
    assert "faster in 1, clearly slower in 0, and undecided in 1" in lead
    cards = page.execute_script(
        "return [...document.querySelectorAll('.card')].map(e => [e.className, e.querySelector('.badge').textContent,"
        " e.getBoundingClientRect().bottom])"
    )
    assert cards[1][0] == "card good"
    assert "faster" in cards[1][1]
    assert cards[2][0] == "card plain"
    assert "no clear difference" in cards[2][1]
    assert all(bottom < 900 for _, _, bottom in cards)


def test_tables_sort_by_value_both_ways_and_by_text(page: Any) -> None:
    before = column(page, "outcome", 5)
    click(page, "outcome", 5)
    up = values(page, "outcome", 5)
    assert up == sorted(up, key=lambda value: value or 0)
    click(page, "outcome", 5)
    assert values(page, "outcome", 5) == up[::-1]
    states = page.execute_script("return [...document.querySelectorAll('#table-outcome th')].map(e => e.ariaSort)")
    assert [state for state in states if state != "none"] == ["descending"]
    click(page, "outcome", 2)
    assert column(page, "outcome", 2) == sorted(column(page, "outcome", 2))
    assert sorted(column(page, "outcome", 5)) == sorted(before)


def test_empty_cells_sort_last_both_ways(page: Any) -> None:
    for _ in range(2):
        click(page, "outcome", 8)
        p_values = values(page, "outcome", 8)
        filled = [value for value in p_values if value is not None]
        assert p_values == [*filled, *[None] * (len(p_values) - len(filled))]
        assert None in p_values


def test_sorting_works_from_the_keyboard(page: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    button = page.find_element(By.CSS_SELECTOR, "#table-outcome th:nth-child(6) button")
    button.send_keys(Keys.ENTER)
    up = values(page, "outcome", 5)
    assert up == sorted(up, key=lambda value: value or 0)


def test_filter_hides_rows(page: Any) -> None:
    from selenium.webdriver.common.by import By

    page.find_element(By.CSS_SELECTOR, "input[data-filter=table-outcome]").send_keys("gcnn")
    shown = page.execute_script("return [...document.querySelectorAll('#table-outcome tbody tr:not([hidden])')].length")
    assert shown == 6


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_sideways_scrolling_on_narrow_screens(page: Any, width: int) -> None:
    emulate(page, width=width, height=800)
    page.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    small = page.execute_script("return parseFloat(getComputedStyle(document.querySelector('td')).fontSize)")
    assert small >= 12


LUMINANCE = """
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const light = (color) => {
        canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const surface = (e) => {
        for (; e; e = e.parentElement) {
            const color = getComputedStyle(e).backgroundColor;
            if (color !== 'rgba(0, 0, 0, 0)') return light(color);
        }
        return 1;
    };
    document.querySelectorAll('details').forEach(e => e.open = true);
    const out = [];
    for (const e of document.querySelectorAll('h1,h2,h3,p,li,td,th button,dd,dt,figcaption,nav a,svg text')) {
        if (!e.textContent.trim()) continue;
        const style = getComputedStyle(e);
        const [a, b] = [light(e.closest('svg') ? style.fill : style.color), surface(e)].sort((x, y) => y - x);
        out.push([(a + 0.05) / (b + 0.05), e.textContent.trim().slice(0, 30)]);
    }
    return out;
"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_in_light_and_dark(page: Any, dark: bool) -> None:
    emulate(page, dark=dark)
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(15, 19, 26)" if dark else "rgb(245, 247, 250)")
    contrasts = page.execute_script(LUMINANCE)
    assert len(contrasts) > 300
    bad = [entry for entry in contrasts if entry[0] < 4.5]
    assert not bad, f"contrast below WCAG AA: {bad[:10]}"


def test_the_button_switches_the_theme(page: Any) -> None:
    from selenium.webdriver.common.by import By

    before = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    page.find_element(By.ID, "theme").click()
    after = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    page.find_element(By.ID, "theme").click()
    assert before != after
    assert page.execute_script("return getComputedStyle(document.body).backgroundColor") == before


def test_hostile_names_stay_text(page: Any) -> None:
    """The diagnostics' statement holds markup; it must be shown, not obeyed."""
    cell = page.execute_script("return document.querySelector('#table-findings-0 td:last-child').innerHTML")
    assert cell == "&lt;b&gt;Not markup&lt;/b&gt;"


def test_few_cards_share_the_first_screen_with_their_picture(driver: Any, tmp_path: Path) -> None:
    rows = [row for row in made_up_rows() if row.family == "set-cover"]
    write_everything(tmp_path, rows)
    write_report([tmp_path], tmp_path / "report.html")
    emulate(driver)
    driver.get((tmp_path / "report.html").as_uri())
    assert driver.get_log("browser") == []
    heads = driver.execute_script("return [...document.querySelectorAll('#table-outcome th')].map(e => e.innerText)")
    assert not any("Instances" in head for head in heads), "one kind of instances is said by the title"
    card, picture = (
        driver.execute_script("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", place)
        for place in (".card", "#figure-ratios")
    )
    assert picture["left"] > card["right"]
    assert picture["bottom"] < 900
    assert driver.execute_script("return document.querySelectorAll('#figure-ratios').length") == 1
