// Small pieces that every page is made of.
import { html, useState } from "./lib.js";
import { count, short } from "./format.js";
import { hued } from "./palette.js";

export const STATES = ["in-progress", "compensating", "stuck", "needs-review", "completed", "compensated", "resolved"];

export const words = (state) => state.replaceAll("-", " ");

/** A saga's state: a word and a colour, never a colour alone. */
export const State = ({ state }) => html`<span class="state ${state}">${words(state)}</span>`;

/** A service's name in its colour. */
export const Service = ({ name }) => html`<span class="service" style=${hued(name)}>${name}</span>`;

/** What went wrong, if something did. */
export const Failure = ({ error }) => error && html`<p class="failure" role="alert">${error.message}</p>`;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** Bars, the longest first: names, and how many of each. */
export function Bars({ counts, of, href }) {
  const entries = Object.entries(counts).filter(([, value]) => value > 0).sort((a, b) => b[1] - a[1]).slice(0, 8);
  const most = Math.max(1, ...entries.map(([, value]) => value));
  if (!entries.length) return html`<${Empty}>none</${Empty}>`;
  return html`<ol class="bars" aria-label=${of}>
    ${entries.map(
      ([name, value]) => html`<li key=${name}>
        <a href=${href(name) || undefined}><span class="name">${name}</span><span class="value">${count(value)}</span></a>
        <span class="bar" style=${{ width: `${(100 * value) / most}%` }}></span>
      </li>`,
    )}
  </ol>`;
}

/** A list to choose from. */
export const Choice = ({ label, value, options, onChoose }) => html`<label class="field">
  <span>${label}</span>
  <select value=${value ?? ""} onChange=${(event) => onChoose(event.target.value)}>
    <option value="">any</option>
    ${options.map((option) => html`<option key=${option} value=${option} selected=${option === value}>${words(option)}</option>`)}
  </select>
</label>`;

/** A line of text, told when it is done. */
export const Text = ({ label, value, onInput, ...others }) => html`<label class="field">
  <span>${label}</span>
  <input value=${value} onInput=${(event) => onInput(event.target.value)} ...${others} />
</label>`;

/** Copies a text that is too long to be read out. */
export function Copy({ text, children }) {
  const [copied, setCopied] = useState(false);
  const copy = () =>
    navigator.clipboard?.writeText(text).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 1200);
    });
  return html`<button class="copy" title="copy ${text}" onClick=${copy}>${copied ? "copied" : children ?? text}</button>`;
}

/** A stored message: its body, and its headers when asked for. */
export const Message = ({ message }) => html`<div class="message">
  ${message.hidden && html`<p class="quiet">The body is not shown, because its personal fields are not known: ${message.hidden}.</p>`}
  ${!message.hidden && html`<pre>${message.body === null ? message.text : JSON.stringify(message.body, null, 2)}</pre>`}
  <details>
    <summary>headers, subject ${message.subject}</summary>
    <dl class="headers">${message.headers.map(([name, value]) => [html`<dt>${name}</dt>`, html`<dd>${value}</dd>`])}</dl>
  </details>
</div>`;

/** Questions that wait for a person; linked to their sagas where they are of several. */
export const Questions = ({ questions, linked = false }) => html`<section class="panel waiting">
  <h2>Open questions</h2>
  <ul>${questions.map(
    (question) => html`<li key=${question.event_id}>
      <p><${Service} name=${question.service} /> ${linked && html`<a class="key" href=${`/sagas/${question.saga}`} title=${question.key}>${short(question.key)}</a> `}
        <span class="event">${question.event}</span> <span class="sentence">${question.sentence}</span></p>
    </li>`,
  )}</ul>
</section>`;
