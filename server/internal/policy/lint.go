// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

// Severity orders findings of Lint.
type Severity string

// The severities: an error makes the policy useless or self-defeating, a
// warning weakens it, a note is worth knowing.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityNote    Severity = "note"
)

// Finding is a dangerous combination in a policy.
type Finding struct {
	Code     string // stable, in UPPER_SNAKE
	Severity Severity
	Rules    []string // the sections it is about
	Text     string
}

// Lint names what is dangerous in p although it is well-formed. None of it
// stops the policy from being used.
func (p *Policy) Lint(locale string) []Finding {
	var out []Finding
	for _, l := range lints {
		if l.holds(p, &p.doc.Rules) {
			out = append(out, Finding{Code: l.code, Severity: l.severity, Rules: l.rules, Text: l.text.in(locale)})
		}
	}
	return out
}

type lint struct {
	code     string
	severity Severity
	rules    []string
	text     text
	holds    func(p *Policy, r *rules) bool
}

var lints = []lint{
	{"SHADOW_ONLY", SeverityWarning, nil,
		text{"the whole policy is in shadow mode: every password is accepted", "整个策略处于影子模式：所有密码都会被接受"},
		func(p *Policy, _ *rules) bool { return p.doc.Mode == modeShadow }},
	{"NO_LENGTH", SeverityError, []string{"length"},
		text{"no least length is enforced for some use", "存在未执行最小长度的用途"},
		func(p *Policy, r *rules) bool { return p.doc.Mode == modeEnforce && !p.always(&r.Length.base) }},
	{"LENGTH_SHORT", SeverityWarning, []string{"length"},
		text{"fewer than eight characters are allowed, which no standard does", "允许少于 8 个字符的密码，没有任何标准允许这样做"},
		func(p *Policy, r *rules) bool { return p.ever(&r.Length.base) && r.Length.MinMFA < 8 }},
	{"NOTHING_LISTED", SeverityError, []string{"blocklist", "breach"},
		text{"neither common nor breached passwords are refused", "既不拒绝常用密码，也不拒绝已泄露的密码"},
		func(p *Policy, r *rules) bool { return !p.ever(&r.Blocklist.base) && !p.ever(&r.Breach.base) }},
	{"BREACH_FAILS_OPEN", SeverityWarning, []string{"breach"},
		text{"while the corpus is out of reach, new passwords are accepted without it", "泄露库不可用时，新密码未经比对即被接受"},
		func(p *Policy, r *rules) bool {
			u := r.Breach.Unavailable
			return p.ever(&r.Breach.base) && (u.Signup != failReject || u.Change != failReject || u.Reset != failReject)
		}},
	{"BREACH_FALLS_ON_NOTHING", SeverityError, []string{"breach", "blocklist"},
		text{"the breach rule falls back on the embedded list, and the blocklist rule that asks it is off",
			"泄露检查回退到内置名单，但名单规则未启用"},
		func(p *Policy, r *rules) bool {
			u := r.Breach.Unavailable
			return p.ever(&r.Breach.base) && !p.ever(&r.Blocklist.base) &&
				(u.Signup == failEmbedded || u.Change == failEmbedded || u.Reset == failEmbedded || u.Login == failEmbedded)
		}},
	{"BREACH_THRESHOLD_HIGH", SeverityWarning, []string{"breach"},
		text{"a password breached a hundred times is accepted", "接受泄露次数高达一百次的密码"},
		func(p *Policy, r *rules) bool { return p.ever(&r.Breach.base) && r.Breach.Threshold > 100 }},
	{"NO_ROTATION_NO_DETECTION", SeverityWarning, []string{"max_age", "breach"},
		text{"passwords never expire and are never held against breaches: going without rotation is earned by detecting compromise (BSI ORP.4.A23)",
			"密码永不过期，也从不与泄露数据比对：只有能够发现泄露时才可以不定期更换（BSI ORP.4.A23）"},
		func(p *Policy, r *rules) bool { return !p.ever(&r.MaxAge.base) && !p.ever(&r.Breach.base) }},
	{"ROTATION_WITHOUT_HISTORY", SeverityWarning, []string{"max_age", "history"},
		text{"passwords expire, and the expired one may be set again", "密码到期须更换，但可以重新使用到期的密码"},
		func(p *Policy, r *rules) bool { return p.ever(&r.MaxAge.base) && !p.ever(&r.History.base) }},
	{"ROTATION_WITHOUT_SIMILARITY", SeverityWarning, []string{"max_age", "similarity"},
		text{"passwords expire, and the next may be the old one with another number", "密码到期须更换，但新密码可以只改动旧密码中的数字"},
		func(p *Policy, r *rules) bool { return p.ever(&r.MaxAge.base) && !p.ever(&r.Similarity.base) }},
	{"HISTORY_WITHOUT_MIN_AGE", SeverityNote, []string{"history", "min_age"},
		text{"a person can change the password several times in a row to return to the old one", "用户可以连续多次更改密码以恢复旧密码"},
		func(p *Policy, r *rules) bool { return p.ever(&r.History.base) && !p.ever(&r.MinAge.base) }},
	{"MIN_AGE_LONG", SeverityWarning, []string{"min_age"},
		text{"a person who fears for the password has to wait for more than a day, or to ask for a reset", "用户怀疑密码泄露时须等待一天以上或申请重置"},
		func(p *Policy, r *rules) bool { return p.ever(&r.MinAge.base) && r.MinAge.Hours > 24 }},
	{"COMPOSITION_SHORT", SeverityWarning, []string{"composition", "length"},
		text{"kinds of characters are asked for in short passwords, which yields a capital letter first and a digit last",
			"对较短的密码要求字符组合，结果往往是首字母大写、末尾加数字"},
		func(p *Policy, r *rules) bool { return p.ever(&r.Composition.base) && r.Length.MinMFA < 12 }},
	{"COMPOSITION_LATIN", SeverityNote, []string{"composition"},
		text{"upper or lower case is asked for, which Chinese has not: a passphrase in hanzi is refused", "要求大小写字母，纯汉字短语会被拒绝"},
		func(p *Policy, r *rules) bool {
			return p.ever(&r.Composition.base) && r.Composition.MinLower+r.Composition.MinUpper > 0
		}},
	{"SIZE_SMALL", SeverityWarning, []string{"size"},
		text{"64 characters of four bytes each do not fit", "无法容纳 64 个四字节字符"},
		func(p *Policy, r *rules) bool { return p.ever(&r.Size.base) && r.Size.MaxBytes < 256 }},
	{"CONTAINS_SHORT", SeverityWarning, []string{"contains"},
		text{"words of three characters are refused anywhere, which hits good passphrases", "任意位置出现三个字符的词即被拒绝，会误伤良好的短语"},
		func(p *Policy, r *rules) bool { return p.ever(&r.Contains.base) && r.Contains.MinLength < 4 }},
	{"CORPUS_REQUIRED", SeverityNote, []string{"breach"},
		text{"without a configured corpus every new password is refused", "未配置泄露库时会拒绝所有新密码"},
		func(p *Policy, r *rules) bool {
			return p.ever(&r.Breach.base) && r.Breach.Required && r.Breach.Unavailable.Signup == failReject
		}},
	{"LOGIN_FINDINGS_WITHOUT_CORPUS", SeverityNote, []string{"breach"},
		text{"while the corpus is out of reach, every login reports a finding", "泄露库不可用时，每次登录都会报告问题"},
		func(p *Policy, r *rules) bool {
			return p.ever(&r.Breach.base) && r.Breach.Unavailable.Login == failReject
		}},
}
