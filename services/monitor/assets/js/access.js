// Who may read and act: the button at the top, and what it opens.
import { html, useEffect, useRef, useState } from "./lib.js";
import { request } from "./api.js";
import { remember, token } from "./token.js";
import { Text } from "./parts.js";

const UNKNOWN = { access: "token-needed", may_read: false, name: null, asked: false };

/** What this user may do, and how to ask again. */
export function useAccess() {
  const [state, setState] = useState(UNKNOWN);
  const ask = () =>
    request("/api/access").then((answer) => {
      // A token that is nobody's any more would only be counted as an attempt, again and again.
      if (answer.access === "token-wrong") remember("");
      setState({ ...answer, asked: true });
      return answer;
    });
  useEffect(() => void ask().catch(() => {}), []);
  return { ...state, granted: state.access === "granted", ask };
}

export function Access({ access: { access, name, ask } }) {
  const dialog = useRef(null);
  if (access === "read-only" && !token()) return html`<span class="access" title="Started without MONITOR_TOKENS: nobody can act here">read only</span>`;
  const label = access === "granted" ? name : access === "read-only" ? "reads" : "sign in";
  return html`
    <button class="access ${access}" onClick=${() => dialog.current.showModal()}>${label}</button>
    <dialog ref=${dialog} aria-label="Sign in">
      <${SignIn} ask=${ask} onDone=${() => dialog.current.close()}>
        ${token() && html`<button type="button" onClick=${() => (remember(""), ask(), dialog.current.close())}>Sign out</button>`}
        <button type="button" onClick=${() => dialog.current.close()}>Close</button>
      </${SignIn}>
    </dialog>
  `;
}

/** Asks for a token. */
export function SignIn({ ask, onDone, children }) {
  const [shown, setShown] = useState("");
  const [error, setError] = useState(null);
  const sign = async (event) => {
    event.preventDefault();
    remember(shown);
    setShown("");
    const answer = await ask().catch((error) => ({ error: error.message }));
    if (answer.error) setError(answer.error);
    else if (answer.access === "token-wrong") setError("That is nobody's token.");
    else {
      setError(null);
      onDone?.();
    }
  };
  return html`<form class="sign-in" onSubmit=${sign}>
    <h2>Sign in</h2>
    <p>What a person decides here is kept under the name that the token has.</p>
    <${Text} label="Token" value=${shown} onInput=${setShown} name="token" type="password" autocomplete="off" required />
    ${error && html`<p class="failure" role="alert">${error}</p>`}
    <div class="buttons"><button class="primary">Sign in</button>${children}</div>
  </form>`;
}
