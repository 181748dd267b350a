// A decision: who, why, and only then the button.
import { html, useState } from "./lib.js";
import { name } from "./token.js";
import { Text } from "./parts.js";

/** Asks for a reason, and does it, for whoever may act. `onDecide` is given who and why, and says when it is done. */
export function Decide({ access, ...decision }) {
  if (access.granted) return html`<${Form} ...${decision} />`;
  return html`<p class="quiet">${access.access === "read-only" ? "This monitor only shows: it was started without a token." : "Sign in at the top to act."}</p>`;
}

function Form({ verb, danger, children, onDecide, disabled }) {
  const [reason, setReason] = useState("");
  const [by, setBy] = useState(name());
  const [state, setState] = useState({ busy: false, error: null });
  const decide = async (event) => {
    event.preventDefault();
    setState({ busy: true, error: null });
    try {
      await onDecide({ by: by.trim(), reason: reason.trim() });
      setReason("");
      setState({ busy: false, error: null });
    } catch (error) {
      setState({ busy: false, error });
    }
  };
  return html`<form class="decide" onSubmit=${decide}>
    <p class="quiet">${children}</p>
    <${Text} label="Who" value=${by} onInput=${setBy} required name="by" />
    <${Text} label="Why" value=${reason} onInput=${setReason} required name="reason" placeholder="is kept with the decision" />
    <div class="buttons"><button class=${danger ? "danger" : "primary"} disabled=${state.busy || disabled}>${verb}</button></div>
    ${state.error && html`<p class="failure" role="alert">${state.error.message}</p>`}
  </form>`;
}
