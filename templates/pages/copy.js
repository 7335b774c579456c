// Puts a button beside each text that is there to be copied.
const addCopyButtons = (part) => {
  for (const box of part.querySelectorAll(".copy")) {
    const text = box.querySelector("pre");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button quiet small";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${text.getAttribute("aria-label")}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text); // no right to the clipboard: the visitor copies it
      }
    });
    box.querySelector("h3").after(button);
  }
};
addCopyButtons(document);
