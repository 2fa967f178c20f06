// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"slices"
	"strings"
)

// Status tells whether a policy keeps a clause.
type Status string

// The statuses of a clause.
const (
	Met           Status = "met"
	Broken        Status = "broken"
	NotApplicable Status = "not_applicable" // not for a password policy to decide
)

// Clause is one clause of a standard, held against a policy.
type Clause struct {
	ID     string // as in Violation.Clauses
	Title  string // what it asks for, in short
	Status Status
	Why    string
}

// Standard is a published set of clauses. The built-in policy of the same
// name follows it.
type Standard struct {
	ID    string
	Title string
}

// Standards lists the standards that Conformance knows.
func Standards(locale string) []Standard {
	var out []Standard
	for _, s := range standards {
		p, ok := Builtin().Get(s.id)
		if !ok {
			panic("policy: a standard without its profile")
		}
		out = append(out, Standard{ID: s.id, Title: p.Title(locale)})
	}
	return out
}

// Conformance holds p against every clause of a standard, in its order; nil
// for a standard it does not know. Only rules that refuse count: one in
// shadow mode or giving advice keeps no clause, and breaks none.
func (p *Policy) Conformance(standard, locale string) []Clause {
	var out []Clause
	for _, s := range standards {
		if s.id != standard {
			continue
		}
		for _, c := range s.clauses {
			status, why := c.judge(p)
			out = append(out, Clause{ID: c.id, Title: c.title.in(locale), Status: status, Why: why.in(locale)})
		}
	}
	return out
}

type standard struct {
	id      string
	clauses []clause
}

type clause struct {
	id    string
	title text
	judge func(p *Policy) (Status, text)
}

// refuses tells whether a section refuses passwords in a given use.
func (p *Policy) refuses(b *base, use Use) bool {
	return p.doc.Mode == modeEnforce && b.Mode == modeEnforce && b.on(use)
}

// always tells whether a section refuses passwords in every use.
func (p *Policy) always(b *base) bool { return p.refuses(b, SingleFactor) && p.refuses(b, MultiFactor) }

// ever tells whether a section refuses passwords in some use.
func (p *Policy) ever(b *base) bool { return p.refuses(b, SingleFactor) || p.refuses(b, MultiFactor) }

func met(en, zh string) (Status, text)    { return Met, text{en, zh} }
func broken(en, zh string) (Status, text) { return Broken, text{en, zh} }

// elsewhere is a clause that another part of the service keeps.
func elsewhere(en, zh string) func(*Policy) (Status, text) {
	return func(*Policy) (Status, text) { return NotApplicable, text{en, zh} }
}

// engine is a clause that holds for every policy.
func engine(en, zh string) func(*Policy) (Status, text) {
	return func(*Policy) (Status, text) { return met(en, zh) }
}

var (
	byHasher = elsewhere("kept by the hashing of passwords, whatever the policy", "由密码散列模块保证，与策略无关")
	byLogin  = elsewhere("kept by the login throttle, whatever the policy", "由登录限流模块保证，与策略无关")
	byState  = elsewhere("kept by the states of a credential, whatever the policy", "由凭据状态管理保证，与策略无关")
	byCaller = elsewhere("a matter of the form people type into", "由登录与设置密码的界面保证")
	byServer = elsewhere("kept by the listeners of the server", "由服务器监听配置保证")
)

// lengthAtLeast asks for a least length by use. Nothing counts for less than
// it is: a rule in shadow mode is a length of zero.
func lengthAtLeast(single, multi int) func(*Policy) (Status, text) {
	return func(p *Policy) (Status, text) {
		l := p.doc.Rules.Length
		var have [2]int
		for _, u := range []Use{SingleFactor, MultiFactor} {
			if p.refuses(&l.base, u) {
				have[u] = l.least(u)
			}
		}
		values := params("single", have[SingleFactor], "multi", have[MultiFactor], "wantSingle", single, "wantMulti", multi)
		fill := func(t text) text { return text{expand(t.en, values), expand(t.zh, values)} }
		if have[SingleFactor] >= single && have[MultiFactor] >= multi {
			return Met, fill(text{
				"at least {single} characters as the only factor, {multi} with another",
				"单因素至少 {single} 个字符，多因素至少 {multi} 个"})
		}
		return Broken, fill(text{
			"at least {single} characters as the only factor and {multi} with another, where {wantSingle} and {wantMulti} are asked for",
			"单因素至少 {single} 个字符、多因素至少 {multi} 个，而要求为 {wantSingle} 个和 {wantMulti} 个"})
	}
}

// room asks that 64 characters of any script fit.
func room(p *Policy) (Status, text) {
	if s := p.doc.Rules.Size; p.ever(&s.base) && s.MaxBytes < 64*4 {
		return broken("64 characters of four bytes each do not fit", "无法容纳 64 个四字节字符")
	}
	return met("64 characters of any script fit, and nothing is cut", "可容纳 64 个任意文字的字符，且从不截断")
}

// characterRules lists the rules in force that ask for, or refuse, kinds or
// orders of characters rather than whole values.
func (p *Policy) characterRules() []string {
	r := &p.doc.Rules
	var out []string
	for _, c := range []struct {
		name string
		on   bool
	}{
		{"composition", p.ever(&r.Composition.base)},
		{"repeat", p.ever(&r.Repeat.base) && (r.Repeat.MaxRun > 0 || r.Repeat.MinDistinct > 0)},
		{"sequence", p.ever(&r.Sequence.base) && r.Sequence.Max > 0},
		{"patterns", p.ever(&r.Patterns.base)},
	} {
		if c.on {
			out = append(out, c.name)
		}
	}
	return out
}

func free(gate bool) func(*Policy) (Status, text) {
	return func(p *Policy) (Status, text) {
		rules := p.characterRules()
		if gate && p.ever(&p.doc.Rules.Guesses.base) {
			rules = append(rules, "guesses")
		}
		if len(rules) > 0 {
			list := strings.Join(rules, ", ")
			return broken("asks for kinds or orders of characters: "+list, "对字符类型或排列有要求："+list)
		}
		return met("asks for no kinds of characters", "不要求特定字符类型")
	}
}

func anyCharacter(p *Policy) (Status, text) {
	if p.ever(&p.doc.Rules.Patterns.base) {
		return broken("a regular expression may refuse characters", "正则表达式可能拒绝某些字符")
	}
	return met("every printing character, space and Unicode is taken", "接受所有可打印字符、空格和 Unicode 字符")
}

func noRotation(p *Policy) (Status, text) {
	if p.ever(&p.doc.Rules.MaxAge.base) {
		return broken("passwords expire with age", "密码到期须更换")
	}
	return met("passwords do not expire with age", "密码不会仅因时间而过期")
}

func rotation(days int) func(*Policy) (Status, text) {
	return func(p *Policy) (Status, text) {
		r := p.doc.Rules.MaxAge
		switch {
		case !p.refuses(&r.base, SingleFactor):
			return broken("passwords that are the only factor never expire", "单因素密码不会过期")
		case days > 0 && r.Days > days:
			return broken("passwords expire later than the clause allows", "密码有效期超过条款上限")
		}
		return met("passwords that are the only factor expire in time", "单因素密码按期过期")
	}
}

func listed(p *Policy, depth int) bool {
	b := p.doc.Rules.Blocklist
	return p.always(&b.base) && len(b.Lists) == 0 && (len(b.Forms) == 0 || slices.Contains(b.Forms, "exact")) &&
		(b.MaxRank == 0 || b.MaxRank >= depth)
}

func blocklist(depth int) func(*Policy) (Status, text) {
	return func(p *Policy) (Status, text) {
		if !listed(p, depth) {
			return broken("common passwords are not refused, or too few of them", "未拒绝常用密码，或名单过短")
		}
		return met("common passwords are refused", "拒绝常用密码")
	}
}

func breachChecked(p *Policy) (Status, text) {
	b := p.doc.Rules.Breach
	switch {
	case !p.always(&b.base):
		return broken("breached passwords are not refused", "未拒绝已泄露的密码")
	case b.Threshold > 1:
		return broken("passwords breached only a few times are accepted", "接受泄露次数较少的密码")
	case b.Unavailable.Signup != failReject || b.Unavailable.Change != failReject || b.Unavailable.Reset != failReject:
		return broken("passwords are accepted unchecked while the corpus is out of reach", "泄露库不可用时未经检查即接受密码")
	}
	return met("breached passwords are refused, given a configured corpus", "在配置了泄露库时拒绝已泄露的密码")
}

func wholeValues(p *Policy) (Status, text) {
	r := &p.doc.Rules
	switch {
	case p.ever(&r.Contains.base) || p.ever(&r.Fuzzy.base):
		return broken("words are refused inside a password, where only the whole of it may be compared",
			"拒绝密码中包含的词语，而条款要求只比较整个密码")
	case !listed(p, 1):
		return broken("common passwords are not refused", "未拒绝常用密码")
	case !p.always(&r.Context.base) || !p.always(&r.Dictionary.base):
		return broken("derivatives of context words are not refused", "未拒绝由上下文词语派生的密码")
	}
	return breachChecked(p)
}

func contextWords(p *Policy) (Status, text) {
	r := &p.doc.Rules
	in := p.always(&r.Contains.base) || p.always(&r.Fuzzy.base)
	words := p.always(&r.Dictionary.base) || in && r.Contains.Dictionary || p.always(&r.Fuzzy.base)
	if !words || !p.always(&r.Context.base) && !(in && r.Contains.Context) && !p.always(&r.Fuzzy.base) {
		return broken("words of the organisation and its context are not refused", "未拒绝与组织及上下文有关的词语")
	}
	return met("words of the tenant dictionary and of the request's context are refused", "拒绝租户词典与请求上下文中的词语")
}

func lettersAndDigits(p *Policy) (Status, text) {
	c := p.doc.Rules.Composition
	if !p.always(&c.base) || c.MinLetters+c.MinLower+c.MinUpper == 0 || c.MinDigits == 0 {
		return broken("letters and digits are not both asked for", "未同时要求字母和数字")
	}
	return met("letters and digits are asked for", "同时要求字母和数字")
}

func pciLength(p *Policy) (Status, text) {
	if s, why := lengthAtLeast(12, 12)(p); s != Met {
		return s, why
	}
	return lettersAndDigits(p)
}

func history(depth int) func(*Policy) (Status, text) {
	return func(p *Policy) (Status, text) {
		h := p.doc.Rules.History
		if !p.always(&h.base) || h.Depth < depth {
			return broken("too few former passwords are compared, or none", "比较的历史密码数量不足")
		}
		return met("former passwords are refused", "拒绝历史密码")
	}
}

func complexity(p *Policy) (Status, text) {
	c := p.doc.Rules.Composition
	if s, why := lengthAtLeast(8, 8)(p); s != Met {
		return s, why
	}
	kinds := 0
	for _, n := range []int{c.MinLower, c.MinUpper, c.MinDigits, c.MinSymbols} {
		if n > 0 {
			kinds++
		}
	}
	if !p.always(&c.base) || max(kinds, c.MinClasses) < 2 && !(c.MinLetters > 0 && kinds > 0) {
		return broken("no mixture of characters is asked for, which assessors look for under complexity",
			"未要求字符组合，而测评时以此判断口令复杂度")
	}
	return met("a least length and a mixture of characters are asked for", "规定了最小长度和字符组合")
}

func nonAlphabetic(p *Policy) (Status, text) {
	c := p.doc.Rules.Composition
	if !p.refuses(&c.base, SingleFactor) || c.MinNonLetters+c.MinDigits+c.MinSymbols == 0 {
		return broken("no character that is not a letter is asked for", "未要求非字母字符")
	}
	return met("a character that is not a letter is asked for", "要求至少一个非字母字符")
}

func waitADay(p *Policy) (Status, text) {
	m := p.doc.Rules.MinAge
	if !p.always(&m.base) || m.Hours < 24 {
		return broken("a password can be changed again at once", "密码可以立即再次更改")
	}
	return met("a password can be changed again only after a day", "密码须满一天后才能再次更改")
}

const nist = "NIST SP 800-63B-4 3.1.1.2 "

// standards are the clauses that concern passwords, told in our words.
var standards = []standard{
	{"nist-800-63b-4", []clause{
		{nist + "(N1)", text{"15 characters as the only factor, 8 with another", "单因素至少 15 个字符，多因素至少 8 个"}, lengthAtLeast(15, 8)},
		{nist + "(N2)", text{"room for 64 characters", "允许 64 个字符"}, room},
		{nist + "(N3)", text{"all printing characters, space, Unicode", "接受可打印字符、空格与 Unicode"}, anyCharacter},
		{nist + "(N4)", text{"each code point counts as one", "每个码位计为一个字符"}, engine("length is counted in code points", "长度按码位计算")},
		{nist + "(N5)", text{"NFC before hashing", "散列前做 NFC 规范化"}, engine("NFC is the only transform", "只做 NFC 规范化")},
		{nist + "(N6)", text{"no composition rules", "不得有字符组成规则"}, free(true)},
		{nist + "(N7)", text{"no periodic change", "不得要求定期更换"}, noRotation},
		{nist + "(N8)", text{"no hints, no security questions", "不得有密码提示或安全问题"}, elsewhere("the service knows neither", "本服务不提供此类功能")},
		{nist + "(N9)", text{"the whole password is verified", "验证完整密码"}, byHasher},
		{nist + "(N10)", text{"compare whole passwords with common, expected and breached values", "将完整密码与常用、可预期、已泄露的值比较"}, wholeValues},
		{nist + "(N11)", text{"give the reason and guidance", "说明拒绝原因并给出建议"}, engine("every refusal has a reason and advice", "每次拒绝都有原因和建议")},
		{nist + "(N12)", text{"a list that matches the attempt limit", "名单规模与尝试次数上限相称"}, blocklist(10_000)},
		{nist + "(N13)", text{"password managers, autofill, paste", "允许密码管理器、自动填充与粘贴"}, byCaller},
		{nist + "(N14)", text{"a protected channel", "受保护的信道"}, byServer},
		{nist + "(N15)", text{"salted, costly hashing", "加盐的高成本散列"}, byHasher},
		{nist + "(N16)", text{"a keyed step with a secret held elsewhere", "使用另行保存的密钥"}, byHasher},
		{"NIST SP 800-63B-4 3.2.2 (N17)", text{"at most 100 failures in a row", "连续失败不超过 100 次"}, byLogin},
		{"NIST SP 800-63B-4 3.2.2 (N18)", text{"growing waits, challenges", "递增等待与人机验证"}, byLogin},
		{"NIST SP 800-63B-4 3.2.2 (N19)", text{"success clears failures", "成功后清除失败计数"}, byLogin},
	}},
	{"asvs-5-l1", asvs(1)},
	{"asvs-5-l2", asvs(2)},
	{"asvs-5-l3", asvs(3)},
	{"pci-4.0.1", []clause{
		{"PCI DSS 4.0.1 8.3.2", text{"unreadable in transit and at rest", "传输与存储时不可读"}, byHasher},
		{"PCI DSS 4.0.1 8.3.4", text{"lock after 10 tries for 30 minutes", "10 次失败后锁定 30 分钟"}, byLogin},
		{"PCI DSS 4.0.1 8.3.5", text{"first passwords are unique and changed at first use", "初始密码唯一且首次使用时更改"}, byState},
		{"PCI DSS 4.0.1 8.3.6", text{"12 characters with letters and digits", "至少 12 个字符，含字母和数字"}, pciLength},
		{"PCI DSS 4.0.1 8.3.7", text{"none of the last 4", "不得与最近 4 个相同"}, history(4)},
		{"PCI DSS 4.0.1 8.3.9", text{"as the only factor: change every 90 days, or analyse the account's posture", "单因素：每 90 天更换，或动态分析账户安全状况"}, rotation(90)},
		{"PCI DSS 4.0.1 8.3.10.1", text{"customers of service providers: as 8.3.9", "服务提供商的客户：同 8.3.9"}, rotation(90)},
	}},
	{"mlps-l2", mlps("7", false)},
	{"mlps-l3", mlps("8", true)},
	{"cis", []clause{
		{"CIS Password Policy Guide: length", text{"14 characters as the only factor, 8 with another, no maximum", "单因素至少 14 个字符，多因素至少 8 个，不设上限"}, func(p *Policy) (Status, text) {
			if s, why := lengthAtLeast(14, 8)(p); s != Met {
				return s, why
			}
			return room(p)
		}},
		{"CIS Password Policy Guide: composition", text{"one non-alphabetic character when the password is the only factor", "单因素时至少一个非字母字符"}, nonAlphabetic},
		{"CIS Password Policy Guide: deny list", text{"refuse the most common passwords", "拒绝最常用的密码"}, blocklist(20)},
		{"CIS Password Policy Guide: reuse", text{"none of the last 5", "不得与最近 5 个相同"}, history(5)},
		{"CIS Password Policy Guide: minimum age", text{"a day between changes", "两次更改至少间隔一天"}, waitADay},
		{"CIS Password Policy Guide: expiration", text{"a year at most", "最长一年"}, rotation(366)},
		{"CIS Password Policy Guide: lockout", text{"lock after 5 failures, or growing waits", "5 次失败后锁定或递增等待"}, byLogin},
		{"CIS Password Policy Guide: idle accounts", text{"suspend after 45 idle days", "45 天未用则停用"}, byState},
	}},
}

// asvs gives the clauses of chapter 6.2 up to a level.
func asvs(level int) []clause {
	const id = "ASVS 5.0.0 "
	all := []struct {
		level int
		clause
	}{
		{1, clause{id + "6.2.1", text{"8 characters, 15 recommended", "至少 8 个字符，建议 15 个"}, lengthAtLeast(8, 8)}},
		{1, clause{id + "6.2.2", text{"users can change their password", "用户可以更改密码"}, byState}},
		{1, clause{id + "6.2.3", text{"a change needs the current password", "更改时须提供当前密码"}, byState}},
		{1, clause{id + "6.2.4", text{"refuse the 3,000 most common passwords", "拒绝最常用的 3000 个密码"}, blocklist(3000)}},
		{1, clause{id + "6.2.5", text{"any composition", "允许任意字符组成"}, free(false)}},
		{1, clause{id + "6.2.6", text{"the form hides the password", "输入框隐藏密码"}, byCaller}},
		{1, clause{id + "6.2.7", text{"paste and password managers work", "允许粘贴与密码管理器"}, byCaller}},
		{1, clause{id + "6.2.8", text{"verified exactly as received", "按原样验证"}, engine("no truncation and no change of case; NFC is the only transform", "不截断、不改变大小写，只做 NFC 规范化")}},
		{2, clause{id + "6.2.9", text{"room for 64 characters", "允许 64 个字符"}, room}},
		{2, clause{id + "6.2.10", text{"no periodic change", "不要求定期更换"}, noRotation}},
		{2, clause{id + "6.2.11", text{"a list of context words is enforced", "执行上下文词语名单"}, contextWords}},
		{2, clause{id + "6.2.12", text{"refuse breached passwords", "拒绝已泄露的密码"}, breachChecked}},
	}
	var out []clause
	for _, c := range all {
		if c.level <= level {
			out = append(out, c.clause)
		}
	}
	return out
}

// mlps gives the clauses of GB/T 22239-2019 on identification of one level.
func mlps(chapter string, cryptographic bool) []clause {
	id := "GB/T 22239-2019 " + chapter + ".1.4.1 "
	out := []clause{
		{id + "a) complexity", text{"passwords are complex", "鉴别信息具有复杂度要求"}, complexity},
		{id + "a) regular change", text{"passwords are changed regularly", "鉴别信息定期更换"}, rotation(0)},
		{id + "b)", text{"login failures are handled", "登录失败处理"}, byLogin},
		{id + "c)", text{"no eavesdropping during remote management", "远程管理时防止窃听"}, byServer},
	}
	if cryptographic {
		out = append(out, clause{id + "d)", text{"two kinds of factors, one cryptographic", "两种以上鉴别技术，其一为密码技术"},
			elsewhere("a matter of the login, which a password is one factor of", "由登录流程保证，密码只是其中一种因素")})
	}
	return out
}

// Contradiction is a pair of clauses no policy can keep both of.
type Contradiction struct {
	Standards [2]string
	Clauses   [2]string
	Why       string
}

// Contradictions lists where the standards contradict each other.
func Contradictions(locale string) []Contradiction {
	composition := text{"one forbids rules on kinds of characters, the other asks for them", "前者禁止字符组成规则，后者要求字符组成规则"}
	rotation := text{"one forbids periodic change, the other asks for it", "前者禁止定期更换，后者要求定期更换"}
	type side struct{ standard, clause string }
	var out []Contradiction
	pair := func(forbids []side, asks []side, why text) {
		for _, f := range forbids {
			for _, a := range asks {
				out = append(out, Contradiction{
					Standards: [2]string{f.standard, a.standard}, Clauses: [2]string{f.clause, a.clause}, Why: why.in(locale)})
			}
		}
	}
	pair([]side{{"nist-800-63b-4", nist + "(N6)"}, {"asvs-5-l1", "ASVS 5.0.0 6.2.5"}},
		[]side{{"pci-4.0.1", "PCI DSS 4.0.1 8.3.6"}, {"mlps-l2", "GB/T 22239-2019 7.1.4.1 a) complexity"},
			{"mlps-l3", "GB/T 22239-2019 8.1.4.1 a) complexity"}, {"cis", "CIS Password Policy Guide: composition"}}, composition)
	pair([]side{{"nist-800-63b-4", nist + "(N7)"}, {"asvs-5-l2", "ASVS 5.0.0 6.2.10"}},
		[]side{{"pci-4.0.1", "PCI DSS 4.0.1 8.3.9"}, {"mlps-l2", "GB/T 22239-2019 7.1.4.1 a) regular change"},
			{"mlps-l3", "GB/T 22239-2019 8.1.4.1 a) regular change"}, {"cis", "CIS Password Policy Guide: expiration"}}, rotation)
	return out
}
