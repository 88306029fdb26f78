// Light, dark or outdoor: as asked in the address (?theme=dark), as chosen before, else as the computer prefers. Imported first.

const asked = new URLSearchParams(location.search);
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");

function apply() {
  root.dataset.theme = asked.get("theme") ?? localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light");
}
apply();
dark.addEventListener("change", apply);

/** True on a screen nobody has a mouse at: chromium --kiosk with ?kiosk. */
export const isKiosk = asked.has("kiosk");
if (isKiosk) root.dataset.kiosk = "1";

/** Switch between light and dark and remember it. */
export function otherTheme() {
  localStorage.setItem("theme", root.dataset.theme === "dark" ? "light" : "dark");
  asked.delete("theme");
  apply();
}
