// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// A form that judges a password while it is typed. Copy it, set the policy, and
// send the form to your own back end, which asks CheckPassword or SetPassword:
// what a browser says decides nothing.

import { load, WatchwordError } from "../index.js";

// In your page: the name of a built-in policy, or what GetPolicy answered to
// your back end.
const policy = "nist-800-63b-4";

const texts = {
  en: {
    title: "Create an account", login: "User name", password: "Password", show: "Show", hide: "Hide", rules: "All rules", strength: "Strength:",
    submit: "Create account", scores: ["very weak", "weak", "fair", "good", "strong"], none: "nothing entered yet",
    good: "This password keeps to every rule that can be checked here. The service has the last word.",
    first: "Choose a password that keeps to the rules first.", loading: "The meter is being loaded …",
    broken: "The meter cannot be used. You can go on: the service judges the password in any case.",
    sent: "This example sends nothing.",
    PASSWORD_TOO_LARGE: "The password is too long.", PASSWORD_NOT_TEXT: "The password holds half a character. Please type it again.",
    PASSWORD_CONTROL: "The password holds a character that cannot be typed, such as a tab or line break.",
  },
  "zh-CN": {
    title: "创建账户", login: "用户名", password: "密码", show: "显示", hide: "隐藏", rules: "全部规则", strength: "强度：",
    submit: "创建账户", scores: ["很弱", "弱", "一般", "较强", "强"], none: "尚未输入",
    good: "该密码符合此处可检查的所有规则，最终以服务端的判断为准。",
    first: "请先选择符合规则的密码。", loading: "正在加载密码强度检测……",
    broken: "密码强度检测不可用。您可以继续操作，服务端仍会检查密码。",
    sent: "本示例不会发送任何内容。",
    PASSWORD_TOO_LARGE: "密码过长。", PASSWORD_NOT_TEXT: "密码中含有不完整的字符，请重新输入。",
    PASSWORD_CONTROL: "密码中含有无法键入的字符，例如制表符或换行符。",
  },
};

const asked = new URLSearchParams(location.search).get("lang") ?? navigator.language;
const locale = asked.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
const text = texts[locale];

const form = document.forms[0];
const [login, password, show, hint, meter, level, explanation, rules, sent] =
  ["login", "password", "show", "hint", "strength", "strength-text", "explanation", "rules", "sent"]
    .map((id) => document.getElementById(id));

document.documentElement.lang = locale;
document.title = text.title;
for (const element of document.querySelectorAll("[data-text]")) {
  element.textContent = text[element.dataset.text];
}
for (const link of document.querySelectorAll("nav a")) {
  if (link.hreflang === locale) {
    link.setAttribute("aria-current", "true");
  }
}

// Whatever is shown goes through textContent, so nothing of it is ever markup.
function line(tag, content, name) {
  const element = document.createElement(tag);
  element.textContent = content;
  if (name) {
    element.className = name;
  }
  return element;
}

function explain(...elements) {
  explanation.replaceChildren(...elements);
}

let engine;
let refused;

function judge() {
  let verdict;
  refused = false;
  sent.textContent = "";
  let log10 = 0;
  let word = text.none;
  if (engine === undefined || password.value === "") {
    explain();
  } else {
    try {
      verdict = engine.check(password.value, { policy, locale, context: { login: login.value } });
      refused = verdict.decision !== "DECISION_ACCEPT";
      log10 = verdict.strength.guessesLog10;
      word = text.scores[verdict.strength.score];
      const list = document.createElement("ul");
      list.append(...verdict.violations.map((v) => line("li", v.message, "violation")), ...verdict.advice.map((a) => line("li", a, "advice")));
      explain(...(refused ? [] : [line("p", text.good, "good")]), ...(list.childElementCount > 0 ? [list] : []));
    } catch (error) {
      const known = error instanceof WatchwordError ? text[error.reason] : undefined;
      word = "–";
      refused = known !== undefined;
      explain(line("p", known ?? text.broken));
    }
  }
  // The bar shows no more than the verdict: what is refused is never green.
  meter.value = Math.min(log10, refused ? 9.9 : 12);
  meter.setAttribute("aria-valuetext", word);
  level.textContent = word;
  password.setAttribute("aria-invalid", String(refused));
}

// One judgement when typing pauses: screen readers are not talked over, and
// what is typed fast costs nothing.
let timer;
function soon() {
  clearTimeout(timer);
  timer = setTimeout(judge, 150);
}
password.addEventListener("input", soon);
login.addEventListener("input", soon);

function reveal(shown) {
  password.type = shown ? "text" : "password";
  show.textContent = shown ? text.hide : text.show;
}
show.addEventListener("click", () => reveal(password.type === "password"));

form.addEventListener("submit", (event) => {
  clearTimeout(timer);
  judge();
  if (refused) {
    event.preventDefault();
    sent.textContent = text.first;
    password.focus();
    return;
  }
  reveal(false); // or the browser remembers it as it does any text
  event.preventDefault(); // leave this line and the next out of your page
  sent.textContent = text.sent;
});

explain(line("p", text.loading));
level.textContent = text.none;
meter.setAttribute("aria-valuetext", text.none);
try {
  engine = await load();
  const described = engine.describePolicy(policy, { locale });
  password.setAttribute("passwordrules", described.passwordRules);
  hint.textContent = described.form.sentences[0];
  rules.replaceChildren(...described.form.sentences.map((s) => line("li", s)));
  judge();
} catch {
  explain(line("p", text.broken));
}
