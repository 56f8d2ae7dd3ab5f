"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const COLORS = ["#56b4e9", "#009e73", "#e69f00", "#cc79a7"];
const LETTERS = ["", "B", "C", "A"];
const STEPS = ["the map as it lies", "cyclic shift (roll)", "window partition", "mask: regions apart",
  "attention in the window", "reverse: un-shifted"];
const state = { row: data.pixel[0], column: data.pixel[1], stage: 0, block: 0, head: 0 };
const picture = new Image();

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}
function half(bits) {
  const exponent = (bits >> 10) & 31, part = bits & 1023, sign = bits & 32768 ? -1 : 1;
  if (exponent === 0) return sign * part * 2 ** -24;
  if (exponent === 31) return part ? NaN : sign * Infinity;
  return sign * (1 + part / 1024) * 2 ** (exponent - 15);
}
for (const stage of data.stages) for (const block of stage.blocks) {
  block.scores = new Uint16Array(bytes(block.scores));
  block.top = new Float32Array(bytes(block.top));
  block.bias = new Float32Array(bytes(block.bias));
  if (block.rows) block.rows = new Map([...new Int32Array(bytes(block.rows))].map((p, n) => [p, n]));
}

// Geometry: where a token stands. Rows and columns count tokens of the padded map.
const modulo = (a, b) => ((a % b) + b) % b;
function shiftOf(stage, block) { return block % 2 ? stage.shift : [0, 0]; }
function placeOf(stage, shift, row, column) {
  const y = modulo(row - shift[0], stage.padded[0]), x = modulo(column - shift[1], stage.padded[1]);
  const [h, w] = stage.window;
  return { top: y - (y % h), left: x - (x % w), token: (y % h) * w + (x % w) };
}
function tokensOf(stage, shift, place) {
  const found = [];
  for (let y = 0; y < stage.window[0]; y++) for (let x = 0; x < stage.window[1]; x++)
    found.push([(place.top + y + shift[0]) % stage.padded[0], (place.left + x + shift[1]) % stage.padded[1]]);
  return found;
}
function region(shift, token) { return 2 * (token[0] < shift[0]) + 1 * (token[1] < shift[1]); }
function tokenOf(stage) {
  return [Math.floor(state.row / stage.stride), Math.floor(state.column / stage.stride)];
}
function softmax(values) {
  const top = Math.max(...values), exps = values.map((v) => Math.exp(v - top));
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map((v) => v / sum);
}
// Everything about the chosen query in one head, or null where the page does not hold its row.
function rowOf(stage, index, token, head) {
  const block = stage.blocks[index], shift = index % 2 ? stage.shift : [0, 0];
  const flat = token[0] * stage.size[1] + token[1];
  const row = block.rows ? block.rows.get(flat) : flat;
  const place = placeOf(stage, shift, ...token), tokens = tokensOf(stage, shift, place);
  const own = region(shift, token), [h, w] = stage.window, count = h * w;
  const mask = tokens.map((other) => (region(shift, other) === own ? 0 : -100));
  const y = Math.floor(place.token / w), x = place.token % w;
  const bias = tokens.map((_, t) => block.bias[
    ((y - Math.floor(t / w) + h - 1) * (2 * w - 1) + (x - (t % w)) + w - 1) * stage.heads + head]);
  if (row === undefined) return { place, tokens, mask, bias, shift, own, scores: null };
  const start = (row * stage.heads + head) * count, top = block.top[row * stage.heads + head];
  const scores = tokens.map((_, t) => top + half(block.scores[start + t]));
  return { place, tokens, mask, bias, shift, own, scores, before: softmax(scores),
    after: softmax(scores.map((v, t) => v + mask[t])) };
}
function seen(stageIndex, blockIndex, still) {
  let stage = data.stages[stageIndex], marked = new Set();
  marked.add(tokenOf(stage).join());
  for (let s = stageIndex; s >= 0; s--) {
    stage = data.stages[s];
    const last = s === stageIndex ? blockIndex : stage.blocks.length - 1;
    for (let b = last; b >= 0; b--) marked = spread(stage, b % 2 && !still ? stage.shift : [0, 0], marked);
    if (s === 0) break;
    const below = data.stages[s - 1], children = new Set();
    for (const key of marked) {
      const [r, c] = key.split(",").map(Number);
      for (const [y, x] of [[0, 0], [1, 0], [0, 1], [1, 1]])
        if (2 * r + y < below.size[0] && 2 * c + x < below.size[1]) children.add([2 * r + y, 2 * c + x].join());
    }
    marked = children;
  }
  return [...marked].map((key) => key.split(",").map(Number));
}
function spread(stage, shift, marked) {
  const done = new Set(), found = new Set();
  for (const key of marked) {
    const token = key.split(",").map(Number), place = placeOf(stage, shift, ...token);
    const own = region(shift, token), group = [place.top, place.left, own].join();
    if (done.has(group)) continue;
    done.add(group);
    for (const t of tokensOf(stage, shift, place))
      if (region(shift, t) === own && t[0] < stage.size[0] && t[1] < stage.size[1]) found.add(t.join());
  }
  return found;
}

// Drawing
function heat(share) { // black, purple, orange, yellow: dark to light for any color vision
  const stops = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
  const at = Math.min(3.999, Math.max(0, share) * 4), n = Math.floor(at), part = at - n;
  return `rgb(${stops[n].map((v, i) => Math.round(v + part * (stops[n + 1][i] - v))).join()})`;
}
function grid(canvas, values, columns, low, high) {
  canvas.width = columns; canvas.height = values.length / columns;
  const pen = canvas.getContext("2d");
  values.forEach((v, n) => {
    pen.fillStyle = v === null ? "#bbb" : heat((v - low) / (high - low || 1));
    pen.fillRect(n % columns, Math.floor(n / columns), 1, 1);
  });
}
// The blocks that are shown side by side: W-MSA and, where the stage has it, SW-MSA.
function pair() {
  const first = state.block - (state.block % 2), count = data.stages[state.stage].blocks.length;
  return first + 1 < count ? [first, first + 1] : [first];
}
function kindOf(stage, block) {
  return block % 2 && stage.shift.some(Boolean) ? `SW-MSA, shifted by ${stage.shift.join(", ")}` : "W-MSA, no roll, no mask";
}
function drawMaps() {
  const shown = pair(), stage = data.stages[state.stage];
  for (const side of [0, 1]) {
    const figure = $(`map-${side}`).parentElement;
    figure.hidden = side >= shown.length;
    if (figure.hidden) continue;
    figure.classList.toggle("chosen", shown[side] === state.block);
    $(`name-${side}`).textContent = `Block ${shown[side] + 1}: ${kindOf(stage, shown[side])}`
      + (shown[side] === state.block ? " (its rows are shown)" : "");
    drawMap($(`map-${side}`), shown[side]);
  }
}
function drawMap(canvas, block) {
  const stage = data.stages[state.stage], shift = shiftOf(stage, block);
  const view = $("view").value, step = view === "steps" ? Number($("step").value) : 0;
  const sizes = stage.padded.map((v) => v * stage.stride), zoom = Math.max(1, 900 / Math.max(...sizes));
  canvas.width = sizes[1] * zoom; canvas.height = sizes[0] * zoom;
  const pen = canvas.getContext("2d"), rolled = view === "steps" && step >= 1 && step <= 4;
  const unit = stage.stride * zoom, token = tokenOf(stage);
  const offset = rolled ? shift : [0, 0];
  const at = (r, c) => [modulo(c - offset[1], stage.padded[1]) * unit, modulo(r - offset[0], stage.padded[0]) * unit];
  pen.fillStyle = "#888"; pen.fillRect(0, 0, canvas.width, canvas.height);
  for (const y of [0, 1]) for (const x of [0, 1]) {
    const left = (x * stage.padded[1] - offset[1]) * unit, top = (y * stage.padded[0] - offset[0]) * unit;
    pen.drawImage(picture, left, top, data.size[1] * zoom, data.size[0] * zoom);
    pen.fillStyle = "#888"; // what lies beside the picture is padding
    if (sizes[1] > data.size[1]) pen.fillRect(left + data.size[1] * zoom, top, (sizes[1] - data.size[1]) * zoom, sizes[0] * zoom);
    if (sizes[0] > data.size[0]) pen.fillRect(left, top + data.size[0] * zoom, sizes[1] * zoom, (sizes[0] - data.size[0]) * zoom);
  }
  const place = placeOf(stage, shift, ...token), tokens = tokensOf(stage, shift, place);
  if (view === "steps") {
    pen.globalAlpha = 0.45;
    if (step >= 1 || shift[0] + shift[1]) for (let r = 0; r < stage.padded[0]; r++) for (let c = 0; c < stage.padded[1]; c++) {
      const own = region(shift, [r, c]);
      if (own && step < 5) { pen.fillStyle = COLORS[own]; pen.fillRect(...at(r, c), unit, unit); }
    }
    pen.globalAlpha = 1;
    if (step === 3) tokens.forEach((t) => { if (region(shift, t) !== region(shift, token)) {
      pen.fillStyle = "rgba(0,0,0,.75)"; pen.fillRect(...at(...t), unit, unit); } });
  }
  if (view === "attention" || step >= 4) paintAttention(pen, at, unit, stage, token, block);
  if (view === "field") paintField(pen, zoom, block);
  if (view !== "field") drawLines(pen, stage, rolled ? [0, 0] : shift, unit, canvas, step);
  if (view === "steps" && step < 5) drawLetters(pen, stage, shift, at, unit);
  if (view !== "field" && step !== 1) outline(pen, tokens, at, unit, "#ffffff");
  pen.lineWidth = 4; pen.strokeStyle = "#d55e00"; pen.strokeRect(...at(...token), unit, unit);
}
function paintAttention(pen, at, unit, stage, token, block) {
  const row = rowOf(stage, block, token, state.head);
  if (!row.scores) return;
  const top = Math.max(...row.after);
  pen.globalAlpha = 0.75;
  row.tokens.forEach((t, n) => { pen.fillStyle = heat(row.after[n] / top); pen.fillRect(...at(...t), unit, unit); });
  pen.globalAlpha = 1;
}
function paintField(pen, zoom, block) {
  const unit = data.patch * zoom, found = seen(state.stage, block, $("still").checked);
  pen.fillStyle = "rgba(0,0,0,.6)"; pen.fillRect(0, 0, pen.canvas.width, pen.canvas.height);
  for (const [r, c] of found) pen.clearRect(c * unit, r * unit, unit, unit);
  pen.globalCompositeOperation = "destination-over";
  pen.drawImage(picture, 0, 0, data.size[1] * zoom, data.size[0] * zoom);
  pen.globalCompositeOperation = "source-over";
}
function outline(pen, tokens, at, unit, color) {
  const own = new Set(tokens.map((t) => at(...t).map(Math.round).join()));
  pen.strokeStyle = color; pen.lineWidth = 3; pen.beginPath();
  for (const t of tokens) {
    const [x, y] = at(...t), has = (dx, dy) => own.has([Math.round(x + dx), Math.round(y + dy)].join());
    if (!has(-unit, 0)) { pen.moveTo(x, y); pen.lineTo(x, y + unit); }
    if (!has(unit, 0)) { pen.moveTo(x + unit, y); pen.lineTo(x + unit, y + unit); }
    if (!has(0, -unit)) { pen.moveTo(x, y); pen.lineTo(x + unit, y); }
    if (!has(0, unit)) { pen.moveTo(x, y + unit); pen.lineTo(x + unit, y + unit); }
  }
  pen.stroke();
}
function drawLines(pen, stage, shift, unit, canvas, step) {
  if ($("view").value === "steps" && step === 1) return;
  pen.strokeStyle = "rgba(0,0,0,.7)"; pen.lineWidth = 1.5; pen.beginPath();
  for (let y = shift[0]; y <= stage.padded[0]; y += stage.window[0]) { pen.moveTo(0, y * unit); pen.lineTo(canvas.width, y * unit); }
  for (let x = shift[1]; x <= stage.padded[1]; x += stage.window[1]) { pen.moveTo(x * unit, 0); pen.lineTo(x * unit, canvas.height); }
  pen.stroke();
}
function drawLetters(pen, stage, shift, at, unit) {
  pen.font = "bold 30px system-ui"; pen.textAlign = "center"; pen.textBaseline = "middle";
  const middle = (axis, moved) => moved ? Math.floor(shift[axis] / 2) : Math.floor((shift[axis] + stage.padded[axis]) / 2);
  for (const own of [1, 2, 3]) {
    const down = own >= 2, right = own % 2 === 1;
    if ((down && !shift[0]) || (right && !shift[1])) continue;
    const [x, y] = at(middle(0, down), middle(1, right));
    pen.lineWidth = 5; pen.strokeStyle = "#000"; pen.strokeText(LETTERS[own], x + unit / 2, y + unit / 2);
    pen.fillStyle = "#fff"; pen.fillText(LETTERS[own], x + unit / 2, y + unit / 2);
  }
}
function drawRows() {
  const stage = data.stages[state.stage], token = tokenOf(stage), columns = stage.window[1];
  const row = rowOf(stage, state.block, token, state.head), holder = $("rows");
  const shown = [["mask", row.mask, -100, 0], ["bias", row.bias, Math.min(...row.bias), Math.max(...row.bias)]];
  if (row.scores) {
    const top = Math.max(...row.before, ...row.after);
    shown.push(["scores, bias included", row.scores, Math.min(...row.scores), Math.max(...row.scores)],
      ["softmax without mask", row.before, 0, top], ["softmax with mask", row.after, 0, top]);
  }
  holder.replaceChildren(...shown.map(([name, values, low, high]) => {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    grid(canvas, values, columns, low, high);
    const range = `${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}`;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${name}, from ${range}; the arrow keys read its values`);
    readable(canvas, stage.window, (n) => {
      $("value").textContent = `${name}, key at row ${row.tokens[n][0]}, column ${row.tokens[n][1]}: ${values[n].toFixed(2)}`;
    });
    const caption = document.createElement("figcaption");
    caption.textContent = `${name}: ${range}`;
    figure.append(canvas, caption);
    return figure;
  }));
  const letter = row.own ? `region ${LETTERS[row.own]}` : "not wrapped around by a roll";
  const padded = stage.padded[0] - stage.size[0] + stage.padded[1] - stage.size[1];
  $("facts").textContent = `Patch at row ${token[0]}, column ${token[1]} of ${stage.size.join(" x ")} tokens of ${stage.channels} channels; `
    + `${kindOf(stage, state.block)}; ${letter}; `
    + `${row.mask.filter((v) => v < 0).length} of ${row.mask.length} keys masked`
    + (padded ? `; padded to ${stage.padded.join(" x ")}` : "")
    + (row.scores ? "." : ". This page does not hold the attention of this patch: make it with --patch here.");
}
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
// Cells of a small map, told one by one under the pointer or by the arrow keys.
function readable(canvas, [rows, columns], tell) {
  let row = 0, column = 0;
  const go = (y, x) => { if (y >= 0 && x >= 0 && y < rows && x < columns) { [row, column] = [y, x]; tell(y * columns + x); } };
  canvas.onpointermove = (event) => go(Math.floor(event.offsetY / canvas.clientHeight * rows),
    Math.floor(event.offsetX / canvas.clientWidth * columns));
  canvas.onfocus = () => go(row, column);
  canvas.onkeydown = (event) => {
    const way = ARROWS[event.key];
    if (way) { event.preventDefault(); go(row + way[0], column + way[1]); }
  };
}
function drawHeads() {
  const stage = data.stages[state.stage], token = tokenOf(stage), [h, w] = stage.window;
  $("heads").replaceChildren(...Array.from({ length: stage.heads }, (_, head) => {
    const row = rowOf(stage, state.block, token, head), button = document.createElement("button");
    const canvas = document.createElement("canvas"), values = row.scores ? row.after : row.tokens.map(() => null);
    grid(canvas, values, w, 0, Math.max(...values));
    button.append(canvas, ` ${head + 1}`);
    button.setAttribute("aria-label", `Head ${head + 1}`);
    button.setAttribute("aria-pressed", head === state.head);
    button.type = "button";
    button.onclick = () => { choose({ head }); $("heads").children[head].focus(); };
    return button;
  }));
}
function drawCosts() {
  const side = Number($("side").value), rows = [["stage", "4hwC²", "2M²hwC (windows)", "2(hw)²C (global)", "W-MSA : MSA"]];
  $("side-value").textContent = `${side} x ${side} pixels`;
  data.stages.forEach((stage, n) => {
    const tokens = Math.ceil(side / stage.stride) ** 2, c = stage.channels, seen = stage.window[0] * stage.window[1];
    const linear = 4 * tokens * c * c, own = 2 * seen * tokens * c, all = 2 * tokens * tokens * c;
    rows.push([n + 1, ...[linear, own, all].map((v) => `${(v / 1e6).toFixed(1)} M`), `1 : ${((linear + all) / (linear + own)).toFixed(2)}`]);
  });
  $("costs").innerHTML = rows.map((row, n) => `<tr>${row.map((cell) => n ? `<td>${cell}</td>` : `<th>${cell}</th>`).join("")}</tr>`).join("");
}
function draw() {
  const steps = $("view").value === "steps";
  $("step").disabled = $("play").disabled = !steps;
  const name = steps ? STEPS[Number($("step").value)] : "";
  if ($("step-name").textContent !== name) $("step-name").textContent = name; // it is read aloud
  $("step").setAttribute("aria-valuetext", name);
  drawMaps(); drawRows(); drawHeads();
}
function options(select, count, value) {
  select.replaceChildren(...Array.from({ length: count }, (_, n) => new Option(String(n + 1), String(n))));
  select.value = String(value);
}
function choose(change) {
  Object.assign(state, change);
  const stage = data.stages[state.stage];
  state.block = Math.min(state.block, stage.blocks.length - 1);
  state.head = Math.min(state.head, stage.heads - 1);
  options($("stage"), data.stages.length, state.stage);
  options($("block"), stage.blocks.length, state.block);
  options($("head"), stage.heads, state.head);
  draw();
}
