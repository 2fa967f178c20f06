// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// Describe tells in sentences, one a line, what p asks of a new password. An
// unknown locale gives English.
func (p *Policy) Describe(locale string) string {
	var lines []string
	say := func(key string, kv ...any) {
		t, ok := descriptions[key]
		if !ok {
			panic("policy: no description of " + key)
		}
		lines = append(lines, expand(t.in(locale), params(kv...)))
	}
	sayFor := func(b *base, key string, kv ...any) {
		if !b.active() || b.Mode == modeAdvise {
			return
		}
		before := len(lines)
		say(key, kv...)
		note := ""
		if len(b.Uses) == 1 {
			note += descriptions["uses."+b.Uses[0]].in(locale)
		}
		if b.Mode == modeShadow && p.doc.Mode != modeShadow {
			note += descriptions["shadow"].in(locale)
		}
		lines[before] += note
	}
	r := &p.doc.Rules
	lines = append(lines, expand(descriptions["title"].in(locale), map[string]string{"title": p.Title(locale), "version": p.version}))
	if p.doc.Mode == modeShadow {
		say("policy.shadow")
	}
	if l := &r.Length; l.Min == l.MinMFA {
		sayFor(&l.base, "length", "min", l.Min)
	} else {
		sayFor(&l.base, "length.uses", "min", l.Min, "mfa", l.MinMFA)
	}
	sayFor(&r.Size.base, "size", "max", r.Size.MaxBytes)
	if c := &r.Composition; c.active() {
		for _, k := range []struct {
			key string
			min int
		}{
			{"lower", c.MinLower}, {"upper", c.MinUpper}, {"digits", c.MinDigits}, {"symbols", c.MinSymbols},
			{"letters", c.MinLetters}, {"non_letters", c.MinNonLetters}, {"classes", c.MinClasses},
		} {
			if k.min > 0 {
				sayFor(&c.base, "composition."+k.key, "min", k.min)
			}
		}
	} else {
		say("composition.none")
	}
	sayFor(&r.Blocklist.base, "blocklist")
	sayFor(&r.Context.base, "context")
	sayFor(&r.Dictionary.base, "dictionary")
	if b := &r.Breach; b.Threshold > 1 {
		sayFor(&b.base, "breach.threshold", "threshold", b.Threshold)
	} else {
		sayFor(&b.base, "breach")
	}
	power := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	if g := &r.Guesses; g.MinLog10 == g.MinLog10MFA {
		sayFor(&g.base, "guesses", "log10", power(g.MinLog10))
	} else {
		sayFor(&g.base, "guesses.uses", "log10", power(g.MinLog10), "mfa", power(g.MinLog10MFA))
	}
	sayFor(&r.Contains.base, "contains", "min", r.Contains.MinLength)
	sayFor(&r.Fuzzy.base, "fuzzy", "points", r.Fuzzy.Points)
	if s := &r.Repeat; s.active() {
		if s.Whole {
			sayFor(&s.base, "repeat.whole")
		}
		if s.MaxRun > 0 {
			sayFor(&s.base, "repeat.run", "max", s.MaxRun)
		}
		if s.MinDistinct > 0 {
			sayFor(&s.base, "repeat.distinct", "min", s.MinDistinct)
		}
	}
	if s := &r.Sequence; s.active() {
		if s.Whole {
			sayFor(&s.base, "sequence.whole")
		}
		if s.Max > 0 {
			sayFor(&s.base, "sequence.run", "max", s.Max)
		}
	}
	sayFor(&r.Patterns.base, "patterns", "n", len(r.Patterns.List))
	sayFor(&r.History.base, "history", "depth", r.History.Depth)
	sayFor(&r.Similarity.base, "similarity", "min", r.Similarity.MinDistance)
	sayFor(&r.MinAge.base, "min_age", "hours", r.MinAge.Hours)
	if r.MaxAge.active() {
		sayFor(&r.MaxAge.base, "max_age", "days", r.MaxAge.Days)
	} else {
		say("max_age.none")
	}
	return strings.Join(lines, "\n")
}

var descriptions = map[string]text{
	"title":                   {"{title} ({version})", "{title}（{version}）"},
	"policy.shadow":           {"This policy is on trial: nothing is refused yet.", "本策略处于试运行阶段：暂不拒绝任何密码。"},
	"shadow":                  {" (On trial: not refused yet.)", "（试运行：暂不拒绝。）"},
	"uses.single":             {" (When the password is the only factor.)", "（仅当密码是唯一的认证因素时。）"},
	"uses.multi":              {" (When the password is used with another factor.)", "（仅当密码与其他认证因素一起使用时。）"},
	"length":                  {"Use at least {min} {min|character|characters}; every character of any script counts as one.", "至少使用 {min} 个字符；任何文字的每个字符都计为一个。"},
	"length.uses":             {"Use at least {min} {min|character|characters}, or {mfa} if another factor is used as well; every character of any script counts as one.", "至少使用 {min} 个字符；若同时使用其他认证因素，则至少 {mfa} 个。任何文字的每个字符都计为一个。"},
	"size":                    {"Use at most {max} {max|byte|bytes}; nothing is cut off.", "不超过 {max} 字节；不会截断密码。"},
	"composition.none":        {"All characters are allowed and none are required.", "允许使用任何字符，不要求特定类型的字符。"},
	"composition.lower":       {"Use at least {min} lower-case {min|letter|letters}.", "至少包含 {min} 个小写字母。"},
	"composition.upper":       {"Use at least {min} upper-case {min|letter|letters}.", "至少包含 {min} 个大写字母。"},
	"composition.digits":      {"Use at least {min} {min|digit|digits}.", "至少包含 {min} 个数字。"},
	"composition.symbols":     {"Use at least {min} {min|symbol|symbols}.", "至少包含 {min} 个符号。"},
	"composition.letters":     {"Use at least {min} {min|letter|letters} of any script.", "至少包含 {min} 个字母或汉字。"},
	"composition.non_letters": {"Use at least {min} {min|digit or symbol|digits or symbols}.", "至少包含 {min} 个数字或符号。"},
	"composition.classes":     {"Use at least {min} {min|kind|kinds} of characters among lower case, upper case, digits, symbols and letters without case.", "至少包含小写字母、大写字母、数字、符号、汉字等无大小写文字中的 {min} 类。"},
	"blocklist":               {"Common passwords are refused, also with look-alike characters, reversed or repeated.", "拒绝常用密码，包括形似字符替换、倒写或重复的形式。"},
	"context":                 {"Passwords made of your name, login, e-mail address, phone number or date of birth are refused.", "拒绝由姓名、用户名、电子邮箱、电话号码或出生日期组成的密码。"},
	"dictionary":              {"Passwords made of names of the organisation are refused.", "拒绝由单位名称等词语组成的密码。"},
	"breach":                  {"Passwords known from data breaches are refused.", "拒绝已泄露的密码。"},
	"breach.threshold":        {"Passwords seen {threshold} {threshold|time|times} or more in data breaches are refused.", "拒绝在泄露数据中出现 {threshold} 次及以上的密码。"},
	"guesses":                 {"Passwords that can be guessed in fewer than 10^{log10} tries are refused.", "拒绝可在 10^{log10} 次尝试以内猜出的密码。"},
	"guesses.uses":            {"Passwords that can be guessed in fewer than 10^{log10} tries are refused, or 10^{mfa} if another factor is used as well.", "拒绝可在 10^{log10} 次尝试以内猜出的密码；若同时使用其他认证因素，则为 10^{mfa} 次。"},
	"contains":                {"Names and forbidden words of {min} {min|character|characters} or more must not occur anywhere in the password.", "密码中任何位置都不得出现 {min} 个字符及以上的姓名或禁用词语。"},
	"fuzzy":                   {"Forbidden words count for one character each; the password needs {points} {points|point|points}.", "每个禁用词语只计一分，其余每个字符计一分；密码至少需要 {points} 分。"},
	"repeat.whole":            {"Do not repeat one short piece over and over.", "不得反复书写同一小段内容。"},
	"repeat.run":              {"Use the same character at most {max} {max|time|times} in a row.", "同一字符最多连续出现 {max} 次。"},
	"repeat.distinct":         {"Use at least {min} different {min|character|characters}.", "至少使用 {min} 种不同的字符。"},
	"sequence.whole":          {"Do not build the password from sequences such as 1234, abcd or qwerty alone.", "不得只由 1234、abcd、qwerty 之类的连续字符组成。"},
	"sequence.run":            {"Use at most {max} characters of a sequence such as 1234 or qwerty.", "1234、qwerty 之类的连续字符最多 {max} 个。"},
	"patterns":                {"The password must keep to {n} further {n|form|forms} set by the administrator.", "密码还须符合管理员设定的 {n} 条格式要求。"},
	"history":                 {"Your last {depth} {depth|password is|passwords are} refused.", "不得使用最近 {depth} 个用过的密码。"},
	"similarity":              {"A new password must differ from the old one in at least {min} {min|character|characters}, and in more than the digits and symbols around it.", "新密码与旧密码至少要有 {min} 个字符不同，且不能只更换首尾的数字或符号。"},
	"min_age":                 {"After a change, wait {hours} {hours|hour|hours} before the next.", "更改密码后须等待 {hours} 小时才能再次更改。"},
	"max_age":                 {"Change the password every {days} {days|day|days}.", "每 {days} 天更换一次密码。"},
	"max_age.none":            {"There is no need to change the password unless it may be known to others.", "除非密码可能已被他人知道，否则无需定期更换。"},
}

// PasswordRules gives p in the grammar of the passwordrules attribute, from
// which password managers make passwords (Apple, "Customizing Password
// AutoFill Rules"). The grammar has no counts and no lists, so it may ask for
// less than p does, never for more than p accepts.
func (p *Policy) PasswordRules(use Use) string {
	var b strings.Builder
	r := &p.doc.Rules
	if r.Length.on(use) {
		fmt.Fprintf(&b, "minlength: %d; ", r.Length.least(use))
	}
	if r.Size.on(use) {
		fmt.Fprintf(&b, "maxlength: %d; ", r.Size.MaxBytes)
	}
	if c := r.Composition; c.on(use) {
		kinds := c.kinds()
		for i, name := range []string{"lower", "upper", "digit", "special"} {
			if kinds[i] > 0 {
				fmt.Fprintf(&b, "required: %s; ", name)
			}
		}
		if c.MinLetters > 0 && kinds[lower]+kinds[upper] == 0 {
			b.WriteString("required: lower, upper; ")
		}
		if c.MinNonLetters > 0 && kinds[digit]+kinds[symbol] == 0 {
			b.WriteString("required: digit, special; ")
		}
	}
	if s := r.Repeat; s.on(use) && s.MaxRun > 0 {
		fmt.Fprintf(&b, "max-consecutive: %d; ", s.MaxRun)
	}
	b.WriteString("allowed: ascii-printable;")
	return b.String()
}

// kinds is how many characters of each of the four ASCII classes satisfy the
// counts of c, with its number of classes taken in the order of the classes.
func (c compositionRule) kinds() [4]int {
	n := [4]int{lower: c.MinLower, upper: c.MinUpper, digit: c.MinDigits, symbol: c.MinSymbols}
	have := 0
	for _, k := range n {
		if k > 0 {
			have++
		}
	}
	for i := 0; i < len(n) && have < c.MinClasses; i++ {
		if n[i] == 0 {
			n[i] = 1
			have++
		}
	}
	return n
}

// Form is what a sign-up form needs to guide a person before it asks the
// service: the rules it can check by itself, and the names of the others.
type Form struct {
	Policy          string           `json:"policy"`
	Version         string           `json:"version"`
	Title           string           `json:"title"`
	MinLength       int              `json:"minLength"`
	MinLengthMFA    int              `json:"minLengthMfa"`
	MaxBytes        int              `json:"maxBytes"`
	Composition     *FormComposition `json:"composition,omitempty"`
	MaxRun          int              `json:"maxRun,omitempty"`
	MinDistinct     int              `json:"minDistinct,omitempty"`
	MaxSequence     int              `json:"maxSequence,omitempty"`
	PasswordRules   string           `json:"passwordRules"`
	PasswordRulesMF string           `json:"passwordRulesMfa"`
	// ServerRules names the rules that only the service can check.
	ServerRules []string `json:"serverRules"`
	Sentences   []string `json:"sentences"`
}

// FormComposition repeats the counts of the composition rule.
type FormComposition struct {
	MinLower      int `json:"minLower,omitempty"`
	MinUpper      int `json:"minUpper,omitempty"`
	MinDigits     int `json:"minDigits,omitempty"`
	MinSymbols    int `json:"minSymbols,omitempty"`
	MinLetters    int `json:"minLetters,omitempty"`
	MinNonLetters int `json:"minNonLetters,omitempty"`
	MinClasses    int `json:"minClasses,omitempty"`
	// Uses is empty if the counts hold for every use.
	Uses []string `json:"uses,omitempty"`
}

// Form gives p in the shape of a sign-up form.
func (p *Policy) Form(locale string) Form {
	r := &p.doc.Rules
	f := Form{
		Policy: p.name, Version: p.version, Title: p.Title(locale),
		PasswordRules: p.PasswordRules(SingleFactor), PasswordRulesMF: p.PasswordRules(MultiFactor),
		ServerRules: []string{}, Sentences: strings.Split(p.Describe(locale), "\n")[1:],
	}
	refused := func(b *base) bool { return p.ever(b) }
	if refused(&r.Length.base) {
		f.MinLength, f.MinLengthMFA = r.Length.Min, r.Length.MinMFA
	}
	if refused(&r.Size.base) {
		f.MaxBytes = r.Size.MaxBytes
	}
	if c := r.Composition; refused(&c.base) {
		f.Composition = &FormComposition{c.MinLower, c.MinUpper, c.MinDigits, c.MinSymbols, c.MinLetters, c.MinNonLetters, c.MinClasses, c.Uses}
	}
	if refused(&r.Repeat.base) {
		f.MaxRun, f.MinDistinct = r.Repeat.MaxRun, r.Repeat.MinDistinct
	}
	if refused(&r.Sequence.base) {
		f.MaxSequence = r.Sequence.Max
	}
	for _, s := range []struct {
		b    *base
		rule string
	}{
		{&r.Blocklist.base, Blocklisted}, {&r.Context.base, ContextDerived}, {&r.Dictionary.base, InDictionary},
		{&r.Breach.base, Breached}, {&r.Guesses.base, TooGuessable}, {&r.Contains.base, ContainsWord}, {&r.Fuzzy.base, FuzzyScore},
		{&r.Repeat.base, Repeated}, {&r.Sequence.base, Sequence}, {&r.Patterns.base, Pattern}, {&r.History.base, Reused},
		{&r.Similarity.base, SimilarToPrevious}, {&r.MinAge.base, TooYoung}, {&r.MaxAge.base, Expired},
	} {
		if refused(s.b) {
			f.ServerRules = append(f.ServerRules, s.rule)
		}
	}
	return f
}
