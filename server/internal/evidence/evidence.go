// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package evidence holds an installation against a standard, clause by clause:
// the setting in force, the automated tests of the mechanism, what was checked
// just now, and what follows. It says what is not met, and what no program can
// meet, as plainly as the rest; it certifies nothing.
package evidence

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/watchword-project/watchword/server/internal/exposure"
	"github.com/watchword-project/watchword/server/internal/policy"
)

// Facts are what is known of the installation.
type Facts struct {
	exposure.Facts
	// Running tells that a running server gave the facts: they are what it has in
	// force, and not what its files say.
	Running bool
	// Version describes the program.
	Version string
	// Policies are those in force, by tenant.
	Policies []InForce
	// Embedded is how many common passwords the embedded list holds.
	Embedded int
	// Store is embedded, postgres or redis.
	Store string
	// Pepper is where the pepper's keys lie.
	Pepper Pepper
	// Webhook tells that somebody is told of signals.
	Webhook bool
}

// InForce is a policy that judges a tenant's passwords.
type InForce struct {
	Tenant string
	Policy *policy.Policy
	// Fitting is how much of the embedded list is as long as the policy asks.
	Fitting int
}

// Pepper says where the pepper's keys lie.
type Pepper struct {
	Keys int
	// Beside tells that they lie in the data directory, beside what they seal.
	Beside bool
}

// Result is what follows for a clause.
type Result string

// The results, worst first.
const (
	NotMet         Result = "not_met"
	Partly         Result = "partly"
	Organisational Result = "organisational" // for people to see to, and for no program
	NotApplicable  Result = "not_applicable"
	Met            Result = "met"
)

// Results lists the results in the order in which they are told.
var Results = []Result{Met, Partly, NotMet, Organisational, NotApplicable}

// Standards are the names of the standards.
func Standards() []string {
	var out []string
	for _, s := range standards {
		out = append(out, s.id)
	}
	return out
}

// Check is something that was tried while the evidence was gathered.
type Check struct {
	Name string `json:"name"`
	// Held is false where the check speaks against the clause.
	Held   bool   `json:"held"`
	Detail string `json:"detail"`
}

// Row is one clause.
type Row struct {
	Clause string `json:"clause"`
	// Unit is the item of the assessment guide, where it has numbers of its own.
	Unit string `json:"unit,omitempty"`
	Asks string `json:"asks"`
	// Setting is what is in force, a sentence each.
	Setting []string `json:"setting"`
	// Tests prove the mechanism: package and name of Go tests in the source.
	Tests  []string `json:"tests"`
	Checks []Check  `json:"checks"`
	Result Result   `json:"result"`
	Why    []string `json:"why"`
}

// Pack is the evidence for one standard.
type Pack struct {
	Standard string         `json:"standard"`
	Title    string         `json:"title"`
	Locale   string         `json:"locale"`
	AsOf     time.Time      `json:"asOf"`
	Program  string         `json:"program"`
	Source   string         `json:"source"`
	Notice   string         `json:"notice"`
	Results  map[Result]int `json:"results"`
	Rows     []Row          `json:"rows"`
}

// text is a sentence in the languages of a pack.
type text struct{ en, zh string }

func (t text) in(locale string) string {
	if locale == "zh-CN" {
		return t.zh
	}
	return t.en
}

// say fills two sentences with the same arguments; one that is a text itself is
// told in the language of each.
func say(en, zh string, args ...any) text {
	inEnglish, inChinese := slices.Clone(args), slices.Clone(args)
	for i, a := range args {
		if t, ok := a.(text); ok {
			inEnglish[i], inChinese[i] = t.en, t.zh
		}
	}
	return text{fmt.Sprintf(en, inEnglish...), fmt.Sprintf(zh, inChinese...)}
}

// judgement is a result with its reason.
type judgement struct {
	result Result
	why    text
}

func met(en, zh string, args ...any) judgement    { return judgement{Met, say(en, zh, args...)} }
func partly(en, zh string, args ...any) judgement { return judgement{Partly, say(en, zh, args...)} }
func notMet(en, zh string, args ...any) judgement { return judgement{NotMet, say(en, zh, args...)} }

// clause is one clause of a standard.
type clause struct {
	id, unit string
	asks     text
	// settings tell what is in force.
	settings []setting
	// rule is the clause's id in package policy, if it is for a policy to keep.
	rule string
	// tests prove the mechanism, checks of the examination speak against it.
	tests, checks []string
	// judge gives the result as far as the facts go; nil where the rule decides.
	judge func(*Facts) judgement
}

type setting func(*Facts) []text

type standard struct {
	id    string
	title text
	// rules is the standard's name in package policy.
	rules   string
	clauses []clause
}

// Gather holds the facts against a standard. It returns false for a standard it
// does not know.
func Gather(f *Facts, name, locale string) (*Pack, bool) {
	i := slices.IndexFunc(standards, func(s standard) bool { return s.id == name })
	if i < 0 {
		return nil, false
	}
	s := standards[i]
	p := &Pack{Standard: s.id, Title: s.title.in(locale), Locale: locale, AsOf: f.Now.UTC().Truncate(time.Second), Program: f.Version,
		Source: atRest.in(locale), Notice: notice.in(locale), Results: map[Result]int{}}
	if f.Running {
		p.Source = running.in(locale)
	}
	found := exposure.Examine(f.Facts)
	for _, c := range s.clauses {
		row := c.hold(f, s.rules, found, locale)
		p.Results[row.Result]++
		p.Rows = append(p.Rows, row)
	}
	return p, true
}

var (
	running = text{"the running server: what it has in force", "运行中的服务：以下为实际生效的设置"}
	atRest  = text{"configuration and data at rest: no server was running", "配置文件与静态数据：当时没有服务在运行"}
	notice  = text{
		"This is no certificate and no assessment: watchword is one component, no assessor has looked at this, and whether a standard is met is for an assessor to say about a whole system. Clauses are told in our own words. The tests named are part of the source of this version and were not run for this page; the checks were.",
		"本材料不是认证，也不是测评结论：watchword 只是一个组件，未经测评机构审查；是否符合标准须由测评方针对整个系统认定。条款文字为我们的转述。所列自动化测试属于本版本源代码，生成本页时并未运行；“即时检查”则是生成本页时实际执行的。"}
)

func (c *clause) hold(f *Facts, rules string, found []exposure.Finding, locale string) Row {
	row := Row{Clause: c.id, Unit: c.unit, Asks: c.asks.in(locale), Tests: c.tests, Setting: []string{}, Checks: []Check{}, Why: []string{}}
	if row.Tests == nil {
		row.Tests = []string{}
	}
	for _, s := range c.settings {
		for _, t := range s(f) {
			row.Setting = append(row.Setting, t.in(locale))
		}
	}
	var verdicts []judgement
	if c.judge != nil {
		verdicts = append(verdicts, c.judge(f))
	}
	if c.rule != "" {
		for _, p := range f.Policies {
			row.Setting = append(row.Setting, policyLine(p).in(locale))
			verdicts = append(verdicts, c.tried(p, rules, locale, &row)...)
		}
		if len(f.Policies) == 0 {
			verdicts = append(verdicts, notMet("no policy is known to be in force", "未能确定生效的策略"))
		}
	}
	// What people must see to is theirs; what was found is told all the same.
	row.Result = verdicts[0].result
	decided := row.Result != Organisational && row.Result != NotApplicable
	for _, name := range c.checks {
		check := Check{Name: doctor + name, Held: true, Detail: silent.in(locale)}
		for _, x := range found {
			if x.Check != name {
				continue
			}
			if !check.Held {
				check.Detail += "; "
			} else {
				check.Held, check.Detail = false, ""
			}
			check.Detail += x.Message(locale)
			result := Partly
			if x.Severity >= exposure.High {
				result = NotMet
			}
			if decided {
				verdicts = append(verdicts, judgement{result, text{x.Message("en"), x.Message("zh-CN")}})
			}
		}
		row.Checks = append(row.Checks, check)
	}
	for _, v := range verdicts {
		if decided && rank(v.result) < rank(row.Result) {
			row.Result = v.result
		}
	}
	for _, v := range verdicts {
		// Beside what is not met, what is needs no word.
		if why := v.why.in(locale); (v.result != Met || row.Result == Met) && why != "" && !slices.Contains(row.Why, why) {
			row.Why = append(row.Why, why)
		}
	}
	return row
}

// doctor begins the names of the checks of the examination.
const doctor = "doctor "

var silent = text{"found nothing", "未发现问题"}

func rank(r Result) int {
	return slices.Index([]Result{NotMet, Partly, Organisational, NotApplicable, Met}, r)
}

// tried judges a policy by the clause's own words and by its golden vectors.
func (c *clause) tried(p InForce, rules, locale string, row *Row) (out []judgement) {
	found := false
	for k, en := range p.Policy.Conformance(rules, "en") {
		if en.ID != c.rule {
			continue
		}
		found = true
		zh := p.Policy.Conformance(rules, "zh-CN")[k]
		result := map[policy.Status]Result{policy.Met: Met, policy.Broken: NotMet}[en.Status]
		// A clause that no policy decides has its judge.
		if en.Status != policy.NotApplicable {
			out = append(out, judgement{result, say("policy %[1]s: %[2]s", "策略 %[1]s：%[3]s", p.Policy.Name(), en.Why, zh.Why)})
		}
	}
	if !found {
		panic("evidence: no clause " + c.rule)
	}
	trial, ok := p.Policy.Try(rules)[c.rule]
	if !ok {
		return out
	}
	check := Check{Name: say("golden vectors by policy %s", "策略 %s 判定标准样例", p.Policy.Name()).in(locale), Held: len(trial.Failed) == 0,
		Detail: say("%d of %d judged as the clause asks", "%d/%d 个样例的判定符合条款", trial.Run-len(trial.Failed), trial.Run).in(locale)}
	if !check.Held {
		names := strings.Join(trial.Failed, ", ")
		check.Detail += ": " + names
		out = append(out, notMet("policy %[1]s judges otherwise than the clause asks: %[2]s", "策略 %[1]s 的判定与条款不符：%[2]s", p.Policy.Name(), names))
	}
	row.Checks = append(row.Checks, check)
	return out
}

func policyLine(p InForce) text {
	return say("tenant %[1]s: policy %[2]s, version %[3]s", "租户 %[1]s：策略 %[2]s，版本 %[3]s", p.Tenant, p.Policy.Name(), p.Policy.Version())
}

// days tells a duration in days.
func days(d time.Duration) int { return int(d.Hours() / 24) }

func yes(b bool, en, zh, notEn, notZh string) text {
	if b {
		return text{en, zh}
	}
	return text{notEn, notZh}
}

// outside tells whether a door is open to other machines.
func (f *Facts) outside() bool {
	return slices.ContainsFunc(f.Doors, exposure.Door.Outside)
}

func doorsInForce(f *Facts) (out []text) {
	for _, d := range f.Doors {
		addr := "?"
		if d.Addr.IsValid() {
			addr = d.Addr.String()
		}
		out = append(out, say("%s at %s: %s%s%s", "%s 监听 %s：%s%s%s", d.Setting, addr, yes(d.TLS, "TLS 1.2 or newer", "TLS 1.2 及以上", "without TLS", "未启用 TLS"),
			yes(d.ClientAuth, ", client certificates demanded", "，要求客户端证书", "", ""), yes(d.Outside(), "", "", ", this machine only", "，仅限本机")))
	}
	return out
}

func allowInForce(f *Facts) []text {
	var list []string
	for _, p := range f.Allow {
		list = append(list, p.String())
	}
	out := []text{say("listen.allow: %s", "listen.allow：%s", strings.Join(list, ", "))}
	var proxies []string
	for _, p := range f.TrustedProxies {
		proxies = append(proxies, p.String())
	}
	if len(proxies) > 0 {
		out = append(out, say("listen.trusted_proxies: %s", "listen.trusted_proxies：%s", strings.Join(proxies, ", ")))
	}
	return out
}

func hashInForce(f *Facts) []text {
	h := f.Hashing
	cost := say("argon2id, %[1]d KiB, %[2]d passes, %[3]d lanes; 16 bytes of random salt, 32 bytes of tag", "argon2id，%[1]d KiB，%[2]d 轮，%[3]d 道；16 字节随机盐，32 字节输出", h.Memory>>10, h.Time, h.Parallelism)
	if h.Scheme != "argon2id" {
		cost = say("%[1]s, %[2]d rounds; 16 bytes of random salt", "%[1]s，%[2]d 次迭代；16 字节随机盐", h.Scheme, h.Rounds)
	}
	measured := text{"never measured on this machine", "从未在本机测定"}
	if !h.Calibrated.IsZero() {
		measured = say("measured on this machine on %s", "于 %s 在本机测定", h.Calibrated.Format(time.DateOnly))
	}
	return []text{cost, measured}
}

func throttleInForce(f *Facts) []text {
	t := f.Throttle
	out := []text{say("profile %[1]s: %[2]d wrong guesses are free, then waits from %[3]v to %[4]v; closed at %[5]d in a row until bound anew",
		"方案 %[1]s：%[2]d 次错误后开始等待，等待 %[3]v 至 %[4]v；连续失败 %[5]d 次后关闭，须重新绑定", t.Profile, t.Free, t.First, t.Longest, t.Close)}
	where := text{"counted in process, kept in the data directory", "在进程内计数，保存于数据目录"}
	if !t.InProcess {
		where = yes(t.DenyOnLoss, "counted in Redis; without it logins are refused", "在 Redis 中计数；Redis 不可用时拒绝登录",
			"counted in Redis; without it by a stricter limiter in process", "在 Redis 中计数；Redis 不可用时改用更严格的进程内限流")
	}
	return append(out, where)
}

func pepperInForce(f *Facts) []text {
	return []text{say("%d pepper keys, %s", "%d 个 pepper 密钥，%s", f.Pepper.Keys,
		yes(f.Pepper.Beside, "in files of the data directory", "位于数据目录中的文件", "in files of their own", "位于单独指定的文件"))}
}

func eventsInForce(f *Facts) []text {
	v := f.Events
	if !v.Known {
		return []text{{"the event log was not read", "未读取事件日志"}}
	}
	out := []text{say("%d events in the chain, which %s", "事件链共 %d 条，%s", v.Count, yes(v.Intact, "holds together", "完整", "does not hold together", "不完整"))}
	out = append(out, yes(v.Beside, "signed checkpoints lie beside the log", "签名检查点与日志放在一起", "signed checkpoints lie in a second place", "签名检查点放在另一位置"))
	return append(out, keptInForce(f)...)
}

func keptInForce(f *Facts) []text {
	d, ok := f.Retention["events"]
	if !ok {
		return []text{{"events are kept for ever", "事件永久保留"}}
	}
	return []text{say("events are kept for %d days", "事件保留 %d 天", days(d))}
}

func keysInForce(f *Facts) []text {
	live, presets, expiring := 0, map[string]int{}, 0
	for _, k := range f.Keys {
		if k.Revoked || k.Expires != nil && !f.Now.Before(*k.Expires) {
			continue
		}
		live++
		presets[cmp.Or(k.Preset, "scopes")]++
		if k.Expires != nil {
			expiring++
		}
	}
	out := []text{say("%[1]d API keys are in force, %[2]d of them with an expiry; 256 random bits each, kept as SHA-256", "%[1]d 个有效 API 密钥，其中 %[2]d 个设有有效期；每个 256 位随机数，仅保存 SHA-256", live, expiring)}
	if len(f.CertCallers) > 0 {
		out = append(out, say("%d names of client certificates have scopes", "%d 个客户端证书名称被授予权限", len(f.CertCallers)))
	}
	if n := presets["owner"]; n > 0 {
		out = append(out, text{"the first key, with every scope, is among them", "其中包括拥有全部权限的首个密钥"})
	}
	return out
}

func corporaInForce(f *Facts) []text {
	out := []text{say("embedded list of %d common passwords", "内置 %d 条常用口令", f.Embedded)}
	if len(f.Corpora) == 0 {
		return append(out, text{"no breach corpus is configured", "未配置泄露口令库"})
	}
	for _, c := range f.Corpora {
		out = append(out, say("corpus %[1]s %[2]s: %[3]d entries, built %[4]s", "泄露库 %[1]s %[2]s：%[3]d 条，构建于 %[4]s", c.Name, c.Version, c.Entries, c.Built.Format(time.DateOnly)))
	}
	return out
}

func storeInForce(f *Facts) (out []text) {
	out = append(out, say("store: %s", "存储：%s", f.Store))
	if r := f.Redis; r != nil {
		out = append(out, say("Redis: %s, %s", "Redis：%s，%s", yes(r.TLS, "TLS", "TLS", "no TLS", "无 TLS"), yes(r.Password, "password", "有密码", "no password", "无密码")))
	}
	if p := f.Postgres; p != nil {
		out = append(out, say("PostgreSQL: sslmode %s", "PostgreSQL：sslmode %s", cmp.Or(p.SSLMode, "prefer")))
	}
	return out
}

func limitsInForce(f *Facts) []text {
	return []text{yes(f.Limited, "each caller has a quota; hashes run in a bounded number of slots", "每个调用方有配额；哈希计算的并发数有上限",
		"callers have no quota; hashes run in a bounded number of slots", "调用方没有配额；哈希计算的并发数有上限")}
}

func signalsInForce(f *Facts) []text {
	return []text{yes(f.Webhook, "signals go to the webhook and to WatchSignals", "信号发送到 webhook 和 WatchSignals", "signals go to WatchSignals alone: no webhook is set", "信号仅可由 WatchSignals 获取：未设置 webhook")}
}

func versionInForce(f *Facts) []text { return []text{say("%s", "%s", f.Version)} }

// always is a sentence about what no setting changes.
func always(en, zh string) setting {
	return func(*Facts) []text { return []text{{en, zh}} }
}
