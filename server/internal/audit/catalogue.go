// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

// entry is what the report says about a kind.
type entry struct {
	clauses            []string
	titleEN, titleZH   string
	remedyEN, remedyZH string
}

// The clauses: GB/T 22239-2019 by the control points of 8.1.4.1 (identity
// authentication) and 8.1.4.2 (access control), OWASP ASVS 5.0, SP 800-63B-4,
// PCI DSS 4.0.1.
var catalogue = [kinds]entry{
	Weak: {
		[]string{"GB/T 22239-2019 8.1.4.1 a", "ASVS 5.0 6.2.4", "SP 800-63B-4 3.1.1.2"},
		"Weak password", "弱口令",
		"Have the password changed at the next login, and refuse common passwords when it is set.",
		"要求用户下次登录时修改口令，并在设置口令时拒绝常见口令。",
	},
	Breached: {
		[]string{"ASVS 5.0 6.2.12", "SP 800-63B-4 3.1.1.2"},
		"Breached password", "已泄露口令",
		"Have the password changed now: it is in circulation among attackers.",
		"立即要求修改口令：该口令已在攻击者手中流传。",
	},
	ContextDerived: {
		[]string{"GB/T 22239-2019 8.1.4.1 a", "ASVS 5.0 6.2.11", "SP 800-63B-4 3.1.1.2"},
		"Made of personal or company data", "由个人或单位信息构成的口令",
		"Have the password changed, and hand names and company words to the check when passwords are set.",
		"要求修改口令，并在设置口令时将姓名、单位等词语纳入检查。",
	},
	DefaultCredential: {
		[]string{"GB/T 22239-2019 8.1.4.2 b", "ASVS 5.0 6.3.2", "PCI DSS 4.0.1 2.2.2"},
		"Default or test account", "默认账户或测试账户",
		"Rename or remove the account, and change its password.",
		"重命名或删除该账户，并修改其口令。",
	},
	Shared: {
		[]string{"GB/T 22239-2019 8.1.4.2 c", "PCI DSS 4.0.1 8.2.2"},
		"Same password as another account", "多个账户使用相同口令",
		"Give each account its own password; look for one person with several accounts, or one initial password for all.",
		"为每个账户设置不同口令；排查一人多户或统一初始口令的情况。",
	},
	LegacyHash: {
		[]string{"ASVS 5.0 11.4.2", "SP 800-63B-4 3.1.1.2", "PCI DSS 4.0.1 8.3.2"},
		"Outdated hash scheme", "过时的散列算法",
		"Import the hashes, which wraps them in argon2id at once, and let each login replace its own.",
		"导入散列值（系统会立即用 argon2id 包裹），并在用户登录时逐个替换。",
	},
	BelowFloor: {
		[]string{"ASVS 5.0 11.4.2", "SP 800-63B-4 3.1.1.2"},
		"Hash cost below the floor", "散列代价低于下限",
		"Raise the cost of new hashes; each login then replaces its own.",
		"提高新散列值的计算代价；用户登录时会自动替换旧值。",
	},
	NoPepper: {
		[]string{"SP 800-63B-4 3.1.1.2"},
		"Hash without pepper", "散列值未加密钥保护",
		"Keep the hashes under a key that is stored apart from them.",
		"使用与散列值分开存放的密钥加以保护。",
	},
	Stale: {
		[]string{"GB/T 22239-2019 8.1.4.1 a", "PCI DSS 4.0.1 8.3.9"},
		"Old password", "口令长期未更换",
		"Have the password changed where the standard in force asks for it.",
		"按所适用标准的要求更换口令。",
	},
	Dormant: {
		[]string{"GB/T 22239-2019 8.1.4.2 c", "PCI DSS 4.0.1 8.2.6"},
		"Dormant account", "长期未登录账户",
		"Disable or delete the account.",
		"停用或删除该账户。",
	},
	Malformed: {
		nil,
		"Unusable record", "无法处理的记录",
		"Look at the record at its source; nothing was learnt about it.",
		"在来源系统中检查该记录；本次未能对其得出任何结论。",
	},
	NeverChanged: {
		[]string{"GB/T 22239-2019 8.1.4.2 b", "ASVS 5.0 6.4.1", "PCI DSS 4.0.1 8.3.5"},
		"Initial password never changed", "初始口令从未修改",
		"Disable the account until its owner has set a password.",
		"在账户所有者设置口令之前停用该账户。",
	},
}

// Clauses lists the clauses of the standards that a kind goes against. The
// slice is shared: do not write to it.
func (k Kind) Clauses() []string { return catalogue[min(int(k), kinds-1)].clauses }

// Title names a kind in a locale, "zh-CN" or any other for English.
func (k Kind) Title(locale string) string {
	e := &catalogue[min(int(k), kinds-1)]
	if locale == "zh-CN" {
		return e.titleZH
	}
	return e.titleEN
}

// Remedy says what to do, in a locale.
func (k Kind) Remedy(locale string) string {
	e := &catalogue[min(int(k), kinds-1)]
	if locale == "zh-CN" {
		return e.remedyZH
	}
	return e.remedyEN
}
