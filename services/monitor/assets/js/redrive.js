// Giving dead letters to their reaction again: first a look at each, then the decision, then how far it is.
import { html, useEffect, useState } from "./lib.js";
import { post, useApi } from "./api.js";
import { count, counted, time } from "./format.js";
import { Decide } from "./decide.js";
import { Failure } from "./parts.js";

export function Redrive({ selection, access, onStarted }) {
  const [options, setOptions] = useState({ insist: false, dryRun: false, perSecond: 50 });
  const [look, setLook] = useState({ data: null, error: null });
  useEffect(() => {
    let late = false;
    post("/api/redrives/preflight", { selection, insist: options.insist }).then(
      (data) => late || setLook({ data, error: null }),
      (error) => late || setLook({ data: null, error }),
    );
    return () => (late = true);
  }, [JSON.stringify(selection), options.insist]);
  const { data, error } = look;
  // Exactly what was looked at is redriven, even if more letters came since.
  const start = (why) =>
    post("/api/redrives", {
      ...why,
      selection: { sequences: data.go },
      per_second: options.perSecond,
      dry_run: options.dryRun,
      insist: options.insist,
    }).then(onStarted);
  return html`<div class="redrive">
    <${Failure} error=${error} />
    ${data && html`<${Looked} data=${data} />`}
    <div class="options">
      <label class="field narrow"><span>Per second</span><input type="number" min="1" max="1000" value=${options.perSecond}
        onInput=${(event) => setOptions({ ...options, perSecond: Number(event.target.value) || 1 })} /></label>
      <label class="check"><input type="checkbox" checked=${options.dryRun} onChange=${(event) => setOptions({ ...options, dryRun: event.target.checked })} /> Dry run: do everything but publish</label>
      <label class="check"><input type="checkbox" checked=${options.insist} onChange=${(event) => setOptions({ ...options, insist: event.target.checked })} /> Insist: also those with concerns, where that can work</label>
    </div>
    ${data && html`<${Decide} access=${access} disabled=${data.go.length === 0} verb=${`${options.dryRun ? "Try with" : "Redrive"} ${counted(data.go.length, "letter")}`} onDecide=${start}>
      Each event goes to its reaction only, with the same event id, so that nothing that was handled is handled twice.</${Decide}>`}
  </div>`;
}

function Looked({ data }) {
  const concerns = Object.entries(data.concerns);
  return html`<div class="looked" role="status">
    <p><b class="go">${count(data.go.length)}</b> of ${counted(data.total, "letter")} can go${concerns.length ? ". What was found:" : "; nothing speaks against it."}</p>
    ${concerns.length > 0 && html`<ul>${concerns.map(([concern, number]) => html`<li key=${concern}><b>${count(number)}</b> ${concern}</li>`)}</ul>`}
  </div>`;
}

/** The redrives under way and the last ones. */
export function Redrives({ access, version }) {
  const { data } = useApi("/api/redrives", version);
  if (!data?.length) return null;
  return html`<section class="panel"><h2>Redrives</h2>
    <ul class="redrives">${data.map((redrive) => html`<${Progress} key=${redrive.id} redrive=${redrive} access=${access} />`)}</ul></section>`;
}

function Progress({ redrive, access }) {
  const { progress } = redrive;
  const done = progress.redriven + progress.skipped + progress.failed;
  const part = (number) => ({ width: `${(100 * number) / Math.max(1, progress.total)}%` });
  const state = progress.cancelled ? "cancelled" : progress.finished ? "done" : "under way";
  return html`<li>
    <p><b>${redrive.dry_run ? "Dry run" : "Redrive"} ${redrive.id}</b> <span class="chip">${state}</span>
      ${count(done)} of ${count(progress.total)}: ${count(progress.redriven)} redriven, ${count(progress.skipped)} left alone, ${count(progress.failed)} failed
      ${!progress.finished && access.granted && html` <button onClick=${() => post(`/api/redrives/${redrive.id}/cancel`)}>Cancel</button>`}</p>
    <div class="progress parts" role="progressbar" aria-label="redriven" aria-valuemin="0" aria-valuemax=${progress.total} aria-valuenow=${done}>
      <span class="ok" style=${part(progress.redriven)}></span><span class="skip" style=${part(progress.skipped)}></span><span class="bad" style=${part(progress.failed)}></span></div>
    <p class="quiet">${redrive.by}, ${time(redrive.started_at)}: “${redrive.reason}”</p>
    ${progress.error && html`<p class="failure">${progress.error}</p>`}
  </li>`;
}
