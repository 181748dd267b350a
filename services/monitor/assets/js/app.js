// The frame around the pages.
import { html, render, useEffect, useState } from "./lib.js";
import { listen, useLive } from "./live.js";
import { navigate, useRoute } from "./route.js";
import { count, rate } from "./format.js";
import { learn } from "./palette.js";
import { Access, SignIn, useAccess } from "./access.js";
import { Sagas } from "./pages/sagas.js";
import { Saga } from "./pages/saga.js";
import { Choreography } from "./pages/choreography.js";
import { DeadLetters } from "./pages/letters.js";
import { Stuck } from "./pages/stuck.js";

const PAGES = [
  { path: "/sagas", name: "Sagas" },
  { path: "/choreography", name: "Choreography" },
  { path: "/stuck", name: "Stuck", badge: ({ states }) => (states.stuck ?? 0) + (states["needs-review"] ?? 0) },
  { path: "/dead-letters", name: "Dead letters", badge: (overview) => overview.dead_letters },
];

function App() {
  const { path, parameters } = useRoute();
  const { overview, connected } = useLive();
  const access = useAccess();
  if (overview) learn(overview.services);
  const page = access.may_read ? show(path, parameters, access) : locked(access);
  useEffect(() => void (access.may_read && listen()), [access.may_read]);
  useEffect(() => {
    document.title = page.title ? `${page.title} · Pavane` : "Pavane";
  }, [page.title]);
  return html`
    <a class="skip" href="#main">Skip to the page</a>
    <header class="top">
      <a class="brand" href="/sagas"><img src="/assets/icon.svg" alt="" width="26" height="26" />Pavane</a>
      <nav aria-label="Pages">
        ${PAGES.map((entry) => html`<${Entry} key=${entry.path} ...${entry} path=${entry.path} current=${path} overview=${overview} />`)}
      </nav>
      <${Search} />
      <${Pulse} overview=${overview} connected=${connected} />
      ${access.may_read && html`<${Access} access=${access} />`}
    </header>
    ${overview && !overview.loaded && html`<p class="notice" role="status">Still reading the streams: ${count(overview.events)} events so far.</p>`}
    <main id="main" tabindex="-1">${page.body}</main>
  `;
}

/** Shown instead of a page to a user that may not read. */
function locked(access) {
  return { title: "Sign in", body: access.asked && html`<section class="panel"><${SignIn} ask=${access.ask} /></section>` };
}

function show(path, parameters, access) {
  const saga = path.match(/^\/sagas\/(.+)$/);
  if (saga) {
    const id = decodeURIComponent(saga[1]);
    return { title: id, body: html`<${Saga} key=${id} id=${id} access=${access} />` };
  }
  switch (path) {
    case "/choreography":
      return { title: "Choreography", body: html`<${Choreography} />` };
    case "/dead-letters":
      return { title: "Dead letters", body: html`<${DeadLetters} parameters=${parameters} access=${access} />` };
    case "/stuck":
      return { title: "Stuck", body: html`<${Stuck} access=${access} />` };
    default:
      return { title: "Sagas", body: html`<${Sagas} parameters=${parameters} />` };
  }
}

function Entry({ path, name, badge, current, overview }) {
  const here = current === path || current.startsWith(`${path}/`) || (path === "/sagas" && current === "/");
  const number = overview && badge ? badge(overview) : 0;
  return html`<a href=${path} aria-current=${here ? "page" : undefined}>
    ${name}${number > 0 && html`<span class="badge" aria-label="${number} open">${count(number)}</span>`}
  </a>`;
}

function Search() {
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    if (text.trim()) navigate(`/sagas/${encodeURIComponent(text.trim())}`);
    setText("");
  };
  return html`<form class="search" role="search" onSubmit=${submit}>
    <input type="search" aria-label="Find a saga by its id, key or event id" placeholder="Find a saga: id, key or event id  ( / )"
      value=${text} onInput=${(event) => setText(event.target.value)} accesskey="f" />
  </form>`;
}

function Pulse({ overview, connected }) {
  const label = connected ? "live" : "not connected";
  return html`<span class="pulse ${connected ? "on" : "off"}" role="status" title=${label}>
    <span class="dot"></span>${connected && overview ? html`<b>${rate(overview.ended_per_second)}</b> ended` : label}
  </span>`;
}

/** `/` goes to the search, as on many sites, unless somebody is writing. */
addEventListener("keydown", (event) => {
  if (event.key !== "/" || /^(input|select|textarea)$/i.test(event.target.tagName)) return;
  event.preventDefault();
  document.querySelector(".search input")?.focus();
});

render(html`<${App} />`, document.getElementById("app"));
