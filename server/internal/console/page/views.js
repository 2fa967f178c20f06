// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// The five views. Each gives its content, and stops what it began when signal
// is aborted.

import { Refused, call, stream } from "./api.js";
import { bars, chip, el, field, table } from "./dom.js";
import { current, guesses, moment, number, t, word } from "./texts.js";

const tones = { ALLOW: "good", DELAY: "warn", CHALLENGE: "warn", DENY: "bad", INFO: "info", LOW: "info", MEDIUM: "warn", HIGH: "bad", CRITICAL: "bad", DONE: "good", RUNNING: "info", OPEN: "info", CANCELLED: "warn", FAILED: "bad" };
const toned = (value, prefix) => chip(tones[String(value).slice(prefix.length)] ?? "info", word(value, prefix));
const severe = (v) => toned(v, "SEVERITY_");

// explain says what is wrong in the words of the page.
export function explain(e) {
  if (!(e instanceof Refused)) return t("failed", e.name);
  if (e.status === 403) return t("noScope", e.reason || 403);
  return t("failed", e.reason || e.status);
}

// pause waits, or ends with signal.
const pause = (ms, signal) => new Promise((done, stop) => {
  const timer = setTimeout(done, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); stop(signal.reason); }, { once: true });
});

const head = (name) => [el("h2", {}, t(name)), el("p", { class: "lead" }, t(`${name}Text`))];

// Try a password.

const bytes = (s) => new TextEncoder().encode(s).length;

function judged(a) {
  const ok = a.decision === "DECISION_ACCEPT";
  const { guessesLog10 = 0, segments = [] } = a.strength ?? {};
  const found = a.breach?.found && (Number(a.breach.count) > 0 ? t("breachFound", number(a.breach.count)) : t("breachListed"));
  return el("div", { class: "sheet" },
    el("p", {}, chip(ok ? "good" : "bad", t(ok ? "accepted" : "rejected"))),
    el("label", { for: "meter" }, t("strength")), el("meter", { id: "meter", min: 0, max: 16, low: 6, high: 10, optimum: 16, value: Math.min(16, guessesLog10), "aria-valuetext": t("guesses", guesses(guessesLog10)) }),
    el("p", { class: "quiet" }, t("guesses", guesses(guessesLog10))),
    (a.violations ?? []).length > 0 && el("ul", { class: "plain" }, a.violations.map((v) => el("li", {}, v.message, " ", el("span", { class: "quiet" }, (v.clauses ?? []).join(", "))))),
    (a.advice ?? []).length > 0 && [el("h3", {}, t("advice")), el("ul", { class: "plain" }, a.advice.map((s) => el("li", {}, s)))],
    segments.length > 0 && [el("h3", {}, t("parts")), el("ul", { class: "plain" }, segments.map((s) => el("li", {}, t("part", word(s.kind, "SEGMENT_KIND_"), (s.start ?? 0) + 1, s.end))))],
    el("p", {}, found ? chip("bad", found) : t("breachNone"), " ", el("span", { class: "quiet" }, t(a.breach?.status ?? "BREACH_STATUS_SKIPPED"))));
}

export async function trying(signal) {
  const { policies = [] } = await call("policies:list", {}, signal);
  const policy = el("select", {}, policies.map((p) => el("option", { value: p.policy, selected: p.default }, p.default ? t("defaultPolicy", p.policy) : p.policy)));
  const password = el("input", { type: "password", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const login = el("input", { autocomplete: "off", maxlength: 200 });
  const show = el("button", { type: "button", "aria-pressed": "false", onclick() {
    const shown = password.type === "text";
    password.type = shown ? "password" : "text";
    show.setAttribute("aria-pressed", String(!shown));
    show.textContent = t(shown ? "show" : "hide");
  } }, t("show"));
  const verdict = el("div", { "aria-live": "polite" }, el("p", { class: "quiet" }, t("empty")));
  let last;
  const judge = async () => {
    last?.abort();
    const own = last = new AbortController();
    signal.addEventListener("abort", () => own.abort(), { once: true });
    const text = password.value;
    if (text === "") return verdict.replaceChildren(el("p", { class: "quiet" }, t("empty")));
    // What is over the cap is refused here: it need not travel.
    if (text.length > 4096 || bytes(text.normalize("NFC")) > 4096) return verdict.replaceChildren(el("p", { class: "fault" }, t("tooLong")));
    try {
      await pause(150, own.signal);
      const answer = await call("passwords:check", { password: text, policy: policy.value, locale: current(), context: { login: login.value } }, own.signal);
      verdict.replaceChildren(judged(answer));
    } catch (e) {
      if (!own.signal.aborted) verdict.replaceChildren(el("p", { class: "fault" }, explain(e)));
    }
  };
  const form = el("form", { onsubmit(e) { e.preventDefault(); judge(); }, oninput: judge },
    field("policy", t("policy"), policy), field("password", t("password"), password), show, field("login", t("login"), login));
  return [...head("try"), form, verdict];
}

// Logins.

const laneName = (l) => l.startsWith("prefix-") ? t("lane-prefix", l.slice(7)) : word(`lane-${l}`, word(`lane-${l}`) === `lane-${l}` ? "lane-" : "");

export async function logins(signal) {
  const subject = el("input", { autocomplete: "off", spellcheck: "false", maxlength: 512 });
  const ip = el("input", { autocomplete: "off", spellcheck: "false", maxlength: 64 });
  const lanes = el("div", { "aria-live": "polite" });
  const form = el("form", { async onsubmit(e) {
    e.preventDefault();
    if (Boolean(subject.value) === Boolean(ip.value)) return lanes.replaceChildren(el("p", { class: "fault" }, t("oneOf")));
    try {
      const { lanes: all = [] } = await call("throttle:get", subject.value ? { subject: subject.value } : { ip: ip.value }, signal);
      lanes.replaceChildren(all.length === 0 ? el("p", {}, t("noLanes")) : table(t("throttle"), [t("lane"), t("channel"), t("verdict"), t("wait"), t("failures"), t("budget")],
        all.map((l) => [laneName(l.lane), l.channel === "CHANNEL_UNSPECIFIED" ? "–" : word(l.channel, "CHANNEL_"), toned(l.verdict, "VERDICT_"), parseFloat(l.retryAfter) > 0 ? t("seconds", number(Math.ceil(parseFloat(l.retryAfter)))) : "–", number(l.failures), number(l.budget)])));
    } catch (fault) {
      if (!signal.aborted) lanes.replaceChildren(el("p", { class: "fault" }, explain(fault)));
    }
  } }, field("subject", t("subject"), subject), field("ip", t("ip"), ip), el("button", {}, t("look")));

  const state = el("p", { class: "quiet" }, t("watching"));
  const seen = [], list = el("div", { "aria-live": "polite" }, el("p", {}, t("noSignals")));
  const watch = async () => {
    for (let wait = 1000; !signal.aborted; wait = Math.min(30_000, 2 * wait)) {
      try {
        for await (const s of stream("throttle:watch", {}, signal)) {
          wait = 1000;
          seen.unshift(s);
          seen.length = Math.min(seen.length, 200);
          list.replaceChildren(table(t("signals"), [t("signal"), t("severity"), t("time"), t("about")],
            seen.map((x) => [word(x.signal), severe(x.severity), moment(x.time), x.prefix || x.subject || "–"])));
        }
      } catch (fault) {
        if (signal.aborted) return;
        state.textContent = t("notWatching", explain(fault));
        if (fault instanceof Refused && fault.status === 403) return;
      }
      await pause(wait, signal);
      state.textContent = t("watching");
    }
  };
  watch().catch(() => {}); // ends with the view
  return [...head("throttle"), form, lanes, el("h3", {}, t("signals")), el("p", { class: "lead" }, t("signalsText")), state, list];
}

// Corpora.

function age(built) {
  const days = Math.floor((Date.now() - new Date(built)) / 86_400_000);
  return days < 1 ? t("today") : t("days", number(days));
}

export async function corpora(signal) {
  const { corpora: all = [] } = await call("corpora:list", {}, signal);
  const rows = all.map((c) => [c.name, word(c.kind, "HASH_KIND_"), c.version, number(c.entries), c.built ? `${moment(c.built)} (${age(c.built)})` : "–",
    el("span", { class: "row" }, c.fault ? chip("bad", t("fault", c.fault)) : c.canaries ? chip("good", t("sound")) : chip("bad", t("noCanaries")), c.refused ? chip("warn", t("refused", c.refused)) : "")]);
  return [...head("corpora"), rows.length === 0 ? el("p", { class: "sheet" }, t("noCorpora")) : table(t("corpora"), ["name", "kind", "version", "entries", "built", "state"].map((h) => t(h)), rows)];
}

// Audits.

const kinds = (a) => Object.entries(a.findingsByKind ?? {}).map(([k, n]) => [word(k, "FINDING_KIND_"), Number(n)]).sort((x, y) => y[1] - x[1]);
const total = (a) => kinds(a).reduce((sum, [, n]) => sum + n, 0);

async function save(id, format, signal) {
  const r = await call("audits:report", { id, format: `FORMAT_${format}`, locale: current() }, signal);
  const content = Uint8Array.from(atob(r.content), (c) => c.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  el("a", { href: url, download: `audit-${id}.${format.toLowerCase()}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function detail(into, id, signal) {
  const body = el("div"), fault = el("p", { class: "fault", role: "alert" });
  const title = el("h3", { tabindex: "-1" }, t("loading"));
  into.replaceChildren(title, body, fault);
  for (let first = true; ; first = false) {
    const { audit: a } = await call("audits:get", { id }, signal);
    const running = a.state === "STATE_RUNNING";
    const data = kinds(a);
    const { findings = [] } = await call("audits:findings", { id }, signal);
    title.textContent = t("auditOf", moment(a.createTime));
    body.replaceChildren(
      el("p", {}, toned(a.state, "STATE_"), " ", t("progress", number(a.recordsDone), number(a.recordsTotal))),
      el("progress", { max: Math.max(1, a.recordsTotal ?? 0), value: a.recordsDone ?? 0, "aria-label": t("progress", number(a.recordsDone), number(a.recordsTotal)) }),
      el("p", {}, a.stopReason ? t("stopped", a.stopReason) : ""),
      el("p", {}, a.difference ? t("since", number(a.difference.new), number(a.difference.gone)) : ""),
      data.length === 0 ? el("p", {}, t("noFindings")) : el("div", { class: "sheet" }, el("p", {}, t("byKind")), bars(t("byKind"), data)),
      el("div", { class: "row" }, ["HTML", "JSON", "CSV", "SARIF"].map((f) => el("button", { type: "button", disabled: running, async onclick() {
        try { await save(id, f, signal); } catch (e) { if (!signal.aborted) fault.textContent = explain(e); }
      } }, `${t("report")}: ${f}`))),
      findings.length === 0 ? "" : el("div", {}, el("h3", {}, t("more")), table(t("more"), [t("record"), t("kind"), t("severity"), t("band"), t("remedy")],
        findings.slice(0, 50).map((f) => [f.recordId, word(f.kind, "FINDING_KIND_"), severe(f.severity), f.rankBand || "–", f.remedy]))));
    if (first) title.focus();
    if (!running) return;
    await pause(2000, signal);
  }
}

export async function audits(signal) {
  const { audits: all = [] } = await call("audits:list", {}, signal);
  all.sort((a, b) => String(b.createTime).localeCompare(String(a.createTime)));
  const shown = el("div");
  let one;
  const rows = all.map((a) => [moment(a.createTime), toned(a.state, "STATE_"), `${number(a.recordsDone)} / ${number(a.recordsTotal)}`, number(total(a)),
    el("button", { type: "button", "aria-label": `${t("open")}: ${moment(a.createTime)}`, async onclick() {
      one?.abort();
      const own = one = new AbortController();
      signal.addEventListener("abort", () => own.abort(), { once: true });
      try { await detail(shown, a.id, own.signal); } catch (e) { if (!own.signal.aborted) shown.replaceChildren(el("p", { class: "fault" }, explain(e))); }
    } }, t("open"))]);
  return [...head("audits"), rows.length === 0 ? el("p", { class: "sheet" }, t("noAudits")) : table(t("audits"), [t("begun"), t("state"), t("records"), t("findings"), t("open")], rows), shown];
}

// Exposure.

export async function exposure(signal) {
  const { findings = [] } = await call("exposure:get", { locale: current() }, signal);
  if (findings.length === 0) return [...head("exposure"), el("p", { class: "sheet" }, chip("good", t("noExposure")))];
  const order = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO"];
  const rank = (f) => order.indexOf(f.severity.slice("SEVERITY_".length));
  const counts = order.map((s) => [word(s), findings.filter((f) => f.severity === `SEVERITY_${s}`).length, tones[s]]).filter(([, n]) => n > 0);
  return [...head("exposure"), el("div", { class: "sheet" }, bars(t("severity"), counts)),
    table(t("exposure"), [t("check"), t("severity"), t("finding"), t("fix"), t("clauses")],
      findings.sort((a, b) => rank(a) - rank(b)).map((f) => [f.check, severe(f.severity), f.message, f.fix, (f.clauses ?? []).join(", ")]))];
}
