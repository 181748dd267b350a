// The one place that knows where preact comes from.
export { html, render, useEffect, useMemo, useRef, useState } from "/assets/vendor/htm-preact-standalone.js";
