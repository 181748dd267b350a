// Who may act: the button at the top, and what it opens.
import { html, useEffect, useRef, useState } from "./lib.js";
import { request } from "./api.js";
import { name, remember, token } from "./token.js";
import { Text } from "./parts.js";

const WORDS = {
  "read-only": "read only",
  "token-needed": "sign in to act",
  "token-wrong": "sign in to act",
  granted: "may act",
};

/** What whoever sits here may do, and how to ask again. */
export function useAccess() {
  const [access, setAccess] = useState("read-only");
  const ask = () =>
    request("/api/access").then(
      (answer) => (setAccess(answer.access), answer.access),
      () => access,
    );
  useEffect(() => void ask(), []);
  return { access, granted: access === "granted", ask };
}

export function Access({ access: { access, ask } }) {
  const dialog = useRef(null);
  const [form, setForm] = useState({ token: token(), name: name() });
  const [error, setError] = useState(null);
  const sign = async (event) => {
    event.preventDefault();
    remember(form.token, form.name);
    const answer = await ask();
    if (answer === "granted") dialog.current.close();
    else setError(answer === "token-wrong" ? "That is not the monitor's token." : "A token is needed.");
  };
  const leave = async () => {
    remember("", form.name);
    setForm({ ...form, token: "" });
    await ask();
    dialog.current.close();
  };
  if (access === "read-only") return html`<span class="access" title="Started without MONITOR_TOKEN: nobody can act here">read only</span>`;
  return html`
    <button class="access ${access}" onClick=${() => dialog.current.showModal()}>${WORDS[access]}</button>
    <dialog ref=${dialog} aria-label="Sign in to act">
      <form onSubmit=${sign}>
        <h2>Sign in to act</h2>
        <p>Redriving, discarding and resolving need the monitor's token. Your name is kept with each decision.</p>
        <${Text} label="Your name" value=${form.name} onInput=${(value) => setForm({ ...form, name: value })} name="by" required />
        <${Text} label="Token" value=${form.token} onInput=${(value) => setForm({ ...form, token: value })} name="token" type="password" required />
        ${error && html`<p class="failure" role="alert">${error}</p>`}
        <div class="buttons">
          <button class="primary">Sign in</button>
          ${access === "granted" && html`<button type="button" onClick=${leave}>Sign out</button>`}
          <button type="button" onClick=${() => dialog.current.close()}>Close</button>
        </div>
      </form>
    </dialog>
  `;
}
