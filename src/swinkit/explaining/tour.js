"use strict";
const TOUR = [
  ["A picture becomes patches: each small square is one token. Click one, or use the arrow keys.", { stage: 0, block: 0 }, "steps", 0],
  ["W-MSA: the map is cut into windows, and a token attends to those of its own window alone.", { stage: 0, block: 0 }, "steps", 2],
  ["The next block is SW-MSA, with shifted windows: they lie half of their side, rounded down, further down and right. The strips at the top (C) and left (B) and their corner (A), and what is cut off at the right and bottom, would be small windows of their own.", { stage: 0, block: 1 }, "steps", 0],
  ["The cyclic shift moves all tokens up and left by as much instead; what leaves at the top or left comes back in at the bottom or right. So all windows are whole again: there are as many as before, and all are computed at once.", { stage: 0, block: 1 }, "steps", 1],
  ["Now the windows at the lower and right edge hold tokens of several regions, from opposite edges of the picture.", { stage: 0, block: 1 }, "steps", 2],
  ["The mask adds -100 to the score of two tokens of different regions: after softmax the weight between them is practically 0.", { stage: 0, block: 1 }, "steps", 3],
  ["Scores, bias and mask go through softmax: this is where the chosen patch looks.", { stage: 0, block: 1 }, "steps", 4],
  ["After its attention each shifted block rolls every token back to its place in the picture; the next shifted block rolls again.", { stage: 0, block: 1 }, "steps", 5],
  ["Patch merging joins each square of 2 x 2 tokens into one with twice the channels, so height and width are halved: the same window covers twice the side in the next stage.", { stage: 1, block: 0 }, "attention", 0],
  ["After a few blocks a token has seen most of the picture. Tick “receptive field without the shift”: then, windows of a stage never exchange a thing; merging alone widens the view.", { stage: 1, block: 1 }, "field", 0],
];
let stop = -1;
function visit(next) {
  pause();
  stop = Math.max(0, Math.min(TOUR.length - 1, next));
  const [text, change, view, step] = TOUR[stop];
  $("tour").textContent = `${stop + 1} of ${TOUR.length}. ${text}`;
  $("view").value = view; $("step").value = step;
  choose({ ...change, stage: Math.min(change.stage, data.stages.length - 1) });
}
function start() {
  for (const name of ["stage", "block", "head"]) $(name).onchange = (event) => choose({ [name]: Number(event.target.value) });
  for (const name of ["view", "still"]) $(name).onchange = () => { pause(); draw(); };
  $("step").oninput = () => { pause(); draw(); }; $("side").oninput = drawCosts;
  $("tour-next").onclick = () => visit(stop + 1); $("tour-back").onclick = () => visit(stop - 1);
  $("play").onclick = () => (timer ? pause() : play());
  for (const side of [0, 1]) {
    $(`map-${side}`).onclick = (event) => pick(event, side);
    $(`map-${side}`).onkeydown = (event) => press(event, side);
  }
  drawCosts(); visit(0);
}
let timer = 0;
function play() { // both maps at once, from the first step
  $("step").value = 0; draw();
  timer = setInterval(() => { stepBy(1); if (Number($("step").value) >= 5) pause(); }, 1100);
  $("play").textContent = "Pause";
}
function pause() { clearInterval(timer); timer = 0; $("play").textContent = "Play"; }
function stepBy(count) { $("step").value = Number($("step").value) + count; draw(); }
function pick(event, side) {
  const stage = data.stages[state.stage], canvas = event.target, step = Number($("step").value), block = pair()[side];
  const rolled = $("view").value === "steps" && step >= 1 && step <= 4, shift = rolled ? shiftOf(stage, block) : [0, 0];
  const row = Math.floor(event.offsetY / canvas.clientHeight * stage.padded[0]) + shift[0];
  const column = Math.floor(event.offsetX / canvas.clientWidth * stage.padded[1]) + shift[1];
  move(row % stage.padded[0], column % stage.padded[1], block);
}
function press(event, side) {
  const way = ARROWS[event.key], steps = { PageDown: 1, PageUp: -1 }[event.key];
  if (!way && !steps && event.key !== " ") return;
  event.preventDefault();
  const [row, column] = tokenOf(data.stages[state.stage]);
  if (way) move(row + way[0], column + way[1], pair()[side]);
  else if ($("step").disabled) return;
  else if (steps) { pause(); stepBy(steps); }
  else $("play").click();
}
function move(row, column, block) {
  const stage = data.stages[state.stage];
  if (row < 0 || column < 0 || row >= stage.size[0] || column >= stage.size[1]) return;
  choose({ row: row * stage.stride, column: column * stage.stride, block });
}
picture.onload = start;
picture.src = data.image;
