// A button to print, for who has JavaScript; everything else of a sheet works without.
const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("print"));
if (button) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
