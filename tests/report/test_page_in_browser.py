"""The page of `report=pareto` in a real browser, Chromium without a window; skipped where there is none."""

import html
import json
import re
import shutil
import subprocess

import pytest

from powerbert.report.pareto import pareto
from tests.report.records import study

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")

NASTY = "<img src=x onerror=document.title='run'>"

FRAME = """<!doctype html>
<title></title>
<iframe id="page" src="out/pareto.html" style="width: {width}px; height: 800px; border: 0"></iframe>
<pre id="result"></pre>
<script>
  const frame = document.getElementById("page");
  const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

  async function look(page, view) {{
    const all = (selector) => [...page.querySelectorAll(selector)];
    const section = page.querySelector("section[data-section]");
    const details = section.querySelector(".details");
    const panes = [...section.querySelectorAll(".plot")];
    const inPlots = () => panes.map((pane) => pane.querySelectorAll(".point").length);
    const found = {{
      title: page.title,
      width: view.innerWidth,
      content: page.documentElement.scrollWidth,
      plots: all(".plot").map((plot) => Boolean(plot.querySelector("svg.main-svg"))),
      lefts: panes.map((pane) => Math.round(pane.getBoundingClientRect().left)),
      points: inPlots(),
      requests: view.performance.getEntriesByType("resource").map((entry) => entry.name),
    }};

    section.querySelector("button[data-trace]").click();
    await wait(200);
    found.without_first = inPlots();
    section.querySelector("button[data-trace]").click();
    await wait(200);

    const mark = section.querySelector(".plot .trace .point");
    mark.scrollIntoView({{ behavior: "instant", block: "center" }});
    const box = mark.getBoundingClientRect();
    const place = {{ clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true, view }};
    const ground = section.querySelector(".plot .nsewdrag");
    ground.dispatchEvent(new view.MouseEvent("mousemove", place));
    await wait(300);
    found.hover = (section.querySelector(".plot .hoverlayer") || {{}}).textContent;
    ground.dispatchEvent(new view.MouseEvent("mousedown", place));
    page.dispatchEvent(new view.MouseEvent("mouseup", place));
    await wait(300);
    found.clicked = details.innerText;
    found.ringed = inPlots();

    const button = section.querySelectorAll("button[data-point]")[3];
    button.click();
    await wait(300);
    found.chosen = details.innerText;
    found.pressed = section.querySelectorAll("button[data-point][aria-pressed=true]").length;
    found.focus = page.activeElement.textContent;
    found.content_after = page.documentElement.scrollWidth;
    return found;
  }}

  frame.addEventListener("load", async () => {{
    await wait(500);
    let result;
    try {{
      result = await look(frame.contentDocument, frame.contentWindow);
    }} catch (error) {{
      result = {{ error: String(error) }};
    }}
    document.getElementById("result").textContent = JSON.stringify(result);
  }});
</script>
"""


def dump(folder, page) -> str:
    """The page's DOM, once its scripts have run."""
    options = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --window-size=1400,1000"
    options += " --allow-file-access-from-files --virtual-time-budget=10000 --dump-dom"
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [BROWSER, *options.split(), profile, (folder / page).as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=[1280, 390], ids=["desktop", "phone"])
def seen(request, tmp_path_factory):
    """What a reader finds on a page of that width: first as it is, then after clicks."""
    folder = tmp_path_factory.mktemp("page")
    pareto(study(["rte", NASTY]), folder / "out")
    (folder / "frame.html").write_text(FRAME.format(width=request.param), encoding="utf-8")
    result = re.search(r'<pre id="result">(.*?)</pre>', dump(folder, "frame.html"), re.DOTALL)
    found = json.loads(html.unescape(result[1]))
    assert "error" not in found, found
    return request.param, found


def test_plots_are_drawn_with_every_point(seen):
    _, found = seen
    assert found["plots"] == [True] * 6
    assert found["points"] == [6] * 3  # five and the fine-tuned model


def test_nothing_is_wider_than_the_page(seen):
    width, found = seen
    assert found["width"] == width
    assert found["content"] <= width
    assert found["content_after"] <= width


def test_plots_stand_side_by_side_or_on_a_phone_one_below_the_other(seen):
    width, found = seen
    assert len(set(found["lefts"])) == (3 if width > 1000 else 1)


def test_nothing_is_fetched_and_names_are_text(seen):
    _, found = seen
    assert found["requests"] == []
    assert found["title"].startswith("Metric against inference cost")


def test_the_legend_hides_a_method_in_all_plots(seen):
    _, found = seen
    assert found["without_first"] == [4] * 3  # PoWER-BERT has two points


def test_a_click_on_a_point_shows_its_records(seen):
    _, found = seen
    assert "on the Pareto front" in found["hover"]
    assert found["clicked"].startswith("PoWER-BERT, lambda=0.003")
    assert "153, 125, 111" in found["clicked"]
    assert "50.0 ms against 200.0 ms per batch of 128" in found["clicked"]
    assert found["ringed"] == [7] * 3


def test_the_table_does_the_same_for_keyboards(seen):
    _, found = seen
    assert found["chosen"].startswith("DistilBERT, encoders=3")
    assert found["pressed"] == 1
    assert found["focus"] == "DistilBERT, encoders=3"
