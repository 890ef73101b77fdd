#!/usr/bin/env python3
"""Opens the page of `namm report` in a headless browser and looks whether everything is there and works with the keyboard.

usage: report_page_test.py NAMM MODEL [--screenshots DIR] [--page FILE]

  NAMM           the built program
  MODEL          a GGUF model for a small evaluation
  --page FILE    look at this page instead of making one
  --screenshots  also writes light.png, dark.png, narrow.png, tokens.png and print.pdf there, for people to look at

Needs Chromium or Chrome and the Python package playwright (its own browsers are not needed). Exit code 77, with the reason, if one of
them is missing: ctest then says "skipped".
"""
import argparse
import csv
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

SKIP = 77
HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">&amp;'"


def make_page(namm, model, folder):
    """A page of a small evaluation, with markup where a stranger could put it."""
    def run(*words):
        subprocess.run([namm, *words], check=True, stdout=subprocess.DEVNULL)
    results, details, page = folder / "r.jsonl", folder / "d.jsonl", folder / "report.html"
    run("eval", "--model", model, "--policy", "h2o,streaming,random", "--budget", "50%,25%", "--interval", "64", "--length", "200",
        "--samples", "3", "--json", str(results), "--details", str(details), "--quiet")
    run("evolve", "--model", model, "--tasks", "passkey", "--length", "64", "--generations", "3", "--population", "4", "--prompts", "1",
        "--budget", "50%", "--output", str(folder / "run"), "--quiet")
    for path in (results, details):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            line["model"] = HOSTILE
            line["task"] += HOSTILE
            if line.get("policy") == "random":
                line["policy"] = HOSTILE
            if "pieces" in line:
                line["pieces"][1] = HOSTILE
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run("report", str(results), str(details), str(folder / "run"), "--output", str(page))
    return page


class Checks:
    def __init__(self):
        self.failed = 0

    def __call__(self, good, what):
        print(("ok      " if good else "FAILED  ") + what)
        self.failed += not good


def look(page, check, evolution):
    check(page.title().startswith("Memory policies"), "the title says what it is")
    check(page.locator(".number strong").count() == 3, "a verdict with three large numbers")
    check(page.locator("#verdict").evaluate("e => e.getBoundingClientRect().top") < 400, "and it comes first")
    for name in ("overview", "curves", "tables", "kept", "memory", "terms") + (("evolution",) if evolution else ()):
        check(page.locator(f"h2#{name}").count() == 1, f"chapter {name}")
    check(page.locator("section:has(#curves) svg.chart").count() >= 2, "quality charts")
    check(page.locator("section:has(#curves) svg.chart .interval").count() > 0, "intervals in them")
    check(page.locator("section:has(#memory) svg.chart path.line").count() >= 2, "memory charts")
    if evolution:
        check(page.locator("section:has(#evolution) svg.chart").count() == 2, "fitness and step size")
    tokens = page.locator("#tokens span")
    check(tokens.count() > 100, "tokens of a prompt")
    check(page.locator("#tokens span.gone").count() > 0, "some were kept by no head")
    check(page.locator("#tokens span.flag").count() > 0, "the place of the answer is marked, with what became of it")
    check(page.locator("#answer").inner_text() != "", "and said in words")
    check(page.locator("section:has(#curves) > .charts svg.chart").count() == 2, "two quality charts at once")
    check(page.locator("section:has(#curves) .series.s1000").count() > 0, "the full cache among the points")
    check(page.locator("#heat td").count() > 0, "heat map")
    check(page.locator("#positions rect.bar").count() >= 20, "position histogram")
    check(page.locator("#kinds tbody tr").count() >= 7, "kinds of token that occur, and all")
    check(page.locator("svg.chart:not([aria-label])").count() == 0, "every chart can be read aloud")


def use_keyboard(page, check):
    before = page.locator("#heat").inner_text(), page.locator("#about").inner_text()
    check(re.search(r"score of the answer (\d\.\d\d|–),", before[1]), f"a score of two decimals: {before[1]}")
    page.focus("#policy")
    last = page.locator("#policy").evaluate("e => e.selectedIndex + 1 === e.options.length")
    page.keyboard.press("ArrowUp" if last else "ArrowDown")
    check((page.locator("#heat").inner_text(), page.locator("#about").inner_text()) != before, "another policy by the keyboard")
    prompt = page.locator("#tokens").inner_text()
    page.focus("#prompt")
    page.keyboard.press("ArrowDown")
    check(page.locator("#tokens").inner_text() != prompt, "another prompt by the keyboard")
    kept = page.locator("#budget-text").inner_text(), page.locator("#heat").inner_text()
    page.focus("#budget")
    page.keyboard.press("Home")
    low = page.locator("#budget-text").inner_text(), page.locator("#heat").inner_text()
    page.keyboard.press("End")
    high = page.locator("#budget-text").inner_text(), page.locator("#heat").inner_text()
    check(low != high and kept in (low, high), f"another budget by the keyboard ({low[0]}; {high[0]})")
    button = page.locator("section:has(#curves) .legend button").first
    style = button.get_attribute("data-style")
    button.focus()
    page.keyboard.press("Space")
    check(button.get_attribute("aria-pressed") == "false", "a legend's entry is pressed by the keyboard")
    check(page.locator(f"section:has(#curves) .series.{style}.off").count() > 0, "and hides its lines")
    page.keyboard.press("Space")
    button.blur()


def saved(page, button):
    """Name and text of the file that a button saves, pressed by the keyboard."""
    button.focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    return download.value.suggested_filename, pathlib.Path(download.value.path()).read_bytes().decode()


def save_files(page, check):
    figures = page.locator("figure:has(svg.chart)").count()
    check(page.locator("figure .export button").count() == 2 * figures, f"every chart can be saved ({figures})")
    figure = page.locator("section:has(#curves) figure").first
    name, text = saved(page, figure.get_by_text("SVG", exact=True))
    root = xml.etree.ElementTree.fromstring(text)
    check(name.endswith(".svg") and "/" not in name and root.tag == "{http://www.w3.org/2000/svg}svg", f"a chart as a file: {name}")
    check("var(--" not in text and "class=" not in text.replace("class='chart'", "").replace('class="chart"', ""), "which needs no style sheet")
    lines = root.findall(".//{*}path[@stroke]")
    check(any(line.get("stroke").startswith("rgb(") for line in lines), "and has its colours")
    name, text = saved(page, figure.get_by_text("CSV", exact=True))
    rows = list(csv.reader(text.splitlines()))
    marks = figure.locator(".mark").count()
    check(name.endswith(".csv") and rows[0][0] == "line" and rows[0][3:] == ["low", "high"], f"its numbers: {rows[0]}")
    check(len(rows) == 1 + marks and all(len(row) == 5 for row in rows), f"one row for each of the {marks} points")
    table = page.locator("section:has(#overview) .scroll").first
    name, text = saved(page, table.locator("xpath=following-sibling::div[1]").get_by_text("CSV", exact=True))
    rows = list(csv.reader(text.splitlines()))
    check(len(rows) == table.locator("tr").count() and rows[0][0] == "policy", "a table as a file")
    _, text = saved(page, page.locator("figure[data-chart=positions]").get_by_text("CSV", exact=True))
    check(text.startswith("position,kept,tokens"), "and what was kept by position")


def read_aloud(page, check):
    levels = page.locator("h1, h2, h3").evaluate_all("nodes => nodes.map(n => Number(n.nodeName[1]))")
    check(levels[0] == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:])), "headings leave no level out")
    check(page.locator(".scroll:not([role=region][aria-label])").count() == 0, "tables that scroll have a role and a name")
    names = page.locator("button, select, input").evaluate_all(
        "nodes => nodes.map(n => n.getAttribute('aria-label') || n.textContent || (n.labels && n.labels[0] && n.labels[0].textContent) || '')")
    check(all(name.strip() for name in names), "everything that can be pressed has a name")
    check(len(set(page.locator(".export button").evaluate_all("nodes => nodes.map(n => n.getAttribute('aria-label'))"))) > 3, "which tells charts apart")
    check(page.locator("html").get_attribute("lang") == "en" and page.locator("main, header, nav[aria-label], footer").count() == 4, "landmarks")
    page.reload()
    page.keyboard.press("Tab")
    check(page.evaluate("document.activeElement.className") == "skip", "the first thing a keyboard reaches leads to the content")
    page.emulate_media(media="print")
    check(page.locator("nav").is_hidden() and page.locator(".export button").first.is_hidden(), "nothing to press on paper")
    page.emulate_media(media="screen")


def take_screenshots(browser, url, folder, width=1280):
    folder.mkdir(parents=True, exist_ok=True)
    for name, scheme, across in (("light", "light", width), ("dark", "dark", width), ("narrow", "light", 400)):
        page = browser.new_page(viewport={"width": across, "height": 900}, color_scheme=scheme)
        page.goto(url)
        page.screenshot(path=str(folder / f"{name}.png"), full_page=True)
        if name == "dark":
            page.locator("#kept").scroll_into_view_if_needed()
            page.screenshot(path=str(folder / "tokens.png"))
        if name == "light":
            page.pdf(path=str(folder / "print.pdf"), format="A4", margin={k: "12mm" for k in ("top", "bottom", "left", "right")})
        page.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("namm")
    parser.add_argument("model")
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path)
    arguments = parser.parse_args()
    chrome = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not chrome:
        print("skipped: no chromium or google-chrome on this machine (apt-get install chromium)")
        return SKIP
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("skipped: the Python package playwright is not installed (pip install playwright)")
        return SKIP

    check = Checks()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        path = arguments.page or make_page(arguments.namm, arguments.model, pathlib.Path(scratch))
        url = path.resolve().as_uri()
        browser = playwright.chromium.launch(executable_path=chrome, args=["--no-sandbox"])
        page = browser.new_page()
        troubles, requests = [], []
        page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        look(page, check, evolution=page.locator("h2#evolution").count() > 0 or not arguments.page)
        use_keyboard(page, check)
        save_files(page, check)
        read_aloud(page, check)
        if not arguments.page:
            check(page.locator("img").count() == 0 and page.title() != "broken", "markup from files stays text")
            check(HOSTILE in page.locator("h1").inner_text(), "and is shown as it is")
        outside = [request for request in requests if not request.startswith(("file:", "data:"))]
        check(not outside, f"no request leaves the page {outside}")
        page.set_viewport_size({"width": 400, "height": 800})
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        check(wide <= 0, f"nothing sticks out of a narrow window ({wide} px)")
        check(not troubles, f"no console errors {troubles}")
        page.close()
        if arguments.screenshots:
            take_screenshots(browser, url, arguments.screenshots)
        browser.close()
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
