// Dead letters: what failed and why, given again or let be.
import { html, useState } from "../lib.js";
import { address, post, useApi } from "../api.js";
import { useBeats } from "../live.js";
import { navigate, withParameters } from "../route.js";
import { count, counted, time } from "../format.js";
import { Empty, Failure, Service } from "../parts.js";
import { LetterRow } from "../letter.js";
import { Redrive, Redrives } from "../redrive.js";
import { Decide } from "../decide.js";

export function DeadLetters({ parameters, access }) {
  const [acted, setActed] = useState(0);
  const beats = useBeats();
  const { service, reaction, event, cause, saga, decided } = parameters;
  const { data: groups, error } = useApi(address("/api/dead-letter-groups", { service, reaction, event, cause, saga, decided }), `${beats}/${acted}`);
  const done = () => setActed(acted + 1);
  const chosen = groups?.find((group) => group.id === parameters.group);
  const filtered = [service, reaction, event, cause, saga].some(Boolean);
  return html`
    <h1>Dead letters</h1>
    <p class="lead">Events that a reaction gave up on. Each is kept, with its cause, until somebody decides.
      ${filtered && html` <a class="clear" href="/dead-letters">Show all</a>`}
      <label class="check"><input type="checkbox" checked=${decided === "true"} onChange=${(event) => navigate(withParameters({ decided: event.target.checked ? "true" : "", group: "" }))} /> decided ones too</label></p>
    <${Failure} error=${error} />
    ${parameters.sequence && html`<${One} sequence=${parameters.sequence} access=${access} />`}
    ${groups && (groups.length ? html`<${Groups} groups=${groups} chosen=${chosen} />` : html`<p class="fine big">There are none.</p>`)}
    ${chosen && html`<${Group} key=${chosen.id} group=${chosen} decided=${decided} access=${access} version=${`${beats}/${acted}`} onDone=${done} />`}
    <${Redrives} access=${access} version=${`${beats}/${acted}`} />
  `;
}

function One({ sequence, access }) {
  const { data, error } = useApi(`/api/dead-letters/${encodeURIComponent(sequence)}`);
  return html`<section class="panel"><h2>Dead letter ${sequence}</h2><${Failure} error=${error} />
    ${data?.letter && html`<ul class="letters"><${LetterRow} letter=${data.letter} access=${access} startsOpen=${true} /></ul>`}
    ${data?.letter && html`<p><a href=${`/dead-letters?service=${data.letter.service}&reaction=${data.letter.reaction}`}>All of ${data.letter.service}/${data.letter.reaction}</a></p>`}</section>`;
}

function Groups({ groups, chosen }) {
  const most = Math.max(...groups.map((group) => group.count));
  return html`<ul class="groups">${groups.map(
    (group) => html`<li key=${group.id} class=${group.id === chosen?.id ? "chosen" : ""}>
      <a href=${withParameters({ group: group.id === chosen?.id ? "" : group.id, sequence: "" })} aria-expanded=${group.id === chosen?.id}>
        <span class="number">${count(group.count)}</span>
        <span class="what"><span><${Service} name=${group.service} /> <b>${group.reaction}</b></span><span class="cause">${group.cause}</span></span>
        <span class="quiet">${time(group.oldest)}${group.count > 1 && html` to ${time(group.newest)}`}</span>
        <span class="bar" style=${{ width: `${(100 * group.count) / most}%` }}></span>
      </a></li>`,
  )}</ul>`;
}

function Group({ group, decided, access, version, onDone }) {
  const [tab, setTab] = useState("letters");
  const { data, error } = useApi(address("/api/dead-letters", { group: group.id, decided }), version);
  const selection = { group: group.id };
  const tabs = { letters: "Letters", redrive: "Redrive", discard: "Discard" };
  return html`<section class="panel group">
    <div class="tabs" role="tablist">${Object.entries(tabs).map(
      ([id, name]) => html`<button key=${id} role="tab" aria-selected=${tab === id} onClick=${() => setTab(id)}>${name}</button>`,
    )}</div>
    <${Failure} error=${error} />
    ${tab === "letters" && data && html`<${Letters} data=${data} access=${access} />`}
    ${tab === "redrive" && html`<${Redrive} selection=${selection} access=${access} onStarted=${onDone} />`}
    ${tab === "discard" && html`<${Decide} access=${access} verb="Discard ${counted(group.count, "letter")}" danger=${true}
      onDecide=${(who) => post("/api/discards", { selection, ...who }).then(discarded).then(onDone)}>
      Deletes them. Their sagas go on as if the reaction had run and emitted nothing. Who did it and why is recorded.</${Decide}>`}
  </section>`;
}

const discarded = ({ failed, error }) => {
  if (failed) throw new Error(`${counted(failed, "letter")} could not be discarded: ${error}`);
};

const Letters = ({ data, access }) =>
  data.letters.length
    ? html`${data.total > data.letters.length && html`<p class="count">the oldest ${data.letters.length} of ${count(data.total)}</p>`}
        <ul class="letters">${data.letters.map((letter) => html`<${LetterRow} key=${letter.sequence} letter=${letter} access=${access} />`)}</ul>`
    : html`<${Empty}>None.</${Empty}>`;
