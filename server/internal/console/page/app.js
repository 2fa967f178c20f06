// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

import { Refused, call, signIn } from "./api.js";
import { el } from "./dom.js";
import { choose, current, t } from "./texts.js";
import { audits, corpora, explain, exposure, logins, trying } from "./views.js";

const views = { try: trying, throttle: logins, corpora, audits, exposure };
const $ = (id) => document.getElementById(id);
let entered = false, shown = new AbortController();

// speak puts everything that stands in the page itself into the language.
function speak() {
  document.documentElement.lang = current();
  $("locale").value = current();
  for (const e of document.querySelectorAll("[data-text]")) e.textContent = t(e.dataset.text);
  $("nav").setAttribute("aria-label", "watchword");
  $("nav").replaceChildren(...Object.keys(views).map((name) => el("a", { href: `#${name}`, "aria-current": name === at() && "page" }, t(name))));
}

const at = () => Object.hasOwn(views, location.hash.slice(1)) ? location.hash.slice(1) : "try";

// draw shows the view that the address names; what the one before it was
// still doing ends.
async function draw(focus) {
  speak();
  for (const id of ["nav", "leave"]) $(id).hidden = !entered;
  $("enter").hidden = entered;
  shown.abort();
  const own = shown = new AbortController();
  $("view").replaceChildren();
  if (!entered) return $("key").focus();
  $("status").textContent = t("loading");
  try {
    const content = await views[at()](own.signal);
    if (own.signal.aborted) return;
    $("view").replaceChildren(...content);
    $("status").textContent = t(at());
  } catch (e) {
    if (own.signal.aborted) return;
    if (e instanceof Refused && e.status === 401) return leave(t("badKey"));
    $("view").replaceChildren(el("h2", {}, t(at())), el("p", { class: "fault", role: "alert" }, explain(e)));
  }
  if (focus) $("main").focus();
}

function leave(why) {
  signIn("");
  entered = false;
  $("key-fault").textContent = why ?? "";
  draw();
}

$("key-form").addEventListener("submit", async (e) => {
  e.preventDefault();
  const secret = $("key").value.trim();
  $("key").value = "";
  // A header takes no other characters, and no key or access token has them.
  if (!/^[\x21-\x7e]{1,8192}$/.test(secret)) return leave(t("badKey"));
  signIn(secret);
  try {
    await call("policies:list");
  } catch (fault) {
    if (!(fault instanceof Refused)) return leave(explain(fault));
    if (fault.status !== 403) return leave(t("badKey"));
  }
  $("key-fault").textContent = "";
  entered = true;
  draw(true);
});
$("leave").addEventListener("click", () => leave());
$("locale").addEventListener("change", () => { choose($("locale").value); draw(); });
// The address names the view, so the way past the menu must not go through it.
$("skip").addEventListener("click", (e) => { e.preventDefault(); $("main").focus(); });
addEventListener("hashchange", () => draw(true));
draw();
