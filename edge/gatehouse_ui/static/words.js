// Words in the language of the reader. One JSON file per language and section; a page loads the sections it needs.
const asked = new URLSearchParams(location.search).get("lang");
/** @type {"zh" | "en"} */
const language = (asked ?? localStorage.getItem("language")) === "en" ? "en" : "zh";
/** @type {Record<string, string>} */
const words = {};

document.documentElement.lang = language === "zh" ? "zh-CN" : "en";

/**
 * Load sections of the catalogue (`common` always). Await it before the first `t`.
 * @param {...string} sections
 */
export async function load(...sections) {
  const files = ["common", ...sections].map((name) => fetch(new URL(`words/${language}/${name}.json`, import.meta.url)).then((answer) => answer.json()));
  Object.assign(words, ...(await Promise.all(files)));
}

/**
 * The words for a key, with `{name}` filled in. A missing key shows itself; a test sees to it that none is missing.
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 */
export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * The words for a key, or `fallback` where the catalogue has none: what a device said is shown, known or not.
 * @param {string} key
 * @param {string} fallback
 */
export function either(key, fallback) {
  return Object.hasOwn(words, key) ? words[key] : fallback;
}

/**
 * The half of a `{zh, en}` pair that is being read.
 * @param {{zh?: string, en?: string} | null | undefined} pair
 */
export function pick(pair) {
  return pair?.[language] || pair?.zh || "";
}

/** The language being read. */
export function current() {
  return language;
}

/** Change the language: the page starts again with it. */
export function otherLanguage() {
  localStorage.setItem("language", language === "zh" ? "en" : "zh");
  const here = new URL(location.href);
  here.searchParams.delete("lang");
  location.replace(here);
}
