// Tells of the first value that is no number, and where it is.
/* global SeriesStore, ChartOptions */
const notice = document.getElementById("nan-watch");
const store = SeriesStore.of(notice.dataset.source);

function firstOdd() {
  let first = null;
  for (const name of store.series.keys()) {
    for (const [attempt, data] of store.series.get(name)) {
      const i = data.mark.findIndex(Boolean);
      if (i >= 0 && (!first || data.time[i] < first.time)) first = { name, attempt, time: data.time[i], step: data.step[i], epoch: data.epoch[i], mark: data.mark[i] };
    }
  }
  return first;
}

function place({ step, epoch, attempt }) {
  const at = step >= 0 ? `step ${step}` : epoch >= 0 ? `epoch ${epoch}` : "its beginning";
  return attempt > 1 ? `${at} of attempt ${attempt}` : at;
}

function tell() {
  const odd = firstOdd();
  notice.hidden = !odd;
  if (!odd) return;
  notice.querySelector("strong").textContent = `${odd.name} became ${odd.mark.replace("Infinity", "∞")} at ${place(odd)}.`;
  notice.querySelector("a").dataset.metric = odd.name;
}

notice.querySelector("a").addEventListener("click", ({ currentTarget }) => ChartOptions.find(currentTarget.dataset.metric));
// what the server has found stands in the notices, which are replaced by every push
document.addEventListener("click", ({ target }) => {
  const link = target.closest("[data-nan] [data-metric]");
  if (link) ChartOptions.find(link.dataset.metric);
});
store.addEventListener("change", tell);
