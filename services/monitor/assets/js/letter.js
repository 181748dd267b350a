// One dead letter: what failed, why, and its event.
import { html, useState } from "./lib.js";
import { useApi } from "./api.js";
import { time } from "./format.js";
import { Failure, Service } from "./parts.js";
import { Stored } from "./reveal.js";

export function LetterRow({ letter, access, startsOpen = false }) {
  const [open, setOpen] = useState(startsOpen);
  return html`<li class="letter ${letter.fate}">
    <button class="row" aria-expanded=${open} onClick=${() => setOpen(!open)}>
      <span class="number">${letter.sequence}</span>
      <span class="event">${letter.event || "unreadable"}</span>
      <span><${Service} name=${letter.service} /> ${letter.reaction}</span>
      ${letter.undo && html`<span class="chip undo">undo</span>`}
      ${letter.fate !== "open" && html`<span class="chip">${letter.fate}</span>`}
      <span class="quiet">${letter.attempts} attempts</span>
    </button>
    <p class="cause">${letter.cause}</p>
    ${open && html`<${Opened} letter=${letter} access=${access} />`}
  </li>`;
}

function Opened({ letter, access }) {
  const path = `/api/dead-letters/${letter.sequence}`;
  const { data, error } = useApi(path);
  return html`<div class="opened">
    <p class="quiet">${letter.saga && html`<a href=${`/sagas/${letter.saga}`}>its saga</a> · `}
      ${letter.first_failed_at && html`first failed ${time(letter.first_failed_at)} · `}${letter.last_failed_at && html`last failed ${time(letter.last_failed_at)} · `}
      ${letter.event_sequence && html`event ${letter.event_sequence} of the stream`}</p>
    <${Failure} error=${error} />${data && html`<${Stored} path=${path} message=${data.message} access=${access} />`}</div>`;
}
