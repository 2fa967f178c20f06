// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package evidence

import (
	"time"

	"github.com/watchword-project/watchword/server/internal/exposure"
	"github.com/watchword-project/watchword/server/internal/policy"
)

// Where tests live.
const (
	through    = "server/servertest."
	inDaemon   = "server/internal/daemon."
	inEvents   = "server/internal/events."
	inExposure = "server/internal/exposure."
	inIdentity = "server/internal/identity."
	inPassword = "server/internal/password."
	inPepper   = "server/internal/pepper."
	inPolicy   = "server/internal/policy."
	inThrottle = "server/internal/throttle."
	inVerifier = "server/internal/verifier."
	inEvidence = "server/internal/evidence."
)

// Groups of tests that several clauses rest on.
var (
	closed    = []string{through + "TestEveryMethodRefusesWithoutAKey", through + "TestEveryRouteRefusesWithoutAKey"}
	scoped    = []string{through + "TestEveryMethodNeedsItsScope", inDaemon + "TestCertificatesGiveExactlyTheirScopes", inIdentity + "TestScopesAndPresets"}
	exposedBy = []string{inDaemon + "TestExposedDoorsAreRefused", inDaemon + "TestExposedDoorOpensWhenAllIsThere"}
	hashed    = []string{inPassword + "TestHashAndVerify", inPassword + "TestFloors", "server/internal/argon2.TestRFCVectors", inPassword + "TestStale"}
	sealed    = []string{inPepper + "TestSealedHashIsBoundToItsRow", through + "TestPepperRotatesUnderLogins"}
	throttled = []string{through + "TestParallelGuessesHashAtMostTheBudget", through + "TestHundredFailuresNeedRebinding", inThrottle + "TestKilledProcessLosesNoLock"}
	chained   = []string{inEvents + "TestEveryTamperingIsFound", inEvents + "TestForgedLogNeedsTheKey"}
	recorded  = []string{through + "TestChangesAndDenialsAreRecorded", inEvents + "TestOneEventIsOneLine"}
	judged    = []string{inPolicy + "TestGoldenVectors", inPolicy + "TestTryFindsWhatAClauseForbids", through + "TestEveryRuleThroughBothDoors"}
	silentOn  = []string{through + "TestNoSecretLeavesTheServer", inPassword + "TestTextIsNeverPrinted"}
	atomicOn  = []string{through + "TestRaceForOneBudget", through + "TestRaceSeesCheckThenAct"}
)

// Groups of checks of the examination.
var (
	tlsChecks   = []string{"door.plaintext", "tls.unusable", "tls.expired", "tls.not-yet", "tls.expires-soon", "tls.weak-key", "tls.weak-signature"}
	storeChecks = []string{"redis.plaintext", "redis.no-password", "redis.protected-mode", "postgres.tls", "postgres.no-password"}
	eventChecks = []string{"events.failing", "events.broken", "events.no-checkpoint", "events.lost"}
	hashChecks  = []string{"hashing.test-cost", "hashing.below-floor", "hashing.kernel"}
	doorChecks  = []string{"door.every-address", "door.no-allow-list", "door.allow-everyone", "door.no-secret", "door.no-authentication"}
	fileChecks  = []string{"file.readable", "file.dir-open", "file.writable", "file.foreign", "file.link"}
)

func join[T any](lists ...[]T) (out []T) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func list[T any](x ...T) []T { return x }

// Judgements that several clauses share.

// holds is what the program does whatever its settings.
func holds(en, zh string) func(*Facts) judgement {
	return func(*Facts) judgement { return met(en, zh) }
}

// people is a clause that no program keeps.
func people(en, zh string) func(*Facts) judgement {
	return func(*Facts) judgement { return judgement{Organisational, text{en, zh}} }
}

func inPart(en, zh string) func(*Facts) judgement {
	return func(*Facts) judgement { return partly(en, zh) }
}

func channel(f *Facts) judgement {
	for _, d := range f.Doors {
		if d.Outside() && !d.TLS {
			return notMet("%s is open to other machines without TLS", "%s 对其他主机开放且未启用 TLS", d.Setting)
		}
	}
	if !f.outside() {
		return partly("only programs on this machine connect; the channel between people and those programs is theirs", "仅本机程序可以连接；用户到这些程序之间的信道由其自行保护")
	}
	return met("every door that other machines reach has TLS", "所有对外开放的端口均启用 TLS")
}

func hashing(f *Facts) judgement {
	h := f.Hashing
	switch {
	case h.InsecureTestCost:
		return notMet("hashes are made at a cost for tests", "以测试强度生成哈希")
	case h.BelowFloor != "":
		return notMet("%s is under the floor of ASVS 11.4.2", "%s 低于 ASVS 11.4.2 的下限", h.BelowFloor)
	}
	return met("the cost of new hashes is at or above the floors of ASVS 11.4.2, and older ones are replaced at the next login", "新哈希的强度不低于 ASVS 11.4.2 的下限，旧哈希在下次登录时更换")
}

func approved(f *Facts) judgement {
	j := hashing(f)
	if j.result == Met && f.Hashing.Scheme == "argon2id" {
		j.why = text{j.why.en + "; argon2id is not among the schemes of SP 800-132, which is a deviation from a SHOULD: hashing.scheme has PBKDF2 for who needs it",
			j.why.zh + "；argon2id 不在 SP 800-132 所列算法中，属于对“应当”条款的偏离，需要时可用 hashing.scheme 改为 PBKDF2"}
	}
	return j
}

func keyed(f *Facts) judgement {
	if f.Pepper.Beside {
		return partly("hashes are sealed under a pepper, whose key lies on the same machine as the data, and in no HSM", "哈希由 pepper 密封，但密钥与数据在同一台主机上，且不在硬件密码模块中")
	}
	return partly("hashes are sealed under a pepper in files apart from the data; that they lie elsewhere, or in an HSM, is yours to see to", "哈希由单独存放的 pepper 密封；是否存放于另一处或硬件密码模块须自行保证")
}

func hundred(f *Facts) judgement {
	if f.Throttle.Close == 0 || f.Throttle.Close > 100 {
		return notMet("a lane closes at %d failures", "连续失败 %d 次才关闭", f.Throttle.Close)
	}
	return met("at %d failures in a row the lane closes for good, over restarts, until the authenticator is bound anew", "连续失败 %d 次后永久关闭（重启后仍有效），须重新绑定", f.Throttle.Close)
}

func ladder(f *Facts) judgement {
	if f.Throttle.Free == 0 {
		return notMet("the throttle's rules are out of bounds", "限流规则超出允许范围")
	}
	return met("failures are bounded by account, device, address and network", "按账户、设备、地址与网段限制失败次数")
}

// waitAfter is how long an account waits after so many failures.
func waitAfter(t exposure.Throttle, failures int) time.Duration {
	if t.Free == 0 || failures < t.Free {
		return 0
	}
	d := t.First
	for range failures - t.Free {
		d = min(2*d, t.Longest)
	}
	return d
}

func tenTries(f *Facts) judgement {
	const want = 30 * time.Minute
	if d := waitAfter(f.Throttle, 10); d < want {
		return notMet("after ten failures an account waits %v, less than 30 minutes: set throttle.profile to pci", "失败 10 次后等待 %v，不足 30 分钟：请将 throttle.profile 设为 pci", d)
	}
	if f.Throttle.Devices {
		return partly("after ten failures an account waits 30 minutes or more; a known device has a count of its own: set throttle.profile to pci", "失败 10 次后至少等待 30 分钟；但已知设备单独计数：请将 throttle.profile 设为 pci")
	}
	return met("after ten failures an account waits 30 minutes or more, on whatever device", "失败 10 次后至少等待 30 分钟，与设备无关")
}

// logged needs the event log to have been read.
func logged(j judgement) func(*Facts) judgement {
	return func(f *Facts) judgement {
		if !f.Events.Known {
			return notMet("the event log was not read: no server has run on this data directory", "未读取事件日志：该数据目录尚未运行过服务")
		}
		return j
	}
}

func keptFor(least time.Duration) func(*Facts) judgement {
	return func(f *Facts) judgement {
		d, bounded := f.Retention["events"]
		if bounded && d < least {
			return notMet("events are kept for %d days, and %d are asked for", "事件保留 %d 天，要求 %d 天", days(d), days(least))
		}
		return logged(met("events are kept for %d days or more; that the disk and its copies last as long is yours to see to", "事件至少保留 %d 天；磁盘及其备份能否保留同样长须自行保证", days(least)))(f)
	}
}

func corpora(f *Facts) judgement {
	for _, c := range f.Corpora {
		if c.Fault != "" {
			return notMet("corpus %s cannot be used", "泄露库 %s 无法使用", c.Name)
		}
	}
	if len(f.Corpora) == 0 {
		return partly("no breach corpus is configured: only the embedded list of common passwords is asked", "未配置泄露口令库，仅使用内置常用口令表")
	}
	return met("a breach corpus is configured", "已配置泄露口令库")
}

func listLong(f *Facts) judgement {
	fitting := f.Embedded
	for _, p := range f.Policies {
		fitting = min(fitting, p.Fitting)
	}
	if fitting < 3000 {
		return notMet("only %d passwords of the embedded list are as long as the policy asks, fewer than 3,000", "内置口令表中仅 %d 条达到策略要求的长度，不足 3000 条", fitting)
	}
	return met("%d passwords of the embedded list are as long as the policy asks", "内置口令表中有 %d 条达到策略要求的长度", fitting)
}

func quotas(f *Facts) judgement {
	if !f.Limited {
		return partly("the slots of hashes and the attempts at each account are bounded; callers have no quota: set limits.per_key_rps", "哈希并发与每个账户的尝试次数有上限；但调用方没有配额：请设置 limits.per_key_rps")
	}
	return met("callers have quotas, and costly work has bounded slots", "调用方有配额，高成本计算的并发有上限")
}

func alarm(f *Facts) judgement {
	if !f.Webhook {
		return partly("spray, stuffing and odd successes are found; nobody is told unless a program watches: set webhook.url", "可发现密码喷洒、撞库与异常成功登录；但未设置 webhook.url，只有主动订阅者能收到")
	}
	return met("spray, stuffing and odd successes are found and sent to the webhook", "可发现密码喷洒、撞库与异常成功登录，并发送到 webhook")
}

func redundant(f *Facts) judgement {
	if f.Store == "embedded" {
		return notMet("one server keeps one embedded store: set store.kind to postgres or redis, and run several", "单台服务使用内置存储：请将 store.kind 设为 postgres 或 redis 并部署多台")
	}
	if f.Throttle.InProcess {
		return partly("servers share the store; each counts logins on its own: set throttle.store to redis", "多台服务共享存储，但各自计算登录次数：请将 throttle.store 设为 redis")
	}
	return partly("servers share store and counters; the redundancy of their data base is yours to see to", "多台服务共享存储与计数；数据库自身的冗余须自行保证")
}

func operators(f *Facts) judgement {
	if !f.Authenticated && len(f.Keys) == 0 {
		return partly("keys were not read: no server has run on this data directory", "未读取密钥：该数据目录尚未运行过服务")
	}
	return met("every caller has a key, a certificate or a token of its own", "每个调用方都有各自的密钥、证书或令牌")
}

// posture is PCI's choice between rotation and the analysis of an account's
// posture.
func posture(f *Facts) judgement {
	for _, p := range f.Policies {
		for _, c := range p.Policy.Conformance("pci-4.0.1", "en") {
			if c.ID == pci+"8.3.9" && c.Status == policy.Broken {
				return notMet("breached passwords are found at login, and whether that is dynamic analysis of posture is for your assessor to say",
					"登录时会识别已泄露口令，能否视为“动态分析账户安全状况”由测评方判断")
			}
		}
	}
	return met("", "")
}

const nistPolicy = "NIST SP 800-63B-4 3.1.1.2 "

// standards are the clauses, told in our words.
var standards = []standard{
	{id: "nist-800-63b-4", title: text{"NIST SP 800-63B-4, passwords (3.1.1.2) and rate limiting (3.2.2)", "NIST SP 800-63B-4：口令（3.1.1.2）与限速（3.2.2）"}, rules: "nist-800-63b-4", clauses: []clause{
		{id: nistPolicy + "(N1)", asks: text{"15 characters as the only factor, 8 with another", "单因素至少 15 个字符，多因素至少 8 个"}, rule: nistPolicy + "(N1)", tests: judged, judge: holds("", "")},
		{id: nistPolicy + "(N2)", asks: text{"at least 64 characters are permitted", "允许至少 64 个字符"}, rule: nistPolicy + "(N2)", tests: judged, judge: holds("", "")},
		{id: nistPolicy + "(N3)", asks: text{"all printing characters, space and Unicode", "接受所有可打印字符、空格与 Unicode"}, rule: nistPolicy + "(N3)", tests: join(judged, list(inPassword+"TestNormalisedAndCountedInCodePoints")), judge: holds("", "")},
		{id: nistPolicy + "(N4)", asks: text{"each code point counts as one", "每个码位计为一个字符"}, rule: nistPolicy + "(N4)", tests: list(inPassword+"TestNormalisedAndCountedInCodePoints", inPolicy+"TestGoldenVectors"), judge: holds("", "")},
		{id: nistPolicy + "(N5)", asks: text{"NFC before hashing", "散列前做 NFC 规范化"}, rule: nistPolicy + "(N5)", tests: list(through+"TestDecomposedTextIsOneText", inPassword+"TestNormalisedAndCountedInCodePoints"), judge: holds("", "")},
		{id: nistPolicy + "(N6)", asks: text{"no rules of composition", "不得有字符组成规则"}, rule: nistPolicy + "(N6)", tests: judged, judge: holds("", "")},
		{id: nistPolicy + "(N7)", asks: text{"no periodic change; a change on evidence of compromise", "不定期更换；有泄露证据时强制更换"}, rule: nistPolicy + "(N7)", tests: join(judged, list(through+"TestCredentialLife", through+"TestAgesAndSimilarity")), judge: holds("the state COMPROMISED makes every login say MUST_CHANGE", "COMPROMISED 状态使每次登录返回 MUST_CHANGE")},
		{id: nistPolicy + "(N8)", asks: text{"no hints, no security questions", "不得有密码提示或安全问题"}, settings: list(always("the contract has no field for either", "接口中没有此类字段")), tests: list(inEvidence + "TestTheContractHasNoHints"), judge: holds("the service knows neither", "本服务不提供此类功能")},
		{id: nistPolicy + "(N9)", asks: text{"the whole password is asked for and verified", "要求并验证完整密码"}, settings: list(always("4,096 bytes at most, refused beyond and never cut", "上限 4096 字节，超出即拒绝，绝不截断")), tests: list(inPassword+"TestNormalisedAndCountedInCodePoints", inPassword+"TestHashAndVerify", through+"TestBcryptOver72Bytes"), judge: holds("nothing is cut", "从不截断")},
		{id: nistPolicy + "(N10)", asks: text{"new passwords are compared, as a whole, with common, expected and compromised values", "将新密码整体与常用、可预期、已泄露的值比较"}, settings: list[setting](corporaInForce), rule: nistPolicy + "(N10)", tests: join(judged, list(through+"TestCorpusAnswers", through+"TestFailModes")), checks: list("corpus.unusable", "corpus.old"), judge: corpora},
		{id: nistPolicy + "(N11)", asks: text{"a refusal gives its reason and guidance", "拒绝时说明原因并给出建议"}, rule: nistPolicy + "(N11)", tests: list(inPolicy+"TestGoldenVectors", through+"TestDescribeEveryPolicyInBothLanguages"), judge: holds("", "")},
		{id: nistPolicy + "(N12)", asks: text{"a list that fits the limit of attempts", "名单规模与尝试次数上限相称"}, settings: list[setting](corporaInForce), rule: nistPolicy + "(N12)", tests: join(judged, list(through+"TestEmbeddedListIsCounted")), judge: listLong},
		{id: nistPolicy + "(N13)", asks: text{"password managers, autofill and paste are permitted", "允许密码管理器、自动填充与粘贴"}, settings: list(always("DescribePolicy gives the passwordrules string for password managers", "DescribePolicy 提供密码管理器使用的 passwordrules")), tests: list(inPolicy + "TestPasswordRules"), judge: people("the form that people type into is not watchword's", "输入界面不属于 watchword")},
		{id: nistPolicy + "(N14)", asks: text{"an authenticated protected channel", "经过鉴别的受保护信道"}, settings: list[setting](doorsInForce), tests: exposedBy, checks: tlsChecks, judge: channel},
		{id: nistPolicy + "(N15)", asks: text{"salted, costly hashing; scheme and cost are stored, and raised over time", "加盐的高成本散列，记录算法与强度并逐步提高"}, settings: list[setting](hashInForce), tests: hashed, checks: join(hashChecks, list("hashing.uncalibrated", "hashing.old-calibration")), judge: approved},
		{id: nistPolicy + "(N16)", asks: text{"a keyed step with a secret held elsewhere, best in hardware", "使用另行保存（最好在硬件中）的密钥做一步运算"}, settings: list[setting](pepperInForce), tests: sealed, checks: list("pepper.old", "file.readable"), judge: keyed},
		{id: "NIST SP 800-63B-4 3.2.2 (N17)", asks: text{"at most 100 failures in a row, then disabled until bound anew", "连续失败不超过 100 次，之后停用直至重新绑定"}, settings: list[setting](throttleInForce), tests: throttled, checks: list("throttle.alone", "redis.eviction", "redis.persistence"), judge: hundred},
		{id: "NIST SP 800-63B-4 3.2.2 (N18)", asks: text{"growing waits, challenges and signs of risk may come before", "可先采用递增等待、人机验证与风险信号"}, settings: list[setting](throttleInForce), tests: list(inThrottle+"TestNISTLadder", inThrottle+"TestSignals"), checks: list("throttle.loose"), judge: ladder},
		{id: "NIST SP 800-63B-4 3.2.2 (N19)", asks: text{"a success clears the failures of what was used, and nothing else", "成功后只清除所用凭据的失败计数"}, settings: list[setting](throttleInForce), tests: list(inThrottle+"TestOwnSuccessRefundsNobodyElse", through+"TestChannelsAreApart"), judge: ladder},
	}},

	{id: "mlps-l3", title: text{"MLPS 2.0 (GB/T 22239-2019), level 3, secure computing environment, with the test items of GB/T 28448-2019", "网络安全等级保护 2.0（GB/T 22239-2019）第三级 安全计算环境，对照 GB/T 28448-2019 测评单元"}, rules: "mlps-l3", clauses: []clause{
		{id: "GB/T 22239-2019 8.1.4.1 a) complexity", unit: "L3-CES1-01", asks: text{"identities are unique, and passwords complex", "身份标识唯一，鉴别信息具有复杂度要求"}, rule: "GB/T 22239-2019 8.1.4.1 a) complexity", tests: join(judged, list(through+"TestNamesAndAddressesHaveOneSpelling")), judge: holds("", "")},
		{id: "GB/T 22239-2019 8.1.4.1 a) regular change", unit: "L3-CES1-01", asks: text{"passwords are changed regularly", "鉴别信息定期更换"}, rule: "GB/T 22239-2019 8.1.4.1 a) regular change", tests: join(judged, list(through+"TestAgesAndSimilarity")), judge: holds("", "")},
		{id: "GB/T 22239-2019 8.1.4.1 b)", unit: "L3-CES1-02", asks: text{"failed logins are handled: sessions end, tries are limited, idle sessions are logged out", "登录失败处理：结束会话、限制非法登录次数、连接超时自动退出"}, settings: list[setting](throttleInForce, always("operators have no sessions: every call carries its credential", "管理操作没有会话：每次调用都携带凭证")), tests: throttled, checks: list("throttle.loose", "throttle.alone"), judge: ladder},
		{id: "GB/T 22239-2019 8.1.4.1 c)", unit: "L3-CES1-03", asks: text{"credentials cannot be overheard during remote management", "远程管理时防止鉴别信息被窃听"}, settings: list[setting](doorsInForce), tests: exposedBy, checks: join(tlsChecks, list("redis.plaintext", "postgres.tls")), judge: channel},
		{id: "GB/T 22239-2019 8.1.4.1 d)", unit: "L3-CES1-04", asks: text{"two or more kinds of factors, one of them cryptographic", "采用两种以上鉴别技术，其一为密码技术"}, settings: list[setting](keysInForce), tests: closed, judge: func(*Facts) judgement {
			return notMet("one credential suffices for an operator, a key or a certificate, and there is no second factor; for your users the second factor is your login's", "管理操作只需一种凭证（密钥或证书），没有第二因素；最终用户的第二因素由您的登录系统提供")
		}},
		{id: "GB/T 22239-2019 8.1.4.2 a)", unit: "L3-CES1-05", asks: text{"accounts and rights are given to those who log in", "为登录的用户分配账户和权限"}, settings: list[setting](keysInForce), tests: scoped, judge: operators},
		{id: "GB/T 22239-2019 8.1.4.2 b)", unit: "L3-CES1-06", asks: text{"default accounts are renamed or removed, default passwords changed", "重命名或删除默认账户，修改默认口令"}, settings: list[setting](keysInForce), tests: list(through+"TestEveryMethodRefusesWithoutAKey", through+"TestAuditFindsAll"), checks: list("key.owner"), judge: holds("there is no default account or password; the first key is random and used from this machine only", "没有默认账户和默认口令；首个密钥随机生成且仅限本机使用")},
		{id: "GB/T 22239-2019 8.1.4.2 c)", unit: "L3-CES1-07", asks: text{"stale accounts are removed, none is shared", "及时删除多余、过期账户，避免共享账户"}, settings: list[setting](keysInForce), tests: list(through+"TestAuditFindsAll", inDaemon+"TestDoctorFindsOldKeys"), checks: list("key.old", "key.no-expiry", "key.far-expiry", "key.test"), judge: operators},
		{id: "GB/T 22239-2019 8.1.4.2 d)", unit: "L3-CES1-08", asks: text{"least privilege, and administrators apart from each other", "最小权限，管理用户权限分离"}, settings: list[setting](keysInForce), tests: scoped, checks: list("key.owner", "key.wide", "process.root"), judge: holds("system, security and audit administrators are roles that no key combines", "系统、安全、审计管理员角色不能合并在一个密钥中")},
		{id: "GB/T 22239-2019 8.1.4.2 e)", unit: "L3-CES1-09", asks: text{"rules of access are set by an authorised subject", "由授权主体配置访问控制策略"}, settings: list[setting](keysInForce), tests: scoped, judge: holds("each method names the scope it needs; one without stops the build and the start", "每个方法都声明所需权限；未声明则无法构建和启动")},
		{id: "GB/T 22239-2019 8.1.4.2 f)", unit: "L3-CES1-10", asks: text{"control reaches from user or process to file or table", "访问控制粒度达到用户/进程级对文件/数据库表级"}, tests: join(scoped, list(through+"TestTenants", "server/internal/policybook.TestTenantsNeverCross")), checks: join(fileChecks, list("postgres.superuser")), judge: holds("by caller, method and tenant", "按调用方、方法与租户控制")},
		{id: "GB/T 22239-2019 8.1.4.2 g)", unit: "L3-CES1-11", asks: text{"security labels on important subjects and objects", "对重要主体和客体设置安全标记"}, judge: func(*Facts) judgement {
			return notMet("there are no labels; scopes and tenants are what there is", "不支持安全标记，仅有权限范围与租户")
		}},
		{id: "GB/T 22239-2019 8.1.4.3 a)", unit: "L3-CES1-12", asks: text{"auditing covers every user and every important act", "审计覆盖每个用户，记录重要行为"}, settings: list[setting](eventsInForce), tests: recorded, checks: eventChecks, judge: logged(met("every change, key event, refusal and audit is a line; a new method that is in neither list stops the start", "每次变更、密钥操作、拒绝与审计都有记录；未登记的新方法会阻止启动"))},
		{id: "GB/T 22239-2019 8.1.4.3 b)", unit: "L3-CES1-13", asks: text{"records hold date and time, user, type and success", "记录包括日期时间、用户、类型、是否成功"}, settings: list[setting](eventsInForce), tests: recorded, checks: list("clock.offset"), judge: logged(met("time, type, tenant, actor, address, account, outcome and request", "包括时间、类型、租户、操作者、地址、账户、结果与请求编号"))},
		{id: "GB/T 22239-2019 8.1.4.3 c)", unit: "L3-CES1-14", asks: text{"records are protected and backed up, against deletion and change", "保护并定期备份审计记录，避免删除、修改或覆盖"}, settings: list[setting](eventsInForce), tests: join(chained, list(inEvents+"TestTamperingBeforeAStartStaysVisible")), checks: join(eventChecks, list("events.one-place", "disk.full")), judge: logged(met("the lines are a keyed chain with signed checkpoints; that the files are copied elsewhere is yours to see to", "日志为带密钥的链并有签名检查点；将文件备份到其他位置须自行安排"))},
		{id: "GB/T 22239-2019 8.1.4.3 d)", unit: "L3-CES1-15", asks: text{"the auditing cannot be interrupted without authority", "保护审计进程，防止未经授权的中断"}, settings: list[setting](eventsInForce), tests: list(through+"TestNothingChangesWithoutTheEventLog", inEvents+"TestABlockedDiskHangsNobody"), checks: list("events.failing", "process.root"), judge: logged(met("there is no switch; a log that cannot be written refuses every change", "没有关闭开关；日志无法写入时拒绝一切变更"))},
		{id: "GB/T 22239-2019 8.1.4.4 a)", unit: "L3-CES1-17", asks: text{"a minimal installation", "遵循最小安装原则"}, settings: list[setting](versionInForce), tests: list("server.TestNoKnownFaultsAreLinked"), judge: inPart("watchword is one binary, and its image holds nothing else; the machine below is yours", "watchword 为单一可执行文件，镜像中别无其他组件；宿主机由您负责")},
		{id: "GB/T 22239-2019 8.1.4.4 b)", unit: "L3-CES1-18", asks: text{"needless services, shares and ports are closed", "关闭不需要的系统服务、默认共享和高危端口"}, settings: list[setting](doorsInForce), tests: join(exposedBy, list(through+"TestWithAKeyUnknownPathsAreNotFound", inDaemon+"TestNeighbours")), checks: join(doorChecks, list("range.everyone", "neighbour.open", "redis.bind")), judge: holds("what is not configured does not listen", "未配置的端口不会监听")},
		{id: "GB/T 22239-2019 8.1.4.4 c)", unit: "L3-CES1-19", asks: text{"the addresses that may manage are restricted", "限制管理终端的接入方式或地址范围"}, settings: list[setting](allowInForce, keysInForce), tests: list(through+"TestAllowListJudgesTheSocket", through+"TestForgedForwardedHeaders"), checks: list("door.no-allow-list", "door.allow-everyone", "key.no-networks", "key.wide-networks", "proxy.everyone"), judge: holds("lists by listener and by key, on the address of the socket", "按监听端口与密钥设置白名单，以套接字地址为准")},
		{id: "GB/T 22239-2019 8.1.4.4 d)", unit: "L3-CES1-20", asks: text{"what comes from people and interfaces is validated", "对人机接口或通信接口输入的数据做有效性检验"}, settings: list(always("unknown, duplicate and oversized input is refused with a fixed text", "未知、重复、超长的输入以固定文字拒绝")), tests: list(through+"TestBadTextIsRefusedInEveryField", through+"TestMalformedBodies", inPassword+"TestCostBombsAllocateNothing"), judge: holds("every field has bounds", "每个字段都有边界检查")},
		{id: "GB/T 22239-2019 8.1.4.4 e)", unit: "L3-CES1-21", asks: text{"known holes are found and mended in time", "及时发现并修补已知漏洞"}, settings: list[setting](versionInForce), tests: list("server.TestNoKnownFaultsAreLinked"), judge: people("keep to new versions, and scan; a test keeps versions with known faults out of the build", "须及时升级并定期扫描；测试会阻止已知有漏洞的依赖版本进入构建")},
		{id: "GB/T 22239-2019 8.1.4.4 f)", unit: "L3-CES1-22", asks: text{"intrusions are detected and alarmed", "检测入侵行为并报警"}, settings: list[setting](signalsInForce), tests: list(through+"TestWatchSignals", through+"TestWebhook", inThrottle+"TestSignals"), checks: list("outgoing.unsigned", "outgoing.plaintext"), judge: alarm},
		{id: "GB/T 22239-2019 8.1.4.5", unit: "L3-CES1-23", asks: text{"protection from malicious code", "恶意代码防范"}, judge: people("a matter of the machine below", "由宿主机负责")},
		{id: "GB/T 22239-2019 8.1.4.6", unit: "L3-CES1-24", asks: text{"trusted verification from boot on", "基于可信根的可信验证"}, judge: people("a matter of the machine below; the argon2 kernels are tried at each start", "由宿主机负责；argon2 内核在每次启动时自检")},
		{id: "GB/T 22239-2019 8.1.4.7 a)", unit: "L3-CES1-25", asks: text{"integrity of important data on its way", "重要数据传输过程中的完整性"}, settings: list[setting](doorsInForce, storeInForce), tests: exposedBy, checks: join(tlsChecks, storeChecks, list("outgoing.plaintext", "outgoing.unsigned")), judge: channel},
		{id: "GB/T 22239-2019 8.1.4.7 b)", unit: "L3-CES1-26", asks: text{"integrity of important data at rest", "重要数据存储过程中的完整性"}, settings: list[setting](pepperInForce, eventsInForce), tests: join(sealed, chained, list("server/internal/boltstore.TestDamageOfPages")), checks: list("events.broken", "corpus.unusable"), judge: holds("hashes are sealed to their row, and events chained; no claim is made under GB/T 39786", "哈希与所在记录绑定密封，事件成链；不声称符合 GB/T 39786")},
		{id: "GB/T 22239-2019 8.1.4.8 a)", unit: "L3-CES1-27", asks: text{"confidentiality of important data on its way", "重要数据传输过程中的保密性"}, settings: list[setting](doorsInForce, storeInForce), tests: exposedBy, checks: join(tlsChecks, storeChecks, list("outgoing.plaintext")), judge: channel},
		{id: "GB/T 22239-2019 8.1.4.8 b)", unit: "L3-CES1-28", asks: text{"confidentiality of important data at rest", "重要数据存储过程中的保密性"}, settings: list[setting](hashInForce, pepperInForce), tests: join(hashed, sealed, silentOn), checks: join(fileChecks, hashChecks), judge: func(f *Facts) judgement {
			j := hashing(f)
			if j.result == Met {
				j.why = text{"passwords are hashed and sealed, and accounts kept under keyed pseudonyms; no claim is made under GB/T 39786", "口令经哈希并密封，账户仅以带密钥的化名保存；不声称符合 GB/T 39786"}
			}
			return j
		}},
		{id: "GB/T 22239-2019 8.1.4.9 a)", unit: "L3-CES1-29", asks: text{"backup and recovery of important data on site", "重要数据本地备份与恢复"}, settings: list[setting](storeInForce), tests: list("server/internal/boltstore.TestBackupAndRestore", "server/internal/boltstore.TestBackupWhileWriting"), checks: list("store.durability", "disk.full"), judge: people("watchword-server backup and restore do it, encrypted and while the server runs; that they are run and tried is yours to see to", "watchword-server backup 与 restore 支持在线加密备份与恢复；定期执行与演练须自行安排")},
		{id: "GB/T 22239-2019 8.1.4.9 b)", unit: "L3-CES1-30", asks: text{"copies off site", "异地实时备份"}, judge: people("copy the backups elsewhere, and the keys apart from them", "请将备份复制到异地，密钥与备份分开存放")},
		{id: "GB/T 22239-2019 8.1.4.9 c)", unit: "L3-CES1-31", asks: text{"hot redundancy", "重要数据处理系统热冗余"}, settings: list[setting](storeInForce), tests: list(through+"TestServersShareAStore", "server/internal/redisthrottle.TestThreeServersOneBudget"), checks: list("throttle.alone", "redis.eviction"), judge: redundant},
		{id: "GB/T 22239-2019 8.1.4.10 a)", unit: "L3-CES1-32", asks: text{"credentials are wiped before their memory or storage is used again", "鉴别信息所在存储空间释放前清除"}, tests: list("server/internal/argon2.TestWipe", "server/internal/argon2.TestClosedMemory"), judge: inPart("hashing memory and password buffers are wiped; Go may keep copies of a plaintext in memory until it is collected", "哈希内存与口令缓冲区会被清除；但 Go 运行时在回收前可能保留明文副本")},
		{id: "GB/T 22239-2019 8.1.4.10 b)", unit: "L3-CES1-33", asks: text{"the same for other sensitive data", "敏感数据所在存储空间释放前清除"}, tests: list(through+"TestCredentialLife", through+"TestNoSecretLeavesTheServer"), judge: inPart("a deleted account leaves a tombstone without personal data; disk blocks are the file system's", "删除账户仅留下不含个人信息的墓碑；磁盘块由文件系统管理")},
		{id: "GB/T 22239-2019 8.1.4.11 a)", unit: "L3-CES1-34", asks: text{"only the personal data that is needed is collected", "仅采集和保存业务必需的个人信息"}, tests: silentOn, judge: holds("accounts, names, phones and addresses are kept under keyed pseudonyms or not at all", "账户以带密钥的化名保存，姓名、电话、地址不保存")},
		{id: "GB/T 22239-2019 8.1.4.11 b)", unit: "L3-CES1-35", asks: text{"no access to or use of personal data without authority", "禁止未授权访问和非法使用个人信息"}, settings: list[setting](keysInForce), tests: join(closed, scoped), checks: list("key.wide", "neighbour.open", "door.no-authentication"), judge: holds("nothing is answered without a credential of the right scope and tenant; what authorised people do with it is theirs", "没有相应权限与租户的凭证一律拒绝；被授权者如何使用由其负责")},
		{id: "CSL art. 21", asks: text{"network logs are kept for six months", "网络日志留存不少于六个月"}, settings: list[setting](eventsInForce), tests: list(inEvents+"TestPurgeLeavesALogThatHoldsTogether", through+"TestRetention"), checks: list("retention.short", "events.failing"), judge: keptFor(180 * 24 * time.Hour)},
		{id: "GB/T 39786-2021", asks: text{"commercial cryptography with certified products and approved algorithms", "使用经认证的商用密码产品和核准的密码算法"}, settings: list[setting](pepperInForce), judge: func(*Facts) judgement {
			return notMet("not claimed: argon2's BLAKE2b is not an approved algorithm, and SM3 and SM4 here are software without certification", "不声称符合：argon2 的 BLAKE2b 不是核准算法，此处的 SM3、SM4 为未经认证的软件实现")
		}},
	}},

	{id: "asvs-5", title: text{"OWASP ASVS 5.0.0, what concerns passwords and this service", "OWASP ASVS 5.0.0：与口令及本服务有关的条款"}, rules: "asvs-5-l2", clauses: []clause{
		{id: asvs + "2.4.1", asks: text{"anti-automation against costly functions", "对高成本功能做防自动化"}, settings: list[setting](limitsInForce, throttleInForce), tests: list("server.TestOverload", inPassword+"TestFullQueueRefusesAtOnce"), judge: quotas},
		{id: asvs + "4.1.3", asks: text{"headers of intermediaries cannot be set by users", "用户不能伪造中间设备写入的头"}, settings: list[setting](allowInForce), tests: list(through+"TestForgedForwardedHeaders", through+"TestAllowListJudgesTheSocket"), checks: list("proxy.everyone"), judge: holds("only listed proxies are believed, and only by the door for nginx and Caddy", "仅信任列出的代理，且仅限 nginx/Caddy 入口")},
		{id: asvs + "6.1.1", asks: text{"controls against guessing are documented, with how they avoid malicious lock-out", "记录防猜测控制措施及其如何避免恶意锁定"}, settings: list[setting](throttleInForce), tests: list(through+"TestStrangersDoNotLockTheOwnerOut", "server/internal/throttle/attacksim.TestScenarios"), judge: holds("this row, the README and attack-sim document the configuration in force", "本行、README 与 attack-sim 描述了生效的配置")},
		{id: asvs + "6.1.2", asks: text{"a list of context words is documented", "记录上下文词语名单"}, tests: list(through+"TestDictionaryThroughBothDoors", inPolicy+"TestContextDerivatives"), judge: inPart("each tenant has a dictionary, and context comes with each request; which words belong in it is yours to decide", "每个租户都有词典，请求可携带上下文；词典内容须自行确定")},
		{id: asvs + "6.2.1", asks: text{"8 characters, 15 recommended", "至少 8 个字符，建议 15 个"}, rule: asvs + "6.2.1", tests: judged, judge: holds("", "")},
		{id: asvs + "6.2.2", asks: text{"users can change their password", "用户可以更改密码"}, tests: list(through + "TestCredentialLife"), judge: holds("ChangePassword", "ChangePassword")},
		{id: asvs + "6.2.3", asks: text{"a change needs the current password", "更改时须提供当前密码"}, tests: list(through+"TestCredentialLife", through+"TestUnknownAndWrongAreOneAnswer"), judge: holds("ChangePassword spends an attempt and verifies the current one first", "ChangePassword 先消耗一次尝试并验证当前密码")},
		{id: asvs + "6.2.4", asks: text{"the 3,000 most common passwords that fit the policy are refused", "拒绝符合策略的前 3000 个常用密码"}, settings: list[setting](corporaInForce), rule: asvs + "6.2.4", tests: join(judged, list(through+"TestEmbeddedListIsCounted")), judge: listLong},
		{id: asvs + "6.2.5", asks: text{"any composition", "允许任意字符组成"}, rule: asvs + "6.2.5", tests: judged, judge: holds("", "")},
		{id: asvs + "6.2.6", asks: text{"the form hides the password", "输入框隐藏密码"}, tests: list("client/watchword.TestPromptDoesNotEcho"), judge: people("the form that people type into is not watchword's", "输入界面不属于 watchword")},
		{id: asvs + "6.2.7", asks: text{"paste and password managers work", "允许粘贴与密码管理器"}, tests: list(inPolicy + "TestPasswordRules"), judge: people("the form that people type into is not watchword's", "输入界面不属于 watchword")},
		{id: asvs + "6.2.8", asks: text{"verified exactly as received", "按原样验证"}, rule: asvs + "6.2.8", tests: list(through+"TestDecomposedTextIsOneText", inPassword+"TestHashAndVerify"), judge: holds("", "")},
		{id: asvs + "6.2.9", asks: text{"at least 64 characters are permitted", "允许至少 64 个字符"}, rule: asvs + "6.2.9", tests: judged, judge: holds("", "")},
		{id: asvs + "6.2.10", asks: text{"no periodic change", "不要求定期更换"}, rule: asvs + "6.2.10", tests: judged, judge: holds("", "")},
		{id: asvs + "6.2.11", asks: text{"the list of context words is enforced", "执行上下文词语名单"}, rule: asvs + "6.2.11", tests: join(judged, list(through+"TestDictionaryThroughBothDoors")), judge: holds("", "")},
		{id: asvs + "6.2.12", asks: text{"breached passwords are refused", "拒绝已泄露的密码"}, settings: list[setting](corporaInForce), rule: asvs + "6.2.12", tests: join(judged, list(through+"TestCorpusAnswers", through+"TestFailModes")), checks: list("corpus.unusable", "corpus.old"), judge: corpora},
		{id: asvs + "6.3.1", asks: text{"controls against stuffing and guessing work as documented", "防撞库与防猜测措施按文档生效"}, settings: list[setting](throttleInForce), tests: join(throttled, list("server/internal/throttle/attacksim.TestScenarios")), checks: list("throttle.alone", "throttle.loose"), judge: ladder},
		{id: asvs + "6.3.2", asks: text{"no default accounts", "没有默认账户"}, settings: list[setting](keysInForce), tests: closed, checks: list("key.owner", "key.test"), judge: holds("there is none", "没有默认账户")},
		{id: asvs + "6.3.5", asks: text{"users are told of suspicious attempts", "向用户通知可疑尝试"}, settings: list[setting](signalsInForce), tests: list(through+"TestWatchSignals", inThrottle+"TestSignals"), judge: inPart("logins answer with notify[], and signals tell of successes after failures; the message to the person is yours to send", "登录结果含 notify[]，并有失败后成功等信号；通知用户须由您发送")},
		{id: asvs + "6.3.8", asks: text{"whether an account exists shows in no message, code or time", "账户是否存在不体现在消息、状态码或耗时中"}, settings: list[setting](hashInForce), tests: list(through+"TestTimeTellsNothing", through+"TestUnknownAndWrongAreOneAnswer", through+"TestLegacyRowsDoNotShowInTime"), checks: list("hashing.legacy-wait"), judge: holds("unknown, disabled and wrong are one answer at one cost", "未知、停用与错误返回同一结果、同一开销")},
		{id: asvs + "6.4.1", asks: text{"initial passwords are random, short-lived, and not for keeping", "初始密码随机、短期有效且须更改"}, tests: list(through+"TestGeneratedPasswordsAreAccepted", through+"TestCredentialLife"), judge: inPart("GeneratePassword makes them and mustChange ends them at first use; whether you set it is yours", "GeneratePassword 可生成随机口令，mustChange 可强制首次更改；是否使用由您决定")},
		{id: asvs + "6.4.6", asks: text{"administrators trigger a reset, and do not choose the password", "管理员可触发重置但不能选定密码"}, tests: list(through + "TestRebinding"), judge: inPart("SetCredentialState triggers it; a key with credential.write can set a password, which is your reset flow's to use", "SetCredentialState 可触发重置；拥有 credential.write 的密钥可以设置口令，应仅供重置流程使用")},
		{id: asvs + "8.2.1", asks: text{"authorisation by function", "功能级授权"}, settings: list[setting](keysInForce), tests: scoped, checks: list("key.wide", "key.owner"), judge: holds("each method names its scope", "每个方法都声明所需权限")},
		{id: asvs + "8.2.2", asks: text{"authorisation by object", "对象级授权"}, tests: list(through+"TestTenants", through+"TestAuditsAreOfOneTenant", "server/internal/policybook.TestTenantsNeverCross"), judge: holds("every object belongs to a tenant, which is the key's", "每个对象都属于租户，并由密钥确定")},
		{id: asvs + "8.2.3", asks: text{"authorisation by field", "字段级授权"}, tests: list(through + "TestUnknownAndWrongAreOneAnswer"), judge: holds("hashes leave by no method, and details of an account only with credential.read", "任何方法都不返回哈希，账户详情须有 credential.read 权限")},
		{id: asvs + "8.4.1", asks: text{"tenants never cross", "租户之间互不可见"}, tests: list(through+"TestTenants", "server/internal/policybook.TestTenantsNeverCross"), judge: holds("tenant is part of every name in the store", "租户是存储中每个名称的一部分")},
		{id: asvs + "11.2.1", asks: text{"vetted implementations", "采用经过审查的实现"}, settings: list[setting](hashInForce), tests: list("server/internal/argon2.TestRFCVectors", "server/internal/argon2.TestFences"), checks: list("hashing.kernel"), judge: inPart("argon2 is our own code, held to RFC 9106, the reference library and x/crypto, and tried at each start; nobody else has reviewed it", "argon2 为自有实现，与 RFC 9106、参考库及 x/crypto 比对并在启动时自检；未经第三方审查")},
		{id: asvs + "11.2.2", asks: text{"algorithms can be exchanged", "算法可更换"}, settings: list[setting](hashInForce), tests: list(through+"TestEverySchemeMovesIn", through+"TestApprovedSchemes"), judge: holds("each hash names its scheme and cost, and is replaced at the next login", "每个哈希都记录算法与强度，并在下次登录时更换")},
		{id: asvs + "11.2.4", asks: text{"constant time", "恒定时间"}, tests: list(through+"TestTimeTellsNothing", inPassword+"TestNegativesSeeFaultyVerifiers"), judge: holds("secrets are compared in constant time", "秘密以恒定时间比较")},
		{id: asvs + "11.4.2", asks: text{"approved password hashing at current cost", "以当前强度使用核准的口令散列"}, settings: list[setting](hashInForce), tests: hashed, checks: join(hashChecks, list("hashing.uncalibrated", "hashing.old-calibration")), judge: hashing},
		{id: asvs + "11.5.1", asks: text{"128 bits from a secure generator", "使用不少于 128 位的安全随机数"}, tests: list(inIdentity+"TestNewKeyParses", inPassword+"TestOneRunEach"), judge: holds("keys have 256 random bits, salts 128, all from the system's generator", "密钥 256 位、盐 128 位，均来自系统随机源")},
		{id: asvs + "12.3.1", asks: text{"TLS on every link, in and out", "所有进出连接使用 TLS"}, settings: list[setting](doorsInForce, storeInForce), tests: exposedBy, checks: join(tlsChecks, storeChecks, list("outgoing.plaintext", "oidc.plaintext")), judge: channel},
		{id: asvs + "12.3.5", asks: text{"services identify themselves to each other strongly", "服务间采用强鉴别"}, settings: list[setting](keysInForce, storeInForce), tests: list(inDaemon + "TestCertificatesGiveExactlyTheirScopes"), checks: list("redis.no-password", "postgres.no-password", "door.no-authentication"), judge: operators},
		{id: asvs + "13.2.1", asks: text{"back ends have identities of their own, short-lived or certified", "后端使用各自的、短期或证书身份"}, settings: list[setting](keysInForce), tests: scoped, checks: list("key.no-expiry", "key.far-expiry", "key.old", "key.no-networks"), judge: operators},
		{id: asvs + "13.2.3", asks: text{"no default credentials between services", "服务间没有默认凭证"}, settings: list[setting](keysInForce, storeInForce), tests: closed, checks: list("redis.no-password", "postgres.no-password", "door.no-secret", "neighbour.open"), judge: holds("none exists", "不存在默认凭证")},
		{id: asvs + "13.4.2", asks: text{"debugging is off", "关闭调试功能"}, tests: list(through+"TestEveryRouteRefusesWithoutAKey", through+"TestWithAKeyUnknownPathsAreNotFound"), judge: holds("there is no such page; reflection needs system.read", "没有调试页面；reflection 需要 system.read 权限")},
		{id: asvs + "13.4.5", asks: text{"documentation and monitoring are not exposed by accident", "文档与监控端点不意外暴露"}, settings: list[setting](doorsInForce), tests: list(through+"TestLivenessNeedsNoKey", through+"TestWithAKeyUnknownPathsAreNotFound"), checks: list("door.no-authentication"), judge: holds("only liveness and readiness answer without a key", "只有存活与就绪检查无需密钥")},
		{id: asvs + "14.2.1", asks: text{"no secret in an address or query", "秘密不出现在 URL 或查询串中"}, tests: list(inEvidence + "TestNoSecretIsInAPath"), judge: holds("secrets and accounts are in bodies only; GET takes a prefix of five digits", "秘密与账户只出现在请求体中；GET 仅接受五位前缀")},
		{id: asvs + "14.3.2", asks: text{"answers are not cached", "响应不被缓存"}, tests: list(through + "TestEveryRouteRefusesWithoutAKey"), judge: holds("every answer carries Cache-Control: no-store, ranges private, no-cache", "所有响应带 Cache-Control: no-store，区间查询为 private, no-cache")},
		{id: asvs + "15.1.3", asks: text{"costly functions are documented", "记录高成本功能"}, settings: list[setting](hashInForce, limitsInForce), tests: list("server.TestOverload"), judge: holds("the README has cost and memory of each", "README 记录了各功能的开销与内存")},
		{id: asvs + "15.2.2", asks: text{"costly functions are protected from overuse", "保护高成本功能免遭滥用"}, settings: list[setting](limitsInForce), tests: list("server.TestOverload", inPassword+"TestCancelStormOnRealHashes", inPassword+"TestInteractiveGoesFirst"), checks: list("door.no-quota"), judge: quotas},
		{id: asvs + "15.3.4", asks: text{"the right client address feeds rate limits", "限流使用正确的客户端地址"}, settings: list[setting](allowInForce), tests: list(through+"TestForgedForwardedHeaders", through+"TestManyAddressesOfOneNetwork"), checks: list("proxy.everyone"), judge: holds("source.ip of an authenticated caller; never a header, except of a listed proxy", "使用已鉴别调用方提供的 source.ip；除列出的代理外不信任任何头")},
		{id: asvs + "15.4.2", asks: text{"checking and acting are one step", "检查与操作为原子步骤"}, tests: join(atomicOn, list(inVerifier+"TestRehashDoesNotOverwriteANewerPassword")), judge: holds("an attempt is spent before the password is looked at; records change by compare-and-swap", "先消耗尝试再验证口令；记录以比较并交换方式更新")},
		{id: asvs + "16.2", asks: text{"logs say who, what, when and where, in UTC, without credentials", "日志记录何人、何事、何时、何地（UTC），不含凭证"}, settings: list[setting](eventsInForce), tests: join(recorded, silentOn), checks: list("clock.offset"), judge: logged(met("one line of JSON each, in UTC", "每个事件一行 JSON，使用 UTC"))},
		{id: asvs + "16.3", asks: text{"logins, refusals and changes of security are logged", "记录登录、拒绝与安全相关变更"}, settings: list[setting](eventsInForce), tests: recorded, checks: eventChecks, judge: logged(met("refusals and changes are lines; single logins are counted and signalled, and are yours to log", "拒绝与变更均有记录；单次登录只计数并产生信号，须由调用方记录"))},
		{id: asvs + "16.4", asks: text{"logs are safe from injection and tampering, and are sent elsewhere", "日志防注入、防篡改并发送到别处"}, settings: list[setting](eventsInForce), tests: join(chained, list(inEvents+"TestOneEventIsOneLine")), checks: join(eventChecks, list("events.one-place")), judge: logged(partly("lines are chained, with signed checkpoints; that the log is copied elsewhere is yours to see to", "日志成链并有签名检查点；将日志复制到别处须自行安排"))},
		{id: asvs + "16.5.3", asks: text{"failures never open", "故障时不放行"}, settings: list[setting](throttleInForce), tests: list(through+"TestRedisFaults", through+"TestALostStoreIsNotAnUnknownSubject", through+"TestNothingChangesWithoutTheEventLog", through+"TestBrokenCorpusIsNeverSilent"), judge: func(f *Facts) judgement {
			for _, p := range f.Policies {
				if !p.Policy.Needs().Breach {
					continue
				}
				for _, l := range p.Policy.Lint("en") {
					if l.Code == "BREACH_FAILS_OPEN" {
						return partly("policy %s asks the embedded list alone while the corpus is out of reach", "策略 %s 在泄露库不可用时仅比对内置口令表", p.Policy.Name())
					}
				}
			}
			return met("a lost store, log or corpus refuses; a lost Redis is replaced by a stricter limiter", "存储、日志或泄露库不可用时拒绝；Redis 不可用时改用更严格的限流")
		}},
	}},

	{id: "pci-4.0.1", title: text{"PCI DSS 4.0.1, requirement 8.3 and what of 10 concerns this service", "PCI DSS 4.0.1：8.3 及第 10 章中与本服务有关的要求"}, rules: "pci-4.0.1", clauses: []clause{
		{id: pci + "8.3.2", asks: text{"credentials are unreadable on their way and at rest", "凭据在传输与存储时不可读"}, settings: list[setting](hashInForce, pepperInForce, doorsInForce), tests: join(hashed, sealed, exposedBy), checks: join(hashChecks, tlsChecks, storeChecks, fileChecks), judge: func(f *Facts) judgement {
			if j := hashing(f); j.result != Met {
				return j
			}
			return channel(f)
		}},
		{id: pci + "8.3.3", asks: text{"identity is proven before a reset", "重置前核实身份"}, tests: list(through + "TestRebinding"), judge: people("watchword does as the reset flow says; who proves what to it is yours", "watchword 按重置流程执行；身份核实由您的流程负责")},
		{id: pci + "8.3.4", asks: text{"locked after at most 10 tries, for 30 minutes or until identity is proven", "不超过 10 次失败即锁定，至少 30 分钟或直至核实身份"}, settings: list[setting](throttleInForce), tests: join(throttled, list(inThrottle+"TestProfiles")), checks: list("throttle.loose", "throttle.alone"), judge: tenTries},
		{id: pci + "8.3.5", asks: text{"first and reset passwords are unique and changed at first use", "初始与重置口令唯一且首次使用时更改"}, tests: list(through+"TestCredentialLife", through+"TestGeneratedPasswordsAreAccepted"), judge: inPart("GeneratePassword and mustChange do it; that your flow uses them is yours to see to", "GeneratePassword 与 mustChange 支持该要求；是否使用由您的流程决定")},
		{id: pci + "8.3.6", asks: text{"12 characters with letters and digits", "至少 12 个字符，含字母和数字"}, rule: pci + "8.3.6", tests: judged, judge: holds("", "")},
		{id: pci + "8.3.7", asks: text{"none of the last 4", "不得与最近 4 个相同"}, rule: pci + "8.3.7", tests: join(judged, list(through+"TestHistoryThroughChanges")), judge: holds("", "")},
		{id: pci + "8.3.9", asks: text{"as the only factor: changed every 90 days, or the account's posture is analysed", "单因素：每 90 天更换，或动态分析账户安全状况"}, rule: pci + "8.3.9", tests: join(judged, list(through+"TestAgesAndSimilarity")), judge: posture},
		{id: pci + "8.3.10.1", asks: text{"customers of service providers: as 8.3.9", "服务提供商的客户：同 8.3.9"}, rule: pci + "8.3.10.1", tests: join(judged, list(through+"TestAgesAndSimilarity")), judge: posture},
		{id: pci + "10.2.1.4", asks: text{"invalid attempts at access are logged", "记录无效的访问尝试"}, settings: list[setting](eventsInForce), tests: recorded, checks: eventChecks, judge: logged(met("every refusal of a caller is logged, those alike within a second as one line with their number; failed logins of your users are counted and signalled, and are yours to log", "每次拒绝调用方均有记录，一秒内相同者合并为一行并计数；最终用户的失败登录只计数并产生信号，须由调用方记录"))},
		{id: pci + "10.5.1", asks: text{"logs are kept for 12 months, 3 of them at hand", "日志保留 12 个月，其中 3 个月可即时查询"}, settings: list[setting](eventsInForce), tests: list(inEvents+"TestPurgeLeavesALogThatHoldsTogether", through+"TestRetention"), checks: list("events.failing", "events.broken"), judge: keptFor(365 * 24 * time.Hour)},
	}},
}

const (
	asvs = "ASVS 5.0.0 "
	pci  = "PCI DSS 4.0.1 "
)
