// For browsers that do not know command="show-modal" yet. Those that do need none of this.

if (!("commandForElement" in HTMLButtonElement.prototype)) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest('button[command="show-modal"]');
    if (button) document.getElementById(button.getAttribute("commandfor"))?.showModal();
  });
}
