// Everything the consoles take from npm, as one module: the page's engine and nothing else.
export { render } from "preact";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { batch, computed, effect, signal, untracked, useComputed } from "@preact/signals";
import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
