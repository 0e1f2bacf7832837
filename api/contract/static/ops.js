// Replaces the panels of /ops as the server sends them. Without this script the page is complete, but old.
"use strict";
const said = document.getElementById("stream");
const panels = [...document.querySelectorAll("section.panel")];
// After so many intervals without a sign of life, but not while the browser connects again after a stream's end.
const MISSED_MAX = 3;
const LOST_MS_MIN = 5000;
const CONNECT_MS = 3000;
let lost = 0;
let isBroken = false;
let since = "";

function replace(id, html) {
  const panel = document.getElementById(id);
  if (!panel) return;
  const focused = panel.contains(document.activeElement) ? document.activeElement : null;
  const name = focused && (focused.getAttribute("href") || focused.getAttribute("aria-label"));
  const scrolled = [...panel.querySelectorAll(".wide")].map((wide) => wide.scrollLeft);
  panel.innerHTML = html;
  panel.querySelectorAll(".wide").forEach((wide, at) => (wide.scrollLeft = scrolled[at] || 0));
  if (name) {
    const same = [...panel.querySelectorAll("[href], [aria-label]")].find(
      (one) => one.getAttribute("href") === name || one.getAttribute("aria-label") === name,
    );
    if (same) same.focus({ preventScroll: true });
  }
}

function say(state, text) {
  said.dataset.state = state;
  if (said.textContent !== text) said.textContent = text;
}

function sayLost(why) {
  say("lost", `Not live${since}: ${why}`);
}

// Says that the page is not live unless a sign of life is here in time.
function expect(ms) {
  clearTimeout(lost);
  lost = setTimeout(() => sayLost("nothing comes from the API"), ms);
}

function onAlive(event) {
  const { at, next_s: nextS } = JSON.parse(event.data);
  since = ` since ${at.slice(11, 19)} UTC`;
  isBroken = false;
  say("live", "Live");
  expect(Math.max(LOST_MS_MIN, MISSED_MAX * nextS * 1000));
}

function listen() {
  const address = said.dataset.events;
  if (!address) return say("off", "Not refreshed");
  const stream = new EventSource(address);
  if (!isBroken) expect(LOST_MS_MIN);
  stream.addEventListener("alive", onAlive);
  stream.addEventListener("panels", (event) => {
    for (const [id, html] of Object.entries(JSON.parse(event.data))) replace(id, html);
    document.title = `${document.querySelector("[data-worst]").dataset.worst} – Lag – Shutterline`;
  });
  stream.addEventListener("error", () => {
    // A stream ends every few minutes, and the browser connects again by itself.
    if (!isBroken) expect(LOST_MS_MIN);
    isBroken = true;
    if (stream.readyState !== EventSource.CLOSED) return;
    // After a refusal, such as 401, 429 or 503, it does not. The browser does not tell a script which one.
    clearTimeout(lost);
    sayLost("the stream was refused; reload the page to see why");
    setTimeout(listen, CONNECT_MS);
  });
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector("input[type=search]").focus();
  } else if (event.key === "r") {
    location.reload();
  } else if (event.key === "j" || event.key === "k") {
    const tops = panels.map((panel) => panel.getBoundingClientRect().top);
    const below = tops.findIndex((top) => top > 8);
    const above = tops.findLastIndex((top) => top < -8);
    const next = event.key === "j" ? below : above;
    if (next >= 0) panels[next].scrollIntoView();
  }
}

document.addEventListener("keydown", onKey);
document.querySelector("select[name=refresh]").addEventListener("change", (event) => event.target.form.submit());
listen();
