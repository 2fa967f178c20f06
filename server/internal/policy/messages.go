// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"strings"
)

// Locales are the languages of all texts.
var locales = []string{"en", "zh-CN"}

// Locales lists the languages of all texts, the default first.
func Locales() []string { return append([]string(nil), locales...) }

// text is a sentence in every language. "{name}" stands for a parameter, and
// "{name|one|other}" for one of two words by its number.
type text struct{ en, zh string }

func (t text) in(locale string) string {
	if l := strings.ToLower(locale); l == "zh" || strings.HasPrefix(l, "zh-") || strings.HasPrefix(l, "zh_") {
		return t.zh
	}
	return t.en
}

// Message tells a person which rule a password breaks. An unknown locale
// gives English. The sentence never holds any part of the password.
func Message(locale string, v Violation) string {
	t, ok := messages[v.Rule+"."+v.Params["kind"]]
	if !ok {
		t, ok = messages[v.Rule]
	}
	if !ok {
		t = messages[""]
	}
	return expand(t.in(locale), v.Params)
}

// AdviceText tells a person what to do. An unknown locale gives English.
func AdviceText(locale string, a Advice) string {
	t, ok := advices[a.ID]
	if !ok {
		t = advices["CHOOSE_ANOTHER"]
	}
	return expand(t.in(locale), a.Params)
}

// expand fills a template.
func expand(template string, params map[string]string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		inside, after, _ := strings.Cut(rest, "}")
		template = after
		name, words, plural := strings.Cut(inside, "|")
		value := params[name]
		if plural {
			one, other, _ := strings.Cut(words, "|")
			value = other
			if params[name] == "1" {
				value = one
			}
		}
		b.WriteString(value)
	}
}

// messages holds a sentence for each rule, or for each kind of it.
var messages = map[string]text{
	"": {
		"This password breaks a rule of the policy.",
		"该密码不符合策略要求。"},
	LengthMin: {
		"The password has {length} {length|character|characters}; at least {min} {min|is|are} needed.",
		"密码只有 {length} 个字符，至少需要 {min} 个。"},
	LengthMax: {
		"The password is longer than {max} {max|byte|bytes}.",
		"密码超过 {max} 字节。"},
	Blocklisted + ".exact": {
		"This password is on a list of common passwords.",
		"该密码在常用密码名单中。"},
	Blocklisted + ".case": {
		"Apart from capital letters, this password is on a list of common passwords.",
		"忽略大小写后，该密码在常用密码名单中。"},
	Blocklisted + ".width": {
		"Apart from full-width characters, this password is on a list of common passwords.",
		"忽略全角与半角的差别后，该密码在常用密码名单中。"},
	Blocklisted + ".l33t": {
		"With look-alike characters read as letters, this password is on a list of common passwords.",
		"把形似字符还原成字母后，该密码在常用密码名单中。"},
	Blocklisted + ".reversed": {
		"Read backwards, this password is on a list of common passwords.",
		"倒过来看，该密码在常用密码名单中。"},
	Blocklisted + ".suffix": {
		"This is a common password with a few characters added.",
		"该密码只是在常用密码上添加了几个字符。"},
	Blocklisted + ".repeated": {
		"This is a common password written several times.",
		"该密码只是把常用密码重复了几遍。"},
	Blocklisted + ".default": {
		"Products are delivered with this password, or with one very like it.",
		"该密码是产品出厂时的默认密码，或与其非常相近。"},
	ContextDerived + "." + kindLogin: {
		"The password is made from your user name.",
		"密码由您的用户名变化而来。"},
	ContextDerived + "." + kindEmail: {
		"The password is made from your e-mail address.",
		"密码由您的电子邮箱地址变化而来。"},
	ContextDerived + "." + kindName: {
		"The password is made from your name.",
		"密码由您的姓名变化而来。"},
	ContextDerived + "." + kindPhone: {
		"The password is made from your phone number.",
		"密码由您的电话号码变化而来。"},
	ContextDerived + "." + kindBirthDate: {
		"The password is made from your date of birth.",
		"密码由您的出生日期变化而来。"},
	ContextDerived + "." + kindWord: {
		"The password is made from words known about you or this service.",
		"密码由与您或本服务有关的词语变化而来。"},
	InDictionary: {
		"The password is made from words your organisation does not allow.",
		"密码由贵单位禁用的词语变化而来。"},
	Breached + ".found": {
		"This password has appeared {count} {count|time|times} in data breaches.",
		"该密码在已泄露的数据中出现过 {count} 次。"},
	Breached + ".similar": {
		"A password very close to this one has appeared in data breaches.",
		"与该密码非常相近的密码曾出现在已泄露的数据中。"},
	BreachUnavailable: {
		"The list of breached passwords cannot be asked at the moment, so this password cannot be accepted.",
		"暂时无法查询泄露密码库，因此不能接受该密码。"},
	TooGuessable: {
		"This password can be guessed in about 10^{log10} tries; at least 10^{min} are asked for.",
		"猜出该密码约需 10^{log10} 次尝试，至少应为 10^{min} 次。"},
	Composition + ".lower": {
		"The password needs at least {min} lower-case {min|letter|letters}; it has {have}.",
		"密码至少需要 {min} 个小写字母，目前有 {have} 个。"},
	Composition + ".upper": {
		"The password needs at least {min} upper-case {min|letter|letters}; it has {have}.",
		"密码至少需要 {min} 个大写字母，目前有 {have} 个。"},
	Composition + ".digits": {
		"The password needs at least {min} {min|digit|digits}; it has {have}.",
		"密码至少需要 {min} 个数字，目前有 {have} 个。"},
	Composition + ".symbols": {
		"The password needs at least {min} {min|symbol|symbols}; it has {have}.",
		"密码至少需要 {min} 个符号，目前有 {have} 个。"},
	Composition + ".letters": {
		"The password needs at least {min} {min|letter|letters}; it has {have}.",
		"密码至少需要 {min} 个字母或汉字，目前有 {have} 个。"},
	Composition + ".non_letters": {
		"The password needs at least {min} {min|digit or symbol|digits or symbols}; it has {have}.",
		"密码至少需要 {min} 个数字或符号，目前有 {have} 个。"},
	Composition + ".classes": {
		"The password needs at least {min} {min|kind|kinds} of characters among lower case, upper case, digits, symbols and letters without case; it has {have}.",
		"密码至少需要包含小写字母、大写字母、数字、符号、汉字等无大小写文字中的 {min} 类，目前有 {have} 类。"},
	ContainsWord: {
		"The password contains {words} {words|word|words} that must not occur in it.",
		"密码中含有 {words} 处不允许出现的词语。"},
	FuzzyScore: {
		"Without the words it must not rest on, the password scores {points} {points|point|points}; at least {min} {min|is|are} needed.",
		"除去禁用词语后，该密码得 {points} 分，至少需要 {min} 分。"},
	Repeated + ".whole": {
		"The password is one piece of {length} {length|character|characters} over and over.",
		"密码只是把一段 {length} 个字符的内容反复书写。"},
	Repeated + ".run": {
		"The password has the same character {length} times in a row; at most {max} {max|is|are} allowed.",
		"密码中同一字符连续出现 {length} 次，最多允许 {max} 次。"},
	Repeated + ".distinct": {
		"The password has {have} different {have|character|characters}; at least {min} {min|is|are} needed.",
		"密码中只有 {have} 种不同字符，至少需要 {min} 种。"},
	Sequence + ".whole": {
		"The password is made of nothing but sequences such as 1234, abcd or qwerty.",
		"密码完全由 1234、abcd、qwerty 之类的连续字符组成。"},
	Sequence + ".run": {
		"The password has a sequence of {length} characters, such as 1234 or qwerty; at most {max} {max|is|are} allowed.",
		"密码中有 {length} 个连续字符（如 1234、qwerty），最多允许 {max} 个。"},
	Pattern + ".forbid": {
		"The password has a form that the policy forbids ({id}).",
		"密码符合策略禁止的格式（{id}）。"},
	Pattern + ".require": {
		"The password lacks a form that the policy asks for ({id}).",
		"密码不符合策略要求的格式（{id}）。"},
	Reused: {
		"This is one of your last {depth} {depth|password|passwords}.",
		"该密码与最近 {depth} 个用过的密码之一相同。"},
	SimilarToPrevious + ".same": {
		"The new password is the same as the old one.",
		"新密码与旧密码相同。"},
	SimilarToPrevious + ".edited": {
		"The new password differs from the old one in only a few characters.",
		"新密码与旧密码只有少数字符不同。"},
	SimilarToPrevious + ".stem": {
		"The new password is the old one with other digits or symbols around it.",
		"新密码只是更换了旧密码首尾的数字或符号。"},
	SimilarToPrevious + ".reversed": {
		"The new password is the old one read backwards.",
		"新密码是旧密码的倒写。"},
	TooYoung: {
		"The password was changed less than {min} {min|hour|hours} ago; it can be changed again in {wait} {wait|hour|hours}.",
		"距上次更改密码不足 {min} 小时，请在 {wait} 小时后再更改。"},
	Expired: {
		"The password is older than {max} {max|day|days}.",
		"密码使用已超过 {max} 天。"},
}

// advices holds a sentence for each Advice.ID.
var advices = map[string]text{
	"CHOOSE_ANOTHER": {
		"Choose another password.",
		"请换一个密码。"},
	"ADD_CHARACTERS": {
		"Add at least {more} more {more|character|characters}; a phrase of several unrelated words is easy to remember.",
		"请至少再增加 {more} 个字符；由几个互不相关的词组成的短语更容易记住。"},
	"SHORTEN": {
		"Use a password of at most {max} {max|byte|bytes}.",
		"请使用不超过 {max} 字节的密码。"},
	"UNCOMMON": {
		"Choose a password nobody else would think of, such as four or more random words, or let a password manager make one.",
		"请选择别人想不到的密码，例如四个以上随机的词，或由密码管理器生成。"},
	"NOT_PERSONAL": {
		"Do not build the password from your name, address, numbers or dates.",
		"请不要用自己的姓名、地址、号码或日期来组成密码。"},
	"NOT_ORGANISATION": {
		"Do not build the password from names of your organisation, its products or places.",
		"请不要用单位、产品或地点的名称来组成密码。"},
	"BREACHED_ANOTHER": {
		"Choose another password, and change it wherever else you use this one: attackers try breached passwords first.",
		"请换一个密码；其他地方如果也用了该密码，请一并更改，因为攻击者会首先尝试已泄露的密码。"},
	"TRY_AGAIN": {
		"Try again in a few minutes.",
		"请过几分钟再试。"},
	"MORE_WORDS": {
		"Make it harder to guess: add unrelated words rather than digits or symbols at the end.",
		"请提高猜测难度：增加互不相关的词，而不是在末尾添加数字或符号。"},
	"ADD_KINDS": {
		"Add the kinds of characters that are missing, not only at the beginning or the end.",
		"请补充缺少的字符类型，并且不要只放在开头或末尾。"},
	"LEAVE_OUT_WORDS": {
		"Leave out names and common words, or add several unrelated words to them.",
		"请去掉姓名和常见词语，或再加上几个互不相关的词。"},
	"NO_REPEATS": {
		"Do not repeat a character or a piece of the password to make it longer.",
		"请不要靠重复字符或片段来加长密码。"},
	"NO_SEQUENCES": {
		"Do not use characters in the order of the alphabet, the digits or the keyboard.",
		"请不要使用按字母、数字或键盘顺序排列的字符。"},
	"NEVER_USED": {
		"Choose a password you have not used here before.",
		"请选择从未在这里用过的密码。"},
	"NEW_FROM_SCRATCH": {
		"Make up a new password instead of changing the old one.",
		"请重新想一个密码，而不是修改旧密码。"},
	"WAIT": {
		"Wait {wait} {wait|hour|hours}, or have the password reset if someone else may know it.",
		"请等待 {wait} 小时；如果密码可能已被他人知道，请申请重置。"},
	"CHANGE_NOW": {
		"Change the password now.",
		"请立即更改密码。"},
}
