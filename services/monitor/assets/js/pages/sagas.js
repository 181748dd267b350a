// Every saga on a line, and how all of them do.
import { html, useEffect, useState } from "../lib.js";
import { address, useApi } from "../api.js";
import { useBeats, useLive } from "../live.js";
import { navigate, withParameters } from "../route.js";
import { count, counted, duration, rate, short, time } from "../format.js";
import { Bars, Choice, Empty, Failure, Service, STATES, State, Text, words } from "../parts.js";

export function Sagas({ parameters }) {
  const { overview } = useLive();
  const beats = useBeats();
  const { data, error } = useApi(address("/api/sagas", parameters), beats);
  return html`
    ${overview && html`<${Glance} overview=${overview} parameters=${parameters} />`}
    <${Filters} parameters=${parameters} overview=${overview} />
    <${Failure} error=${error} />
    ${data && html`<${List} page=${data} parameters=${parameters} />`}
  `;
}

function Glance({ overview, parameters }) {
  const total = STATES.reduce((sum, state) => sum + (overview.states[state] ?? 0), 0);
  return html`<section class="glance" aria-label="All sagas at a glance">
    <div class="strip" aria-hidden="true">
      ${STATES.map((state) => {
        const number = overview.states[state] ?? 0;
        return number > 0 && html`<span key=${state} class=${state} style=${{ flexGrow: Math.max(number / total, 0.012) }}></span>`;
      })}
    </div>
    <ul class="tiles">
      ${STATES.map((state) => {
        const number = overview.states[state] ?? 0;
        const chosen = parameters.state === state;
        return html`<li key=${state}>
          <a class="tile ${state} ${number ? "" : "none"}" href=${withParameters({ state: chosen ? "" : state, before: "" })}
            aria-pressed=${chosen}><b>${count(number)}</b><span>${words(state)}</span></a>
        </li>`;
      })}
    </ul>
    <div class="columns">
      <div class="panel"><h2>On their way, by last step</h2>
        <${Bars} counts=${overview.steps} of="sagas on their way" href=${(step) => withParameters({ step, before: "" })} /></div>
      <div class="panel"><h2>Failed, by what made them fail</h2>
        <${Bars} counts=${overview.failed_by} of="failed sagas" href=${(event) => event.includes(".") && withParameters({ event, before: "" })} /></div>
      <div class="panel numbers"><h2>Right now</h2>
        <dl>
          <dt>started</dt><dd>${rate(overview.started_per_second)}</dd>
          <dt>ended</dt><dd>${rate(overview.ended_per_second)}</dd>
          <dt>events read</dt><dd>${count(overview.events)}</dd>
          <dt>dead letters</dt><dd><a href="/dead-letters">${count(overview.dead_letters)}</a></dd>
        </dl></div>
    </div>
  </section>`;
}

function Filters({ parameters, overview }) {
  const { data: graph } = useApi("/api/choreography", overview?.services.length ?? 0);
  const [text, setText] = useState(parameters.text ?? "");
  useEffect(() => setText(parameters.text ?? ""), [parameters.text]);
  const set = (changes) => navigate(withParameters({ ...changes, before: "" }));
  const events = (graph?.nodes ?? []).filter((node) => node.kind === "event").map((node) => node.name);
  const given = Object.keys(parameters).filter((name) => !["before", "limit"].includes(name));
  return html`<form class="filters" onSubmit=${(event) => (event.preventDefault(), set({ text }))}>
    <${Text} label="Id or key" value=${text} onInput=${setText} type="search" onBlur=${() => text !== (parameters.text ?? "") && set({ text })} />
    <${Choice} label="State" value=${parameters.state} options=${STATES} onChoose=${(state) => set({ state })} />
    <${Choice} label="Waits for service" value=${parameters.service} options=${overview?.services ?? []} onChoose=${(service) => set({ service })} />
    <${Choice} label="Has event" value=${parameters.event} options=${events} onChoose=${(event) => set({ event })} />
    <${Choice} label="Last step" value=${parameters.step} options=${events} onChoose=${(step) => set({ step })} />
    ${parameters.reaction && html`<a class="chip" href=${withParameters({ reaction: "", before: "" })}>waits for ${parameters.reaction} ✕</a>`}
    ${given.length > 0 && html`<a class="clear" href="/sagas">Show all</a>`}
  </form>`;
}

function List({ page, parameters }) {
  if (!page.sagas.length) return html`<${Empty}>No saga is like that.</${Empty}>`;
  const last = page.sagas.at(-1);
  return html`
    <p class="count">${counted(page.total, "saga")}${parameters.before ? ", an older part" : page.total > page.sagas.length ? `, the newest ${page.sagas.length}` : ""}</p>
    <div class="scroll"><table class="list">
      <thead><tr><th>State</th><th>Key</th><th>Last step</th><th>Waits for</th><th class="number">Events</th><th class="number">Took</th><th>Started</th></tr></thead>
      <tbody>${page.sagas.map((saga) => html`<${Row} key=${saga.saga} saga=${saga} />`)}</tbody>
    </table></div>
    <nav class="pager" aria-label="Older and newer sagas">
      ${parameters.before && html`<a href=${withParameters({ before: "" })}>Newest</a>`}
      ${page.total > page.sagas.length && html`<a href=${withParameters({ before: last.started_at })}>Older</a>`}
    </nav>
  `;
}

function Row({ saga }) {
  const href = `/sagas/${saga.saga}`;
  return html`<tr class=${saga.state}>
    <td><${State} state=${saga.state} /></td>
    <td><a class="key" href=${href} title=${saga.key}>${short(saga.key)}</a></td>
    <td><span class="event">${saga.step}</span></td>
    <td class="waits">${saga.waits_on.map((service) => html`<${Service} key=${service} name=${service} />`)}
      ${saga.dead_letters > 0 && html`<span class="badge" title="dead letters">${saga.dead_letters}</span>`}
      <span class="quiet">${saga.waits_for ?? ""}</span></td>
    <td class="number">${saga.events}</td>
    <td class="number">${duration(saga.age_ms)}</td>
    <td class="quiet">${time(saga.started_at)}</td>
  </tr>`;
}
