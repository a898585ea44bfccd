"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const canvas = document.getElementById("timeline"), told = document.getElementById("told");
  const pen = canvas.getContext("2d");
  const perRun = 7, left = 150, above = 22, maxTall = 16000;
  const peers = data.peers || [], runs = data.runs || [], down = data.down || [], marks = data.marks || [], builds = data.builds || [];
  const end = Math.max(data.end, 1);
  // A row has 3 pixels a slot, and is high enough for its name where that fits.
  const rows = peers.map(p => Math.max(14, 3 * p.lanes + 2));
  const total = rows.reduce((a, b) => a + b, 0);
  const squeeze = Math.min(1, (maxTall - above) / Math.max(total, 1));
  const tops = []; let tall = above;
  for (const h of rows) { tops.push(tall); tall += h * squeeze; }
  let from = 0, to = end;

  // Red is for what was cut short.
  const colour = (build, dark) => `hsl(${30 + (180 + build * 137.5) % 300} ${dark ? "45% 55%" : "55% 52%"})`;
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  const x = ms => left + (ms - from) / (to - from) * (canvas.clientWidth - left - 8);

  const time = ms => ms === 0 ? "0" : ms >= 60000 ? (ms / 60000).toFixed(2) + " min" : ms >= 1000 ? (ms / 1000).toFixed(2) + " s" : ms.toFixed(1) + " ms";

  function ticks() {
    let step = Math.pow(10, Math.floor(Math.log10((to - from) / 8)));
    for (const f of [2, 2.5, 2]) if ((to - from) / step > 10) step *= f;
    const all = [];
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) all.push(t);
    return all;
  }

  function draw() {
    const ratio = tall * devicePixelRatio > maxTall ? 1 : devicePixelRatio, width = canvas.clientWidth, dark = isDark();
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.round(tall * ratio);
    canvas.style.height = tall + "px";
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, tall);
    pen.font = "11px system-ui, sans-serif";
    const ink = css("--ink"), faint = css("--faint"), rule = css("--rule"), shade = css("--shade"), alarm = css("--alarm"), turn = css("--turn");
    pen.save();
    pen.beginPath(); pen.rect(left, 0, width - left, tall); pen.clip();
    pen.fillStyle = shade;
    for (let i = 0; i < down.length; i += 3) {
      const row = down[i];
      pen.fillRect(x(down[i + 1]), tops[row], x(down[i + 2]) - x(down[i + 1]), rows[row] * squeeze - 1);
    }
    for (let i = 0; i < runs.length; i += perRun) drawRun(i, dark, alarm);
    pen.lineWidth = 1;
    for (const m of marks) {
      pen.strokeStyle = m.kind === 1 ? turn : alarm;
      const at = x(m.at), whole = m.peer < 0 || m.kind === 1;
      pen.globalAlpha = whole ? .55 : 1;
      pen.beginPath();
      pen.moveTo(at, whole ? above : tops[m.peer]);
      pen.lineTo(at, whole ? tall : tops[m.peer] + rows[m.peer] * squeeze);
      pen.stroke();
    }
    pen.globalAlpha = 1;
    pen.restore();
    pen.fillStyle = faint;
    for (const t of ticks()) {
      pen.fillText(time(t), x(t) + 2, 12);
      pen.fillRect(x(t), 14, 1, 6);
    }
    pen.fillStyle = rule;
    pen.fillRect(left, above - 1, width - left, 1);
    pen.fillStyle = ink;
    let last = -99;
    peers.forEach((p, i) => {
      const at = tops[i] + Math.min(rows[i] * squeeze, 14) - 3;
      if (at - last >= 10) { pen.fillText(p.name.length > 22 ? p.name.slice(0, 21) + "…" : p.name, 4, at); last = at; }
    });
  }

  function box(i) {
    const row = runs[i], h = rows[row] * squeeze, lane = Math.max(1, (h - 2) / peers[row].lanes);
    const begin = x(runs[i + 2]), wide = Math.max(.7, x(runs[i + 3]) - begin);
    return [begin, tops[row] + runs[i + 1] * lane, wide, Math.max(1, lane > 2 ? lane - .5 : lane)];
  }

  function drawRun(i, dark, alarm) {
    if (runs[i + 3] < from || runs[i + 2] > to) return;
    const [bx, by, bw, bh] = box(i), how = runs[i + 6];
    pen.fillStyle = how === 3 ? alarm : colour(runs[i + 4], dark);
    pen.fillRect(bx, by, bw, bh);
    if (how === 2) { pen.strokeStyle = alarm; pen.lineWidth = 1; pen.strokeRect(bx, by, bw, bh); }
  }

  function tell(event) {
    const r = canvas.getBoundingClientRect(), px = event.clientX - r.left, py = event.clientY - r.top;
    for (let i = runs.length - perRun; i >= 0; i -= perRun) {
      const [bx, by, bw, bh] = box(i);
      if (px >= bx - 1 && px <= bx + bw + 1 && py >= by && py <= by + bh) {
        const how = ["still running", "done", "failed", "cut short"][runs[i + 6]];
        told.textContent = `${data.steps[runs[i + 5]]} of ${builds[runs[i + 4]]} on ${peers[runs[i]].name}: ${time(runs[i + 2])} to ${time(runs[i + 3])}, ${how}`;
        return;
      }
    }
    for (const m of marks) if (Math.abs(x(m.at) - px) < 3) { told.textContent = m.text; return; }
    const row = tops.findLastIndex(t => t <= py);
    told.textContent = row < 0 ? "" : `${peers[row].name}: ${peers[row].about}`;
  }

  function clamp(a, b) {
    const span = Math.min(Math.max(b - a, 1), end);
    from = Math.min(Math.max(0, a), end - span);
    to = from + span;
    draw();
  }

  canvas.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) return;
    event.preventDefault();
    const r = canvas.getBoundingClientRect(), share = (event.clientX - r.left - left) / (r.width - left - 8), at = from + share * (to - from);
    const by = event.deltaY > 0 ? 1.25 : .8;
    clamp(at - (at - from) * by, at + (to - at) * by);
  }, { passive: false });
  let dragged = null;
  canvas.addEventListener("pointerdown", event => { dragged = { at: event.clientX, from, to }; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { dragged = null; });
  canvas.addEventListener("pointermove", event => {
    if (!dragged) { tell(event); return; }
    const by = (dragged.at - event.clientX) / (canvas.clientWidth - left - 8) * (dragged.to - dragged.from);
    clamp(dragged.from + by, dragged.to + by);
  });
  canvas.addEventListener("dblclick", () => clamp(0, end));
  canvas.addEventListener("keydown", event => {
    const span = to - from, step = { ArrowLeft: -.2, ArrowRight: .2 }[event.key], zoom = { "+": .8, "-": 1.25 }[event.key];
    if (step) clamp(from + step * span, to + step * span);
    if (zoom) clamp((from + to) / 2 - span * zoom / 2, (from + to) / 2 + span * zoom / 2);
  });
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  const legend = document.getElementById("legend"), maxNamed = 24;
  builds.slice(0, maxNamed).forEach((name, i) => {
    const item = document.createElement("span"), dot = document.createElement("i");
    dot.style.background = colour(i, isDark());
    item.append(dot, name);
    legend.append(item);
  });
  if (builds.length > maxNamed) legend.append(`and ${builds.length - maxNamed} more builds`);
  draw();
  document.body.dataset.drawn = String(runs.length / perRun);
})();
