// Copy buttons: data-copy="the text", or data-copy-from="id of the element with the text".

const announcer = document.getElementById("announcer");

async function copy(button) {
  const word = button.querySelector("[data-copy-word]") ?? button;
  const source = button.dataset.copyFrom ? document.getElementById(button.dataset.copyFrom) : null;
  const text = source ? (source.value ?? source.textContent) : button.dataset.copy;
  const before = button.dataset.copyBefore ?? word.textContent;
  button.dataset.copyBefore = before;
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(text.trim());
  } catch {
    // No permission, or a page without HTTPS: leave the text selected for Ctrl+C.
    const shown = source ?? button.parentElement.querySelector("input");
    if (shown?.select) shown.select();
    else if (shown) getSelection().selectAllChildren(shown);
    said = "Press Ctrl+C";
  }
  word.textContent = said;
  if (announcer) announcer.textContent = said;
  setTimeout(() => {
    word.textContent = before;
    if (announcer) announcer.textContent = "";
  }, 2500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (button) copy(button);
});
