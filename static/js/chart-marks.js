// What is drawn over a plot: values that are no numbers, restarts, checkpoints and the best epoch.
/* global ChartWords */
(() => {
  const { colour } = ChartWords;

  function within(u, x) {
    const place = u.valToPos(x, "x", true);
    return place >= u.bbox.left && place <= u.bbox.left + u.bbox.width ? place : null;
  }

  function path(ctx, hue, points) {
    ctx.strokeStyle = colour(hue);
    ctx.beginPath();
    for (const [x, y, lifted] of points) lifted ? ctx.moveTo(x, y) : ctx.lineTo(x, y);
    ctx.stroke();
  }

  // What is not a number is shown where it happened: up for ∞, down for −∞, a cross for NaN.
  function oddDraw(u, mark, size) {
    const x = within(u, mark.x);
    if (x === null) return;
    const { top, height } = u.bbox;
    const y = mark.mark === "Infinity" ? top + size : top + height - size;
    const tip = { Infinity: -1, "-Infinity": 1 }[mark.mark];
    if (tip) path(u.ctx, mark.hue, [[x - size, y - (tip * size) / 2, true], [x, y + (tip * size) / 2], [x + size, y - (tip * size) / 2]]);
    else path(u.ctx, mark.hue, [[x - size, y - size, true], [x + size, y + size], [x + size, y - size, true], [x - size, y + size]]);
  }

  // A dashed line where an attempt began, a triangle below for a checkpoint, a diamond above for the best epoch.
  function eventDraw(u, event, size) {
    const x = within(u, event.x);
    if (x === null) return;
    const { top, height } = u.bbox;
    const end = top + height;
    if (event.kind === "attempt") {
      u.ctx.setLineDash([size, size]);
      path(u.ctx, "warn", [[x, top, true], [x, end]]);
      u.ctx.setLineDash([]);
    } else if (event.kind === "best") path(u.ctx, "good", [[x, top, true], [x + size, top + size], [x, top + 2 * size], [x - size, top + size], [x, top]]);
    else path(u.ctx, "muted", [[x - size, end, true], [x, end - 1.6 * size], [x + size, end]]);
  }

  function draw(u, odd, events) {
    const size = 4 * devicePixelRatio;
    u.ctx.save();
    u.ctx.setLineDash([]);
    u.ctx.lineWidth = 1.5 * devicePixelRatio;
    for (const event of events) eventDraw(u, event, size);
    for (const mark of odd) oddDraw(u, mark, size);
    u.ctx.restore();
  }

  globalThis.ChartMarks = { draw };
})();
