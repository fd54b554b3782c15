// Keeps a page live: replaces the fragments that the server says have changed, shows how fresh they are, sends forms
// without leaving the page, and brings keyboard, cursor and local times. Without it every page still works by reloading.
"use strict";

const $ = (id) => document.getElementById(id);
const ours = window.trustedTypes
  ? window.trustedTypes.createPolicy("spendstream", { createHTML: (text) => text })
  : { createHTML: (text) => text };
const state = { at: null, problem: "", lost: false, source: null, pressed: null };

// Times

const zone = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dated = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const isUtc = new Date().getTimezoneOffset() === 0;

function ago(at) {
  const seconds = Math.max(0, Math.round((Date.now() - at) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (time.dataset.form === "age") {
      time.title = `${time.dataset.utc ||= time.textContent}${isUtc ? "" : ` (${dated.format(at)} here)`}`;
      time.textContent = ago(at);
    } else if (!isUtc && !time.dataset.local) {
      time.dataset.local = "yes";
      const today = at.toDateString() === new Date().toDateString();
      time.append(` (${(today ? zone : dated).format(at)} here)`);
    }
  }
}

function ages() {
  for (const time of document.querySelectorAll('time[data-form="age"]')) time.textContent = ago(new Date(time.dateTime));
  if (!$("fresh")) return;
  const stale = state.problem || state.lost;
  const age = state.at ? ago(state.at) : "";
  $("fresh").dataset.state = stale ? "stale" : state.at ? "live" : "loading";
  $("fresh-text").textContent = stale ? `data of ${age || "no time yet"}` : state.at ? "live" : "loading";
  $("fresh").title = age ? `read ${age}` : "";
  $("trouble").hidden = !stale;
  const what = state.lost ? "The console does not answer. Trying again." : `${state.problem}. Trying again.`;
  if (stale && $("trouble-what").textContent !== what) $("trouble-what").textContent = what;
  if (stale) $("trouble-age").textContent = state.at ? `What you see was read ${age}.` : "";
}

// Live fragments

const held = new Map();  // html by id, of fragments that a pointer is down in: a click on what goes meanwhile is lost

function replace(id, html) {
  const target = $(id);
  if (!target) return;
  if (target.contains(state.pressed)) return void held.set(id, html);
  const focused = target.contains(document.activeElement) ? document.activeElement.id : "";
  const open = [...target.querySelectorAll("details[open]")].map((details) => details.id);
  const typed = [...target.querySelectorAll("input:not([type=hidden]), select")].map((field) => [field.id, field.value]);
  target.innerHTML = ours.createHTML(html);
  for (const name of open) if ($(name)) $(name).open = true;
  for (const [name, value] of typed) if ($(name)) $(name).value = value;
  if (focused && $(focused)) $(focused).focus({ preventScroll: true });
  localTimes(target);
}

function letGo() {
  state.pressed = null;
  setTimeout(() => {  // after the click that this is the end of
    for (const [id, html] of held) if (held.delete(id)) replace(id, html);
  });
}

document.addEventListener("pointerdown", (event) => (state.pressed = event.target));
document.addEventListener("pointerup", letGo);
document.addEventListener("pointercancel", letGo);

function connect() {
  if (!("live" in document.body.dataset) || state.source) return;
  const source = new EventSource(`/events?of=${encodeURIComponent(location.pathname + location.search)}`);
  state.source = source;
  source.addEventListener("part", (event) => {
    const part = JSON.parse(event.data);
    replace(part.id, part.html);
  });
  source.addEventListener("state", (event) => {
    const now = JSON.parse(event.data);
    if (now.version !== document.body.dataset.version) return location.reload();
    state.at = now.at ? new Date(now.at) : state.at;
    state.problem = now.problem;
    state.lost = false;
    const badge = $("firing");
    badge.hidden = !now.firing;
    badge.textContent = now.firing || "";
    badge.setAttribute("aria-label", `${now.firing} need somebody`);
    document.title = document.title.replace(/^\(\d+\) /, "");
    if (now.firing) document.title = `(${now.firing}) ${document.title}`;
    if (state.firing !== undefined && now.firing > state.firing) say("A new alert needs somebody.");
    state.firing = now.firing;
    ages();
  });
  source.onerror = () => {
    state.lost = true;
    ages();
    if (source.readyState !== EventSource.CLOSED) return;
    state.source = null;  // the server refused: the session may be over
    setTimeout(async () => {
      const answer = await fetch(location.href, { redirect: "manual" }).catch(() => null);
      if (answer && answer.type === "opaqueredirect") location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
      else connect();
    }, 2000);
  };
}

function disconnect() {
  if (state.source) state.source.close();
  state.source = null;
}

// Browsers allow few connections to a host: pages that nobody sees give theirs back.
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));

// Forms

function say(words) {
  $("said").textContent = words;
  $("said").classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => $("said").classList.remove("shown"), 6000);
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-action]")) return;
  event.preventDefault();
  const button = event.submitter || form.querySelector("button:not([type=button])");
  if (button.dataset.confirm && !window.confirm(button.dataset.confirm)) return;
  const note = form.querySelector("input[name=note]");
  if (note && $("note")) note.value = $("note").value;
  const label = button.textContent;
  for (const other of document.querySelectorAll("[data-action] button")) other.disabled = true;
  say(`${label} …`);
  try {
    const answer = await fetch(form.action, {
      method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/json" },
    });
    say(`${label}: ${(await answer.json()).said}`);
  } catch {
    say(`${label}: the console does not answer, nothing was sent`);
  } finally {
    for (const other of document.querySelectorAll("[data-action] button")) other.disabled = false;
    if (!document.activeElement || document.activeElement === document.body) ($("alert-actions") || $("main")).focus();
  }
});

// Charts

function read(figure, x) {
  const points = [...figure.querySelectorAll(".points li")];
  if (!points.length) return;
  const near = points.reduce((best, point, at) =>
    Math.abs(point.dataset.x - x) < Math.abs(points[best].dataset.x - x) ? at : best, 0);
  pick(figure, points, near);
}

function pick(figure, points, at) {
  const point = points[Math.min(Math.max(at, 0), points.length - 1)];
  const line = figure.querySelector(".cursor");
  for (const name of ["x1", "x2"]) line.setAttribute(name, point.dataset.x);
  line.setAttribute("visibility", "visible");
  const time = new Date(point.dataset.at);
  figure.dataset.at = points.indexOf(point);
  figure.querySelector(".readout").textContent =
    `${time.toISOString().slice(11, 19)} UTC${isUtc ? "" : ` (${zone.format(time)})`}  ${point.textContent}`;
}

document.addEventListener("pointermove", (event) => {
  const plot = event.target.closest?.("[data-chart] .plot");
  if (!plot) return;
  const box = plot.getBoundingClientRect();
  read(plot.closest("[data-chart]"), (1000 * (event.clientX - box.left)) / box.width);
});

// Keyboard

const waits = { g: false };
const goes = { l: "/", a: "/alerts" };

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  rows[Math.min(Math.max(at + by, 0), rows.length - 1)].focus();
}

const keys = {
  j: () => step(1), k: () => step(-1), t: () => $("theme").click(), "?": () => $("help")?.showModal(),
  a: () => $("do-ack")?.click(), s: () => $("do-snooze")?.click(), r: () => $("do-resolve")?.click(),
};

document.addEventListener("keydown", (event) => {
  const figure = document.activeElement?.closest?.("[data-chart]");
  if (figure && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
    const points = [...figure.querySelectorAll(".points li")];
    pick(figure, points, Number(figure.dataset.at ?? points.length) + (event.key === "ArrowLeft" ? -1 : 1));
    event.preventDefault();
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  if (document.activeElement?.matches("input, select, textarea")) return;
  if (localStorage.getItem("keys") === "off" && event.key !== "?") return;
  if (waits.g && goes[event.key]) location.assign(goes[event.key]);
  else if (keys[event.key] && !waits.g) keys[event.key]();
  else if (event.key !== "g") return;
  waits.g = event.key === "g";
  if (waits.g) setTimeout(() => (waits.g = false), 1500);
  event.preventDefault();
});

$("help-open")?.addEventListener("click", () => $("help").showModal());
$("keys-on")?.addEventListener("change", (event) => localStorage.setItem("keys", event.target.checked ? "on" : "off"));
if ($("keys-on")) $("keys-on").checked = localStorage.getItem("keys") !== "off";
$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});

localTimes(document);
connect();
ages();
setInterval(ages, 1000);
