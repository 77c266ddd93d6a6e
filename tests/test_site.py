"""The site: what is in it, that it needs no network, and that a reader can search, filter and use it by keyboard."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mdplab import site
from theory.claims import paper_pages
from theory.errors import InputError, Unavailable

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


def test_a_paper_has_a_page_with_links_to_the_others(toy_ledger: dict[str, Any], tmp_path: Path) -> None:
    pages = {page.key: page for page in paper_pages.paper_pages(toy_ledger, tmp_path)}
    assert set(pages) == {line["paper"] for line in toy_ledger["claims"]}
    for line in toy_ledger["claims"]:
        page = pages[line["paper"]]
        assert f'id="{line["id"]}"' in page.html
        assert line["verdict"] in page.verdicts
        if line["corrected"] and line["corrected"].split("/")[0] != line["paper"]:
            assert f'href="{line["corrected"].split("/")[0]}.html#{line["corrected"]}"' in page.html


@pytest.fixture(scope="module")
def built(toy_ledger: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of the toy ledger, with the reference of one room."""
    for package in site.NEEDED:
        pytest.importorskip(package, reason="the extra `site` is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "ROOMS", ("bandits",))
        out = tmp_path_factory.mktemp("site") / "public"
        site.build_site(toy_ledger, out, notebooks=False)
    return out


def test_the_site_has_every_part(built: Path, toy_ledger: dict[str, Any]) -> None:
    for name in (
        "index",
        "ledger",
        "papers/index",
        "papers/toy",
        "docs/writing_claims",
        "reference/bandits",
        "source/paper_checks.test_dno",
    ):
        assert (built / f"{name}.html").exists(), name
    assert "kl-contraction" not in (built / "papers" / "toy.html").read_text(encoding="utf-8")
    assert (built / "reference" / "bandits.html").read_text(encoding="utf-8").count("<math") > 0


def test_no_page_asks_the_network(built: Path) -> None:
    asking = re.compile(r'(?:src|href)="https?://[^"]+\.(?:js|css|woff2?|svg|png)|@import\s+url\(.?https?:|url\(.?https?:')
    for page in [*built.rglob("*.html"), *built.rglob("*.css")]:
        assert not asking.search(page.read_text(encoding="utf-8")), page


def test_every_internal_link_leads_somewhere(built: Path) -> None:
    """Pages, pictures, style sheets and anchors; the toy ledger's checks and the rooms left out of the reference have no page."""
    texts = {path: path.read_text(encoding="utf-8") for path in built.rglob("*.html") if path.name != "404.html"}
    anchors = {path: {*re.findall(r'(?:id|name)="([^"]+)"', text)} for path, text in texts.items()}
    broken = []
    for path, text in texts.items():
        for link in re.findall(r'<[a-z][^>]*? (?:href|src)="([^"]+)"', text):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = html.unescape(link).partition("#")
            target = (path.parent / name.partition("?")[0]).resolve() if name else path
            if "source/toy_checks" in link:
                continue
            if not target.exists() or (anchor and target in anchors and anchor not in anchors[target]):
                broken.append((str(path.relative_to(built)), link))
    assert broken == []


def test_the_guide_to_ones_own_theorem_is_in_the_navigation(built: Path) -> None:
    home = (built / "index.html").read_text(encoding="utf-8")
    (tab,) = re.findall(
        r'<li class="md-tabs__item">\s*<a href="docs/writing_claims.html"[^>]*>\s*(.*?)\s*</a>', home, re.DOTALL
    )
    assert tab == "Your own theorem"


def test_the_ledger_leads_back_to_the_site(built: Path) -> None:
    assert '<a href="index.html">' in (built / "ledger.html").read_text(encoding="utf-8")


def test_a_notebook_is_typeset_outside_of_code() -> None:
    pytest.importorskip("griffe", reason="the extra `site` is not installed")
    from mdplab.site_docstrings import typeset_notebook

    code = "```python\nprice = '$x$'\n```\n\n`$HOME` and `$PATH`\n\n    printed: $1 and $2\n"
    assert typeset_notebook(code) == code
    made = typeset_notebook("At $V^*$ and $W^*$:\n\n$$\n\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}\n$$\n")
    assert made.count("<math") == 3
    assert "$" not in made
    assert "*" not in made.split("\n")[0]  # Markdown would take two of them for emphasis
    assert '<div class="formula">' in made


def test_a_folder_with_other_things_is_left_alone(toy_ledger: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="holds no site"):
        site.build_site(toy_ledger, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_is_missing_is_told(toy_ledger: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=r"no README\.md"):
        site.build_site(toy_ledger, tmp_path / "public", house=tmp_path)
    monkeypatch.setattr(site, "NEEDED", ("no_such_package",))
    with pytest.raises(Unavailable, match=r"mdplab\[site\]"):
        site.build_site(toy_ledger, tmp_path / "public")


# --- in a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(built: Path) -> Iterator[Any]:
    """A page of a headless browser that has no network, and fails the test for whatever it complains of."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra `site` is not installed")
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    complaints: list[str] = []
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
        opened = context.new_page()
        opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        yield opened
        browser.close()
    assert complaints == []


def test_the_ledger_is_searched_and_filtered(built: Path, page: Any, toy_ledger: dict[str, Any]) -> None:
    page.goto((built / "ledger.html").as_uri())
    total = len(toy_ledger["claims"])
    assert page.locator("#shown").inner_text() == f"{total} of {total}"
    page.locator("#search").fill("dice")
    some = page.locator("details.claim:not(.gone)").count()
    assert 0 < some < total
    page.locator("#search").fill("")
    page.locator('select[data-filter="verdict"]').select_option("refuted")
    assert page.locator("details.claim:not(.gone)").count() == sum(c["verdict"] == "refuted" for c in toy_ledger["claims"])


def test_the_site_is_searched_by_click_and_by_keyboard(built: Path, page: Any) -> None:
    page.goto((built / "index.html").as_uri())
    page.keyboard.press("/")  # opens the search
    page.keyboard.type("Your own theorem")
    page.locator(".md-search-result__item").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/writing_claims.html**")


def test_every_part_is_reached_by_tab_and_enter(built: Path, page: Any) -> None:
    page.goto((built / "papers" / "index.html").as_uri())
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == "toy.html":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/papers/toy.html")


@pytest.mark.parametrize(
    "name", ["index", "ledger", "papers/index", "papers/toy", "reference/bandits", "docs/writing_claims", "docs/ledger"]
)
def test_pages_fit_a_telephone(built: Path, page: Any, name: str) -> None:
    page.set_viewport_size({"width": 380, "height": 800})
    page.goto((built / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
