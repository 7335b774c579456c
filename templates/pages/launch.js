// Follows a launch: its steps, the log as it grows, and at last on to the notebook. Without this script the page
// reloads itself instead.
const MOST_LINES = 2000;
const launch = document.getElementById("launch");
const log = document.getElementById("log");
const now = document.getElementById("now");

const showSteps = (steps) => {
  const current = steps.find((step) => step.status === "now");
  if (current && now.textContent !== current.label) now.textContent = current.label;
  launch.querySelectorAll(".steps li").forEach((item, index) => {
    item.className = steps[index].status;
    if (steps[index].status === "now") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
};

const showShare = ({ percent, facts }) => {
  const share = document.getElementById("share");
  share.hidden = percent === null;
  share.value = percent ?? 0;
  document.getElementById("facts").textContent = facts;
};

const showLines = (lines) => {
  document.getElementById("log-box").hidden = false;
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  for (const text of lines.slice(-MOST_LINES)) {
    const line = document.createElement("span");
    line.textContent = `${text}\n`;
    log.append(line);
  }
  while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
  if (isAtEnd) log.scrollTop = log.scrollHeight;
};

const goOn = (next) => {
  if (next === "ready") now.textContent = "Ready: opening the notebook";
  // The address of this page is the link itself: it opens what is ready now, and shows what failed.
  setTimeout(() => location.reload(), next === "again" ? 1500 : 0);
};

const events = new EventSource(`/launch/events?build=${launch.dataset.build}`);
events.addEventListener("progress", (event) => {
  const progress = JSON.parse(event.data);
  showSteps(progress.steps);
  showShare(progress);
});
events.addEventListener("log", (event) => showLines(JSON.parse(event.data).lines));
events.addEventListener("end", (event) => {
  events.close();
  goOn(JSON.parse(event.data).next);
});
events.addEventListener("error", () => {
  // The browser connects again by itself, but for an answer that was no stream of events.
  if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
});

const clock = document.getElementById("clock");
const began = performance.now();
setInterval(() => {
  const seconds = Math.round((performance.now() - began) / 1000);
  clock.textContent = seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}, 1000);
