// Sagas that wait too long or need a decision: for whom, and what can be done.
import { html, useState } from "../lib.js";
import { post, useApi } from "../api.js";
import { useBeats } from "../live.js";
import { counted, duration, short } from "../format.js";
import { Failure, Questions, Service, State } from "../parts.js";
import { Decide, RetryUndo } from "../decide.js";

export function Stuck({ access }) {
  const [acted, setActed] = useState(0);
  const beats = useBeats();
  const { data, error } = useApi("/api/stuck", `${beats}/${acted}`);
  const { data: questions } = useApi("/api/questions", beats);
  return html`
    <h1>Stuck and needs review</h1>
    <p class="lead">Sagas that have waited for longer than <code>stuck_after</code>, and those whose undo failed. A stuck saga goes on by itself when the service that it waits for is back.</p>
    <${Failure} error=${error} />
    ${data && (data.length ? html`<${ByService} sagas=${data} access=${access} onDone=${() => setActed(acted + 1)} />` : html`<p class="fine big">Nothing is stuck.</p>`)}
    ${questions?.length > 0 && html`<${Questions} questions=${questions} linked=${true} />`}
  `;
}

/** By whom they wait for: one service that is down is one problem, not a thousand. */
function ByService({ sagas, access, onDone }) {
  const groups = new Map();
  for (const saga of sagas) {
    const key = saga.state === "needs-review" ? "" : saga.waits_on.join(", ");
    groups.set(key, [...(groups.get(key) ?? []), saga]);
  }
  return [...groups].map(([services, sagas]) => html`<section class="panel stuck" key=${services}>
    <h2>${services ? html`${counted(sagas.length, "saga")} ${sagas.length === 1 ? "waits" : "wait"} for ${services.split(", ").map((name) => html`<${Service} key=${name} name=${name} /> `)}` : `${counted(sagas.length, "saga")} to decide about`}</h2>
    <ul>${sagas.slice(0, 100).map((saga) => html`<${One} key=${saga.saga} saga=${saga} access=${access} onDone=${onDone} />`)}</ul>
    ${sagas.length > 100 && html`<p><a href=${`/sagas?state=stuck&service=${services}`}>All ${sagas.length}</a></p>`}
  </section>`);
}

function One({ saga, access, onDone }) {
  const [open, setOpen] = useState(false);
  return html`<li>
    <div class="line"><${State} state=${saga.state} /> <a class="key" href=${`/sagas/${saga.saga}`} title=${saga.key}>${short(saga.key)}</a>
      <span class="sentence">${saga.waits_for ?? `last step ${saga.step}`}</span>
      <span class="quiet">${duration(saga.age_ms)} old</span>
      ${saga.dead_letters > 0 && html`<a class="chip" href=${`/dead-letters?saga=${saga.saga}`}>${counted(saga.dead_letters, "dead letter")}</a>`}
      <button aria-expanded=${open} onClick=${() => setOpen(!open)}>Decide…</button></div>
    ${open && html`<div class="opened">
      ${saga.state === "needs-review"
        ? html`<${RetryUndo} saga=${saga.saga} access=${access} onDone=${onDone} />`
        : saga.dead_letters > 0 && html`<p><a href=${`/dead-letters?saga=${saga.saga}`}>Redrive its dead letters</a> to try what failed once more.</p>`}
      <${Decide} access=${access} verb="Resolve" onDecide=${(who) => post(`/api/sagas/${saga.saga}/resolve`, who).then(onDone)}>
        Says that nothing more has to happen in this saga: it was settled in another way. Nothing is published to the services.</${Decide}></div>`}
  </li>`;
}
