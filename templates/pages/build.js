// Opens the step that the line of the address lies in, and follows a build that is not over. Without this script the
// page reloads itself instead.
const MOST_LINES = 5000;
const HEADING = /^==> (.*) {2}\[(\d\d:\d\d:\d\d)\]$/;
const log = document.getElementById("log");

const showTarget = () => {
  const id = location.hash.slice(1);
  const target = document.getElementById(id);
  const line = /^L(\d{1,9})$/.exec(id)?.[1];
  if (target) {
    const step = target.closest("details");
    if (step) step.open = true;
    target.scrollIntoView();
  } else if (line && new URLSearchParams(location.search).get("line") !== line) {
    // It is on another page of the log.
    location.replace(`?line=${line}#L${line}`);
  }
};
addEventListener("hashchange", showTarget);
showTarget();

const follow = () => {
  const { build, from } = log.dataset;
  let next = Number(log.dataset.line);
  const mostNext = next + MOST_LINES;

  const element = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const lines = () => element("pre", { className: "log numbered" });

  const beginStep = ([, title, time]) => {
    const parts = { number: next, title, time };
    const spans = Object.entries(parts).map(([className, text]) => element("span", { className }, text));
    log.append(element("details", { className: "step", open: true }, element("summary", { id: `L${next}` }, ...spans), lines()));
  };

  const addLine = (text) => {
    const heading = HEADING.exec(text);
    if (heading) beginStep(heading);
    else {
      if (!log.querySelector("pre")) log.append(lines());
      const id = `L${next}`;
      const shown = [...log.querySelectorAll("pre")].at(-1);
      shown.append(element("a", { id, href: `#${id}` }, next), element("span", {}, `${text}\n`));
    }
    next += 1;
  };

  const events = new EventSource(`/builds/${build}/log?from=${from}`);
  events.addEventListener("log", (event) => {
    document.getElementById("empty")?.remove();
    JSON.parse(event.data).lines.forEach(addLine);
    // What is more than a page is shown by its pages.
    if (next > mostNext) location.reload();
  });
  events.addEventListener("state", (event) => {
    const { label } = JSON.parse(event.data);
    document.getElementById("state").textContent = label;
    document.getElementById("now").textContent = label;
  });
  events.addEventListener("end", () => {
    events.close();
    location.reload();
  });
  events.addEventListener("error", () => {
    // The browser connects again by itself, but for an answer that was no stream of events.
    if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
  });
};
if (log?.dataset.build) follow();
