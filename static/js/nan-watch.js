// Tells of the first value that is no number, and where it is.
/* global SeriesStore, ChartOptions, gettext */
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
  if (attempt > 1) {
    if (step >= 0) return gettext("step %(step)s of attempt %(attempt)s", { step, attempt });
    if (epoch >= 0) return gettext("epoch %(epoch)s of attempt %(attempt)s", { epoch, attempt });
    return gettext("the beginning of attempt %(attempt)s", { attempt });
  }
  if (step >= 0) return gettext("step %(step)s", { step });
  return epoch >= 0 ? gettext("epoch %(epoch)s", { epoch }) : gettext("its beginning");
}

function tell() {
  const odd = firstOdd();
  notice.hidden = !odd;
  if (!odd) return;
  notice.querySelector("strong").textContent = gettext("%(metric)s became %(value)s at %(place)s.", { metric: odd.name, value: odd.mark.replace("Infinity", "∞"), place: place(odd) });
  notice.querySelector("a").dataset.metric = odd.name;
}

notice.querySelector("a").addEventListener("click", ({ currentTarget }) => ChartOptions.find(currentTarget.dataset.metric));
// what the server has found stands in the notices, which are replaced by every push
document.addEventListener("click", ({ target }) => {
  const link = target.closest("[data-nan] [data-metric]");
  if (link) ChartOptions.find(link.dataset.metric);
});
store.addEventListener("change", tell);
