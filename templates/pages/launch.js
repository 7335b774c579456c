// Follows a build: its steps, its log as it grows, and at last on to the notebook. Without this script the page
// reloads itself instead.
const MOST_LINES = 2000;
const launch = document.getElementById("launch");
const log = document.getElementById("log");
const now = document.getElementById("now");
const followed = launch || log;

const showSteps = (steps) => {
  const current = steps.find((step) => step.status === "now");
  if (current && now.textContent !== current.label) now.textContent = current.label;
  const state = document.getElementById("state");
  if (state && current) state.textContent = current.label;
  if (!launch) return;
  launch.querySelectorAll(".steps li").forEach((item, index) => {
    item.className = steps[index].status;
    if (steps[index].status === "now") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
};

const lineOf = (text) => {
  const line = document.createElement("span");
  line.textContent = text + "\n";
  if (launch) return [line];
  const number = document.createElement("a");
  const last = log.querySelector("a:last-of-type");
  number.textContent = last ? Number(last.textContent) + 1 : 1;
  number.id = `L${number.textContent}`;
  number.href = `#${number.id}`;
  return [number, line];
};

const showLines = (lines) => {
  const box = document.getElementById("log-box");
  if (box) box.hidden = false;
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  for (const text of lines) log.append(...lineOf(text));
  while (launch && log.childElementCount > MOST_LINES) log.firstElementChild.remove();
  if (launch && isAtEnd) log.scrollTop = log.scrollHeight;
};

const goOn = (next) => {
  if (launch && next === "ready") now.textContent = "Ready: opening the notebook";
  // The address of this page is the link itself: it opens what is ready now, and shows what failed.
  setTimeout(() => location.reload(), next === "again" ? 1500 : 0);
};

const from = followed.dataset.from === undefined ? "" : `&from=${followed.dataset.from}`;
const events = new EventSource(`/launch/events?build=${followed.dataset.build}${from}`);
events.addEventListener("progress", (event) => showSteps(JSON.parse(event.data).steps));
events.addEventListener("log", (event) => showLines(JSON.parse(event.data).lines));
events.addEventListener("end", (event) => {
  events.close();
  goOn(JSON.parse(event.data).next);
});
events.addEventListener("error", () => {
  // The browser connects again by itself, but for an answer that was no stream of events.
  if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
});

if (launch) {
  const clock = document.getElementById("clock");
  const began = performance.now();
  setInterval(() => {
    const seconds = Math.round((performance.now() - began) / 1000);
    clock.textContent = seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  }, 1000);
}
