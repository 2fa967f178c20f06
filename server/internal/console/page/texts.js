// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Everything the page says, in both languages. What the server says comes in
// the language of the request.

const en = {
  skip: "Skip to content", language: "Language", leave: "Sign out", enterTitle: "Enter a key", key: "API key or access token", enter: "Enter",
  enterText: "The page shows what the key may see. It keeps the key in memory only: closing or reloading the page forgets it. A new server has its first key in admin.key in its data directory.",
  try: "Try a password", throttle: "Logins", corpora: "Corpora", audits: "Audits", exposure: "Exposure",
  badKey: "This key is not accepted here.", noScope: "This key may not see this ({0}).", failed: "The server gave no answer ({0}).", loading: "Loading …",

  tryText: "Judged as a signup would be, as you type. It goes to this server alone and is neither kept nor logged.",
  policy: "Policy", defaultPolicy: "{0} (default)", password: "Password", show: "Show", hide: "Hide", login: "Account name, for context",
  accepted: "Accepted", rejected: "Rejected", guesses: "About {0} guesses", strength: "Strength", empty: "Type a password.", tooLong: "A password has at most 4,096 bytes.",
  clauses: "Clauses", advice: "Advice", parts: "What it is made of", part: "{0}, characters {1} to {2}", breachFound: "In breach corpora, seen {0} times.", breachNone: "In no breach corpus that was asked.",
  breachListed: "In a list of common or breached passwords.",
  BREACH_STATUS_PERFORMED: "Every configured corpus was asked.", BREACH_STATUS_DEGRADED: "A configured corpus could not be asked: only the embedded list was.", BREACH_STATUS_SKIPPED: "No corpus is configured: only the embedded list was asked.",
  BRUTEFORCE: "nothing known", LISTED: "listed password", WORD: "word", NAME: "name", PINYIN: "pinyin", HANZI: "Chinese word", DATE: "date", YEAR: "year", PHONE: "phone number", ID_NUMBER: "id number",
  KEYBOARD: "keyboard walk", SEQUENCE: "sequence", REPEAT: "repetition", CONTEXT: "from the context", LOVE_DIGITS: "digits with a meaning",

  throttleText: "The budgets of an account, or of a network address, as the next attempt would find them.",
  subject: "Account", ip: "or address", look: "Look", oneOf: "Fill in one of the two.", lane: "Lane", channel: "Channel", verdict: "Next attempt", failures: "Failures", budget: "Budget", wait: "Wait", seconds: "{0} s",
  noLanes: "Nothing is counted here.", signals: "Signals", signalsText: "What was noticed since this page was opened.", noSignals: "Nothing so far.", watching: "Watching", notWatching: "Not watching: {0}", time: "Time", signal: "Signal", about: "About",
  ALLOW: "allowed", DELAY: "must wait", CHALLENGE: "challenge", DENY: "denied", PASSWORD: "password", OTP: "one-time code", RESET_CODE: "reset code",
  "lane-subject": "account, unknown devices", "lane-device": "account, known device", "lane-prefix": "network /{0}",
  SPRAY: "One password at many accounts", STUFFING: "Many accounts from one network", SUCCESS_AFTER_FAILURES: "Success after failures", SUCCESS_IN_ATTACK: "Success during an attack",

  corporaText: "What passwords are looked up in, beside the embedded list.", noCorpora: "No corpus is configured.", name: "Name", kind: "Kind", version: "Version", entries: "Entries", built: "Built", days: "{0} days ago", today: "today", state: "State", sound: "sound", fault: "unusable: {0}", refused: "newer file refused: {0}", noCanaries: "canaries not found",

  auditsText: "What was found in stored credentials. Ids are shown as the audit was given them; passwords never are.", noAudits: "There is no audit yet.", begun: "Begun", records: "Records", findings: "Findings", open: "Open", auditOf: "Audit of {0}", progress: "{0} of {1} records", byKind: "Findings by kind", noFindings: "Nothing was found.", since: "Since the audit before: {0} new, {1} gone.", report: "Report", more: "First findings", record: "Record", severity: "Severity", remedy: "Remedy", band: "Within guesses", stopped: "Guessing stopped early: {0}.",
  OPEN: "open", RUNNING: "running", DONE: "done", CANCELLED: "cancelled", FAILED: "failed",
  WEAK: "weak", BREACHED: "breached", CONTEXT_DERIVED: "made from own data", DEFAULT_CREDENTIAL: "default credential", SHARED: "shared password", LEGACY_HASH: "legacy hash", BELOW_FLOOR: "below the floor", NO_PEPPER: "no pepper", STALE: "stale", DORMANT: "dormant", MALFORMED: "malformed", NEVER_CHANGED: "never changed",

  exposureText: "What is reachable, readable, old or weak in this installation, each with the clause and the remedy.", noExposure: "Nothing was found.", check: "Check", finding: "Finding", fix: "Remedy",
  INFO: "info", LOW: "low", MEDIUM: "medium", HIGH: "high", CRITICAL: "critical",
};

const zh = {
  skip: "跳到内容", language: "语言", leave: "退出", enterTitle: "输入密钥", key: "API 密钥或访问令牌", enter: "进入",
  enterText: "本页面只显示该密钥有权查看的内容。密钥只保存在内存中，关闭或刷新页面即被清除。新装服务的首个密钥在数据目录的 admin.key 文件中。",
  try: "试一个密码", throttle: "登录", corpora: "泄露库", audits: "审计", exposure: "暴露面",
  badKey: "此处不接受该密钥。", noScope: "该密钥无权查看此内容（{0}）。", failed: "服务器没有应答（{0}）。", loading: "正在加载……",

  tryText: "边输入边按注册时的规则评判。密码只发给本服务器，不保存，也不记入日志。",
  policy: "策略", defaultPolicy: "{0}（默认）", password: "密码", show: "显示", hide: "隐藏", login: "账号名（作为上下文）",
  accepted: "通过", rejected: "不通过", guesses: "约需 {0} 次猜测", strength: "强度", empty: "请输入密码。", tooLong: "密码最多 4,096 字节。",
  clauses: "条款", advice: "建议", parts: "组成", part: "{0}，第 {1} 至 {2} 个字符", breachFound: "出现在泄露库中，共 {0} 次。", breachNone: "不在所查询的泄露库中。",
  breachListed: "在常见或已泄露密码列表中。",
  BREACH_STATUS_PERFORMED: "已查询全部已配置的泄露库。", BREACH_STATUS_DEGRADED: "有已配置的泄露库无法查询，只查询了内置列表。", BREACH_STATUS_SKIPPED: "没有配置泄露库，只查询了内置列表。",
  BRUTEFORCE: "无已知规律", LISTED: "列表中的密码", WORD: "单词", NAME: "姓名", PINYIN: "拼音", HANZI: "中文词语", DATE: "日期", YEAR: "年份", PHONE: "电话号码", ID_NUMBER: "身份证号",
  KEYBOARD: "键盘走位", SEQUENCE: "连续字符", REPEAT: "重复", CONTEXT: "来自上下文", LOVE_DIGITS: "谐音数字",

  throttleText: "某个账号或网络地址的额度，即下一次尝试将遇到的情形。",
  subject: "账号", ip: "或地址", look: "查询", oneOf: "请填写其中一项。", lane: "通道", channel: "渠道", verdict: "下一次尝试", failures: "失败次数", budget: "额度", wait: "等待", seconds: "{0} 秒",
  noLanes: "此处没有计数。", signals: "信号", signalsText: "打开本页面以来发现的情况。", noSignals: "暂无。", watching: "监视中", notWatching: "未监视：{0}", time: "时间", signal: "信号", about: "对象",
  ALLOW: "允许", DELAY: "须等待", CHALLENGE: "须验证", DENY: "拒绝", PASSWORD: "密码", OTP: "一次性验证码", RESET_CODE: "重置码",
  "lane-subject": "账号，未知设备", "lane-device": "账号，已知设备", "lane-prefix": "网段 /{0}",
  SPRAY: "同一密码尝试多个账号", STUFFING: "同一网段尝试多个账号", SUCCESS_AFTER_FAILURES: "多次失败后成功", SUCCESS_IN_ATTACK: "攻击期间成功",

  corporaText: "除内置列表外，用于查询密码的泄露库。", noCorpora: "没有配置泄露库。", name: "名称", kind: "类型", version: "版本", entries: "条目", built: "构建时间", days: "{0} 天前", today: "今天", state: "状态", sound: "正常", fault: "不可用：{0}", refused: "新文件被拒绝：{0}", noCanaries: "未找到校验条目",

  auditsText: "在已存储的凭据中发现的问题。编号按审计时所给的显示，密码从不显示。", noAudits: "还没有审计。", begun: "开始时间", records: "记录", findings: "发现", open: "打开", auditOf: "{0} 的审计", progress: "{0}/{1} 条记录", byKind: "各类发现", noFindings: "没有发现问题。", since: "与上一次审计相比：新增 {0} 项，消除 {1} 项。", report: "报告", more: "部分发现", record: "记录", severity: "严重程度", remedy: "处置", band: "猜测次数以内", stopped: "猜测提前结束：{0}。",
  OPEN: "待上传", RUNNING: "进行中", DONE: "已完成", CANCELLED: "已取消", FAILED: "失败",
  WEAK: "弱密码", BREACHED: "已泄露", CONTEXT_DERIVED: "由个人信息组成", DEFAULT_CREDENTIAL: "默认凭据", SHARED: "与他人相同", LEGACY_HASH: "旧散列", BELOW_FLOOR: "低于下限", NO_PEPPER: "无胡椒", STALE: "长期未更换", DORMANT: "长期未登录", MALFORMED: "格式错误", NEVER_CHANGED: "从未更换",

  exposureText: "本安装中可达、可读、过旧或薄弱之处，各附条款与处置办法。", noExposure: "没有发现问题。", check: "检查项", finding: "发现", fix: "处置",
  INFO: "提示", LOW: "低", MEDIUM: "中", HIGH: "高", CRITICAL: "严重",
};

export const locales = { en, "zh-CN": zh };
let locale = navigator.language.startsWith("zh") ? "zh-CN" : "en";

export const current = () => locale;
export function choose(l) {
  if (Object.hasOwn(locales, l)) locale = l;
}

// t gives a text with its places filled in.
export const t = (name, ...values) => locales[locale][name].replace(/\{(\d)\}/g, (_, i) => values[i]);

// word gives the text of a value of the interface, such as SEVERITY_HIGH; one
// that is newer than this page stands as it is.
export function word(value, prefix = "") {
  const name = String(value).startsWith(prefix) ? String(value).slice(prefix.length) : String(value);
  return Object.hasOwn(locales[locale], name) ? t(name) : name;
}

export const number = (n) => new Intl.NumberFormat(locale).format(Number(n ?? 0));

// guesses writes ten to the power of log, in words that people use.
export const guesses = (log) => log < 15 ? new Intl.NumberFormat(locale, { notation: "compact", maximumSignificantDigits: 2 }).format(10 ** log) : `10^${Math.floor(log)}`;

export const moment = (s) => s ? new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(new Date(s)) : "–";
