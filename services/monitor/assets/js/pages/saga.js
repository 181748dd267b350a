// One saga: what happened, what it waits for, what was done and undone.
import { html, useState } from "../lib.js";
import { download, post, useApi } from "../api.js";
import { useBeats } from "../live.js";
import { counted, duration, time } from "../format.js";
import { Copy, Empty, Failure, Questions, Service, State } from "../parts.js";
import { Timeline } from "../timeline.js";
import { Sequence } from "../sequence.js";
import { Decide, RetryUndo } from "../decide.js";
import { LetterRow } from "../letter.js";

const OPEN = ["in-progress", "compensating", "stuck", "needs-review"];

export function Saga({ id, access }) {
  const [known, setKnown] = useState(null);
  const [acted, setActed] = useState(0);
  // What waits gets older, so an open saga is looked at with every beat.
  const beats = useBeats((beat) => !known || known.open || beat.sagas.includes(known.saga));
  const { data, error } = useApi(`/api/sagas/${encodeURIComponent(id)}`, `${beats}/${acted}`);
  if (!data) return error ? html`<${NotFound} id=${id} error=${error} />` : html`<p class="empty" role="status">Looking…</p>`;
  const { report } = data;
  const { summary } = report;
  if (known?.saga !== summary.saga || known.open !== OPEN.includes(summary.state)) {
    setKnown({ saga: summary.saga, open: OPEN.includes(summary.state) });
  }
  return html`
    <${Head} data=${data} />
    ${report.outstanding.length > 0 && html`<${Waits} report=${report} />`}
    ${report.questions.length > 0 && html`<${Questions} questions=${report.questions} />`}
    <div class="two">
      <div class="main">
        <section class="panel"><h2>Timeline</h2><${Timeline} report=${report} access=${access} /></section>
        <section class="panel"><h2>Who told whom</h2><${Sequence} report=${report} /></section>
      </div>
      <div class="side">
        <section class="panel"><h2>Done and undone</h2><${Effects} effects=${report.effects} /></section>
        ${report.items && html`<section class="panel"><h2>Items</h2><${Items} steps=${report.items} /></section>`}
        ${report.dead_letters.length > 0 && html`<section class="panel"><h2>Dead letters</h2>
          <ul class="letters">${report.dead_letters.map((letter) => html`<${LetterRow} key=${letter.sequence} letter=${letter} access=${access} />`)}</ul></section>`}
        <section class="panel"><h2>Declared against observed</h2><${Deviations} deviations=${report.deviations} /></section>
        <section class="panel"><h2>Decisions</h2><${Decisions} decisions=${report.decisions} />
          ${summary.state === "needs-review" && html`<${RetryUndo} saga=${summary.saga} access=${access} onDone=${() => setActed(acted + 1)} />`}
          ${OPEN.includes(summary.state) && html`<${Resolve} saga=${summary.saga} access=${access} onDone=${() => setActed(acted + 1)} />`}</section>
        <section class="panel"><h2>As a test case</h2><${TestCases} report=${report} /></section>
      </div>
    </div>
  `;
}

function NotFound({ id, error }) {
  return html`<section class="panel"><h1>Nothing is known of ${id}</h1><${Failure} error=${error} />
    <p>Sagas are forgotten when the stream has forgotten their events. <a href=${`/sagas?text=${encodeURIComponent(id)}`}>Look for keys that contain it.</a></p></section>`;
}

function Head({ data: { report, trace, trace_url: traceUrl, also } }) {
  const { summary } = report;
  return html`<header class="head">
    <div><h1>${summary.name ?? "saga"} <${Copy} text=${summary.key} /></h1>
      <p class="quiet">saga <${Copy} text=${summary.saga} /> · started ${time(summary.started_at)} ·
        ${report.ended_at ? ` took ${duration(summary.age_ms)}` : ` ${duration(summary.age_ms)} old`} · ${counted(summary.events, "event")}
        ${trace && html` · trace ${traceUrl ? html`<a href=${traceUrl} target="_blank" rel="noreferrer">${trace}</a>` : html`<${Copy} text=${trace} />`}`}</p>
      ${also.length > 0 && html`<p class="quiet">Also called so: ${also.slice(0, 5).map((saga) => html`<a href=${`/sagas/${saga}`}>${saga}</a> `)}</p>`}
      ${report.events_dropped > 0 && html`<p class="notice">${counted(report.events_dropped, "later event")} of this saga are not kept here.</p>`}</div>
    <div class="outcome"><${State} state=${summary.state} />${report.outcome && html`<span class="event">${report.outcome}</span>`}</div>
  </header>`;
}

function Waits({ report }) {
  return html`<section class="panel waiting ${report.outstanding.some((wait) => wait.overdue) ? "overdue" : ""}">
    <h2>What it waits for</h2>
    <ul>${report.outstanding.map(
      (wait) => html`<li key=${`${wait.service}/${wait.reaction}/${wait.on}/${wait.awaits}/${wait.dead_letter}/${wait.overdue}`} class=${wait.overdue ? "overdue" : ""}>
        <p>${wait.service && html`<${Service} name=${wait.service} /> `}<span class="sentence">${wait.sentence}</span>
          ${wait.undo && html` <span class="chip undo">undo</span>`}
          ${wait.dead_letter && html` <a class="chip" href=${`/dead-letters?sequence=${wait.dead_letter}`}>dead letter ${wait.dead_letter}</a>`}</p>
        <div class="progress" role="progressbar" aria-label="of the time until it is stuck" aria-valuemin="0" aria-valuemax=${wait.stuck_after_ms} aria-valuenow=${Math.min(wait.waited_ms, wait.stuck_after_ms)}>
          <span style=${{ width: `${Math.min(100, (100 * wait.waited_ms) / Math.max(1, wait.stuck_after_ms))}%` }}></span></div>
      </li>`,
    )}</ul>
  </section>`;
}

const FATES = {
  armed: "would be undone by",
  kept: "stands for good",
  undoing: "is being undone by",
  undone: "was undone by",
  presumed: "undo has run, presumably:",
  failed: "could not be undone by",
};

function Effects({ effects }) {
  if (!effects.length) return html`<${Empty}>Nothing that could be undone.</${Empty}>`;
  return html`<ul class="effects">${effects.map(
    (effect) => html`<li key=${effect.done_sequence} class=${effect.fate}>
      <span class="mark" aria-hidden="true"></span>
      <div><span class="event">${effect.done}</span> <${Service} name=${effect.service} />
        ${effect.external && html`<span class="chip" title="calls something outside of the service's database">effect</span>`}
        <p class="quiet">${FATES[effect.fate]} ${effect.fate !== "kept" && html`<code>${effect.undo}</code>`}</p></div>
    </li>`,
  )}</ul>`;
}

/** How far a saga's items are: a row for each reaction that runs once for each of them. */
function Items({ steps }) {
  return html`<ul class="item-steps">${steps.map(
    (step) => html`<li key=${`${step.service}/${step.reaction}`}><code>${step.reaction}</code> <${Service} name=${step.service} />
      <p class="quiet">${step.sentence}</p></li>`,
  )}</ul>`;
}

function Deviations({ deviations }) {
  if (!deviations.length) return html`<p class="fine">Everything happened as declared.</p>`;
  return html`<ul class="deviations">${deviations.map(
    (deviation) => html`<li key=${deviation.sequence}><span class="event">${deviation.event}</span> ${deviation.what}</li>`,
  )}</ul>`;
}

function Decisions({ decisions }) {
  if (!decisions.length) return html`<${Empty}>Nobody had to decide anything.</${Empty}>`;
  return html`<ul class="decisions">${decisions.map(
    (decision) => html`<li key=${decision.id}><b>${decision.action}</b>${decision.reaction && html` ${decision.service}/${decision.reaction}`} by ${decision.by}
      <span class="quiet"> ${time(decision.at)}</span><p>“${decision.reason}”</p></li>`,
  )}</ul>`;
}

function Resolve({ saga, access, onDone }) {
  const resolve = (why) => post(`/api/sagas/${saga}/resolve`, why).then(onDone);
  return html`<${Decide} access=${access} verb="Resolve" onDecide=${resolve}>
    Says that nothing more has to happen here. Nothing is published to the services.</${Decide}>`;
}

function TestCases({ report }) {
  const services = [...new Set(report.timeline.map((event) => event.source))].sort();
  return html`<p class="quiet">What one service saw and said, for <code>pavane-testkit</code>:</p>
    <p class="links">${services.map((service) => html`<button key=${service} class="link"
      onClick=${() => download(`/api/sagas/${report.summary.saga}/test-case?service=${service}`, `saga_${service}.rs`)}>${service}</button>`)}</p>`;
}
