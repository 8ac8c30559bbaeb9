// Charts: <div data-chart="id of a JSON script" data-kind="area|line">, points as {time: unix seconds, value: number}.

import { AreaSeries, LineSeries, createChart } from "./vendor/lightweight-charts-5.2.1.js";

const drawn = new Map();

function colour(name) {
  // lightweight-charts reads hex and rgb() only; a canvas turns whatever the theme says into one of them.
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  context.fillRect(0, 0, 1, 1);
  const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
  return (alpha) => `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

function looks() {
  const text = colour("--color-base-content");
  const line = colour("--color-primary");
  return {
    chart: {
      autoSize: true,
      layout: {
        attributionLogo: false, // the credit stands in text under the chart
        background: { color: "transparent" },
        textColor: text(0.8),
        fontFamily: getComputedStyle(document.body).fontFamily,
      },
      grid: { vertLines: { visible: false }, horzLines: { color: text(0.1) } },
      rightPriceScale: { borderVisible: false },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false },
      crosshair: { vertLine: { labelBackgroundColor: line(1) }, horzLine: { labelBackgroundColor: line(1) } },
    },
    series: { lineWidth: 2, lineColor: line(1), color: line(1), topColor: line(0.25), bottomColor: line(0.02) },
  };
}

// The library draws UTC; the rest of the page speaks the reader's zone.
function inZone(timeZone) {
  const written = (parts) => new Intl.DateTimeFormat("en-GB", { timeZone, ...parts });
  const clock = written({ hour: "2-digit", minute: "2-digit" });
  const day = written({ day: "numeric", month: "short" });
  const month = written({ month: "short", year: "numeric" });
  const full = written({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const byKind = [month, month, day, clock, clock]; // the library's tick kinds: year, month, day, time, time with seconds
  return {
    localization: { timeFormatter: (seconds) => full.format(seconds * 1000) },
    timeScale: { tickMarkFormatter: (seconds, kind) => byKind[kind].format(seconds * 1000) },
  };
}

function draw(element) {
  const source = document.getElementById(element.dataset.chart);
  if (!source) return;
  const points = JSON.parse(source.textContent);
  if (!points.length) return;
  const style = looks();
  const chart = createChart(element, style.chart);
  if (element.dataset.zone) chart.applyOptions(inZone(element.dataset.zone));
  const series = chart.addSeries(element.dataset.kind === "line" ? LineSeries : AreaSeries, style.series);
  series.setData(points);
  chart.timeScale().fitContent();
  drawn.set(element, { chart, series });
}

function redraw() {
  const style = looks();
  for (const { chart, series } of drawn.values()) {
    chart.applyOptions(style.chart);
    series.applyOptions(style.series);
  }
}

function drawAll() {
  for (const [element, { chart }] of drawn) {
    if (element.isConnected) continue;
    chart.remove();
    drawn.delete(element);
  }
  for (const element of document.querySelectorAll("[data-chart]")) if (!drawn.has(element)) draw(element);
}

drawAll();
document.addEventListener("themechange", redraw);
document.addEventListener("refreshed", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
