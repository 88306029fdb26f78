// What the consoles use of preact.js, for the type check alone. `html` makes nodes nobody looks into.
export type Node = unknown;
export function render(node: Node, parent: Element | DocumentFragment): void;
export function useState<T>(initial: T | (() => T)): [T, (next: T | ((before: T) => T)) => void];
export function useEffect(work: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useLayoutEffect(work: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useRef<T>(initial: T): { current: T };
export function useMemo<T>(make: () => T, inputs: readonly unknown[]): T;
export interface ReadonlySignal<T> { readonly value: T; peek(): T; subscribe(tell: (value: T) => void): () => void }
export interface Signal<T> extends ReadonlySignal<T> { value: T }
export function signal<T>(value: T): Signal<T>;
export function computed<T>(make: () => T): ReadonlySignal<T>;
export function effect(work: () => void | (() => void)): () => void;
export function batch<T>(work: () => T): T;
export function untracked<T>(work: () => T): T;
export function useComputed<T>(make: () => T): ReadonlySignal<T>;
export function html(texts: TemplateStringsArray, ...values: unknown[]): Node;
