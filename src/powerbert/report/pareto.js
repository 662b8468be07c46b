"use strict";

// data: for each section, the plots as Plotly's JSON and the points with the facts of their records.
const data = JSON.parse(document.getElementById("data").textContent);
const scheme = matchMedia("(prefers-color-scheme: dark)");
const FONT = { family: "system-ui, sans-serif", size: 12 };
const touch = matchMedia("(pointer: coarse)").matches;

if (matchMedia("(max-width: 36rem)").matches) document.querySelector(".reading").open = false;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The plot in the page's colours; points that are not on the front are hollow.
function themed(plot) {
  const [ink, soft, line, card] = ["--ink", "--soft", "--line", "--card"].map(colour);
  const axis = { color: soft, gridcolor: line, linecolor: soft, tickcolor: line };
  plot.data.forEach((trace) => {
    if (trace.meta) {
      trace.marker.color = trace.meta.map((front) => (front ? trace.line.color : card));
    } else {
      trace.marker.color = trace.marker.line.color = ink;
      if (trace.error_y) trace.error_y.color = ink;
    }
  });
  Object.assign(plot.layout, {
    paper_bgcolor: card,
    plot_bgcolor: card,
    dragmode: touch ? false : "zoom",
    font: { ...FONT, color: ink },
    hoverlabel: { ...plot.layout.hoverlabel, bgcolor: card, bordercolor: soft, font: { ...FONT, color: ink } },
  });
  Object.assign(plot.layout.xaxis, axis);
  Object.assign(plot.layout.yaxis, axis);
  plot.layout.shapes[0].line.color = ink;
  return plot;
}

function cell(tag, text, span) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (span) element.colSpan = span;
  return element;
}

// One line a fact, one column a record; what all records share stands once.
function recordsTable(point) {
  const table = document.createElement("table");
  for (const [name, values] of point.facts) {
    const row = table.insertRow();
    const head = cell("th", name);
    head.scope = "row";
    const shared = values.every((value) => value === values[0]);
    row.append(head, ...(shared ? [cell("td", values[0], values.length)] : values.map((v) => cell("td", v))));
  }
  return table;
}

document.querySelectorAll("section[data-section]").forEach((section) => {
  const { plots, points } = data[Number(section.dataset.section)];
  const panes = [...section.querySelectorAll(".plot")];
  const details = section.querySelector(".details");
  const buttons = [...section.querySelectorAll("button[data-point]")];

  function select(place) {
    const heading = cell("h3", points[place].title);
    heading.tabIndex = -1;
    const scroller = document.createElement("div");
    scroller.className = "scroll";
    scroller.tabIndex = 0;
    scroller.append(recordsTable(points[place]));
    details.replaceChildren(heading, scroller);
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.point) === place));
    }
    panes.forEach((pane, number) => {
      const traces = plots[number].data;
      const trace = traces.find((t) => t.customdata && t.customdata.includes(place));
      const index = trace.customdata.indexOf(place);
      Plotly.restyle(pane, { x: [[trace.x[index]]], y: [[trace.y[index]]] }, [traces.length - 1]);
    });
    const { top } = details.getBoundingClientRect();
    if (top < 0 || top > 0.7 * innerHeight) details.scrollIntoView();
    return heading;
  }

  panes.forEach((pane, number) => {
    const { data: traces, layout } = themed(plots[number]);
    Plotly.newPlot(pane, traces, layout, { responsive: true, displayModeBar: false });
    pane.on("plotly_click", (event) => {
      const place = event.points[0].customdata;
      if (place !== undefined) select(place);
    });
  });

  for (const button of buttons) {
    button.addEventListener("click", () => select(Number(button.dataset.point)).focus({ preventScroll: true }));
  }

  section.querySelectorAll("button[data-trace]").forEach((button) => {
    button.addEventListener("click", () => {
      const visible = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(visible));
      for (const pane of panes) Plotly.restyle(pane, { visible }, [Number(button.dataset.trace)]);
    });
  });

  scheme.addEventListener("change", () => {
    panes.forEach((pane, number) => {
      const { data: traces, layout } = themed(plots[number]);
      Plotly.react(pane, traces, layout);
    });
  });
});
