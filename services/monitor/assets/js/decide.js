// A decision: why, and only then the button.
import { html, useState } from "./lib.js";
import { post } from "./api.js";
import { Text } from "./parts.js";

/** A form for a reason and a button, for a user that may act. `onDecide` gets the reason; its promise resolves when it is done. */
export function Decide({ access, ...decision }) {
  if (access.granted) return html`<${Form} name=${access.name} ...${decision} />`;
  return html`<p class="quiet">${access.access === "read-only" ? "With a token to read you can't act." : "Sign in at the top to act."}</p>`;
}

/** Tries the undos of a saga once more that were given up on. */
export function RetryUndo({ saga, access, onDone }) {
  const retry = (why) => post(`/api/sagas/${saga}/retry-undo`, why).then(onDone);
  return html`<${Decide} access=${access} verb="Retry undo" onDecide=${retry}>
    Gives what must be undone to its undo once more. What was undone already is not undone twice.</${Decide}>`;
}

function Form({ name, verb, danger, children, onDecide, disabled }) {
  const [reason, setReason] = useState("");
  const [state, setState] = useState({ busy: false, error: null });
  const decide = async (event) => {
    event.preventDefault();
    setState({ busy: true, error: null });
    try {
      await onDecide({ reason: reason.trim() });
      setReason("");
      setState({ busy: false, error: null });
    } catch (error) {
      setState({ busy: false, error });
    }
  };
  return html`<form class="decide" onSubmit=${decide}>
    <p class="quiet">${children}</p>
    <p class="quiet">As ${name}.</p>
    <${Text} label="Why" value=${reason} onInput=${setReason} required name="reason" placeholder="is kept with the decision" />
    <div class="buttons"><button class=${danger ? "danger" : "primary"} disabled=${state.busy || disabled}>${verb}</button></div>
    ${state.error && html`<p class="failure" role="alert">${state.error.message}</p>`}
  </form>`;
}
