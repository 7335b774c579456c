// Makes the link and its badge anew while the form is filled in: the page that the form leads to says what they are.
// Without this script its button leads there.
const PAUSE_MS = 250;
const form = document.getElementById("maker");
const { provider, repository, ref } = form.elements;
let turn = 0;
let waiting;

const followProvider = () => {
  const chosen = provider.selectedOptions[0].dataset;
  repository.placeholder = chosen.placeholder;
  ref.disabled = "noRefs" in chosen;
};

// An address says itself where the repository is.
const detectProvider = () => {
  const address = repository.value.trim();
  const found = [...provider.options].find(({ dataset }) => dataset.detects && new RegExp(dataset.detects).test(address));
  if (found) found.selected = true;
  followProvider();
};

const remake = async (isTyping) => {
  clearTimeout(waiting);
  const mine = ++turn;
  const filled = new URLSearchParams(new FormData(form));
  if (!filled.get("repository").trim()) filled.delete("repository");
  let page;
  try {
    const answer = await fetch(`/?${filled}`);
    if (!answer.ok) return;
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return; // the button is there
  }
  if (mine !== turn) return;
  const [texts, fault] = [document.getElementById("texts"), document.getElementById("fault")];
  texts.replaceChildren(...page.getElementById("texts").childNodes);
  addCopyButtons(texts);
  // What is half typed is not wrong yet.
  const said = isTyping ? "" : page.getElementById("fault").textContent;
  if (fault.textContent !== said) fault.textContent = said;
  fault.hidden = !said;
  for (const [name, value] of [["aria-invalid", "true"], ["aria-describedby", "fault"]]) {
    if (said) repository.setAttribute(name, value);
    else repository.removeAttribute(name);
  }
};

form.addEventListener("input", (event) => {
  if (event.target === repository) detectProvider();
  clearTimeout(waiting);
  waiting = setTimeout(() => remake(true), PAUSE_MS);
});
form.addEventListener("change", () => {
  followProvider();
  remake(false);
});
followProvider();
