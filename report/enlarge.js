"use strict";
// A figure at its full size: click it, or press Enter on it; Escape closes.
(() => {
  const dialog = document.getElementById("enlarged");
  const place = dialog.querySelector(".picture");
  for (const button of document.querySelectorAll(".enlarge")) {
    button.addEventListener("click", () => {
      place.replaceChildren(button.querySelector("img").cloneNode());
      dialog.showModal();
    });
  }
  dialog.querySelector("button").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => place.replaceChildren());
})();
