// A stored message: without personal data, until somebody who may says why they need it.
import { html, useState } from "./lib.js";
import { post } from "./api.js";
import { Decide } from "./decide.js";
import { Message } from "./parts.js";

/** `path` is where the message is in the API. */
export function Stored({ path, message, access }) {
  const [asks, setAsks] = useState(false);
  const [revealed, setRevealed] = useState(null);
  const reveal = (why) => post(`${path}/reveal`, why).then(setRevealed);
  return html`<${Message} message=${revealed ?? message} />
    ${message.redacted && !revealed && html`<div class="reveal">
      <p class="quiet">What is personal, or not declared, is left out. <button class="link" aria-expanded=${asks} onClick=${() => setAsks(!asks)}>Reveal</button></p>
      ${asks && html`<${Decide} access=${access} verb="Reveal" onDecide=${reveal}>Shows it here, once. Who looked and why is kept.</${Decide}>`}</div>`}`;
}
