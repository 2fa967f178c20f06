// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// faults are real ones, of this kind of service and of what it stands on, each
// with the tests that would have found it. A test is named by its directory.
var faults = []struct {
	what, seen string
	tests      string
}{
	// Enumeration and timing.
	{"known and unknown users differ in time", "CVE-2025-6011, Vault", "server/servertest.TestTimeTellsNothing"},
	{"an empty password is hashed for known users only", "keycloak/keycloak#51887", "server/servertest.TestBadTextsTellNothing"},
	{"a length check skips the decoy", "CVE-2025-22234, Spring", "server/servertest.TestBadTextsTellNothing"},
	{"the decoy is of a wrong form and costs nothing", "getprobo/probo#1218", "server/servertest.TestUnknownAndWrongAreOneAnswer server/internal/password.TestOneRunEach"},
	{"the decoy keeps an old cost", "josuebrunel/ezauth#193, authelia/authelia#949", "server/internal/verifier.TestChangedCostDoesNotShowInTime"},
	{"users without a usable password answer fast", "CVE-2024-39329, Django", "server/servertest.TestUnknownAndWrongAreOneAnswer"},
	{"a long password widens the difference", "CVE-2016-6210, OpenSSH", "server/servertest.TestBadTextsTellNothing"},
	{"an error of the store tells that a user is unknown", "CVE-2024-41952, Zitadel", "server/servertest.TestALostStoreIsNotAnUnknownSubject"},
	{"a disabled user is told so before the password is looked at", "open-mercato/open-mercato#2812", "server/servertest.TestUnknownAndWrongAreOneAnswer"},
	{"a side door confirms names", "GHSA-pvm5-9frx-264r, Zitadel", "server/servertest.TestUnknownSubjectsCountAlike server/servertest.TestAuthPolicyForm"},

	// Throttle and lockout.
	{"parallel guesses pass the limit", "CVE-2023-47111, Zitadel; Cacti/cacti#7683", "server/servertest.TestParallelGuessesHashAtMostTheBudget server/servertest.TestRaceForOneBudget"},
	{"a reset at the edge of a window loses failures", "keycloak/keycloak#52646", "server/internal/throttle.TestHistoriesAreLinearizable server/internal/redisthrottle.TestHistoriesAreLinearizable server/internal/throttle.TestLadderAgreesWithSlowModel"},
	{"right logins in parallel are refused", "keycloak/keycloak#48272", "server/servertest.TestParallelRightLoginsAllPass"},
	{"spellings of a name are counted apart", "CVE-2025-24806, Authelia; CVE-2025-6004, Vault", "server/servertest.TestSpellingsShareOneBudget server/servertest.TestNamesAndAddressesHaveOneSpelling"},
	{"the limit is off by default", "CVE-2025-64102, Zitadel", "server/servertest.TestAWaitHoldsOnEveryPath"},
	{"a second way in is not limited", "CVE-2026-9798, Keycloak", "server/servertest.TestAWaitHoldsOnEveryPath server/servertest.TestAuthPolicyRace"},
	{"a forwarding header of the client is believed", "SandeepVashishtha/Eventra#13384", "server/servertest.TestForgedForwardedHeaders"},
	{"a header is removed or doubled on the way", "CVE-2024-45410, Traefik; grpc-ecosystem/grpc-gateway#7281", "server/servertest.TestForgedForwardedHeaders server/servertest.TestEveryRouteRefusesWithoutAKey"},
	{"addresses of one /64 are counted apart", "zulip/zulip#21544", "server/servertest.TestManyAddressesOfOneNetwork"},
	{"an own success resets what others share", "nextcloud/server#3159", "server/internal/throttle.TestOwnSuccessRefundsNobodyElse"},
	{"strangers lock the owner out", "GHSA-cq42-vhv7-xr7p, Keycloak", "server/servertest.TestStrangersDoNotLockTheOwnerOut"},
	{"a counter without expiry locks for ever", "redis/redis#4548", "server/internal/redisthrottle.TestFaults server/servertest.TestRedisKeepsNoNames"},
	{"there is no limit while Redis is down", "hiero-ledger/hiero-json-rpc-relay#5684", "server/servertest.TestRedisFaults"},
	{"a demoted replica is asked until the restart", "envoyproxy/ratelimit#1191", "server/internal/redisthrottle.TestFaults server/internal/redisthrottle.TestSentinelFailover"},
	{"an answer of another command is believed", "CVE-2025-29923, go-redis", "server/internal/redisthrottle.TestAnswersOutOfStep"},
	{"new names evict a lock, or memory grows", "apache/rocketmq-dashboard#2378, calimero-network/core#3042", "server/internal/throttle.TestFloodEvictsNoLock"},
	{"a shared Redis evicts counters", "selhorys/dataspoke-baseline#112", "server/internal/redisthrottle.TestWarnings server/internal/daemon.TestDoctorFindsWhatWasPlanted"},
	{"errors of the server count as failures", "keycloak/keycloak#44474", "server/servertest.TestALostStoreIsNotAnUnknownSubject"},

	// Hashes and the text of passwords.
	{"bcrypt cuts at 72 bytes", "CVE-2025-22228, Spring; Okta, October 2024", "server/servertest.TestBcryptOver72Bytes"},
	{"a NUL cuts the password or the hash", "jeremyevans/rodauth#4, kelektiv/node.bcrypt.js#1224", "server/servertest.TestBadTextIsRefusedInEveryField server/internal/password.TestMalformedAndCostlyLegacyHashes"},
	{"an inverted comparison lets every wrong password in", "supabase/auth#1887", "server/internal/password.TestVectors server/internal/password.TestNegativesSeeFaultyVerifiers"},
	{"a hash string with zero cost panics", "alexedwards/argon2id#36", "server/internal/password.TestMalformedAndCostlyHashes server/internal/password.FuzzParse"},
	{"a stored hash costs what it likes", "CVE-2022-22976; hugalafutro/model-hotel#552", "server/internal/password.TestCostBombsAllocateNothing"},
	{"hashes run without bound", "alexedwards/argon2id#35, go-gitea/gitea#14702", "server.TestOverload"},
	{"a client that leaves frees a slot while its hash runs on", "solana-foundation/solana-private-channels#247", "server/internal/password.TestCancelledClientsDoNotFreeSlots server/internal/password.TestCancelStormOnRealHashes"},
	{"a long password is hashed", "CVE-2013-1443, Django", "server/servertest.TestHostileCandidates"},
	{"the estimate takes minutes", "dropbox/zxcvbn#326, nulab/zxcvbn4j#67", "server/internal/strength.TestSteps server/internal/strength.TestHunt"},
	{"composed and decomposed text are two passwords", "usnistgov/800-63-3#301, mattermost/mattermost#37938", "server/servertest.TestDecomposedTextIsOneText"},
	{"text grows when it is normalised, or is none", "Unicode U+FDFA", "server/servertest.TestBadTextIsRefusedInEveryField server/servertest.TestBadTextsTellNothing"},
	{"a hash made anew overwrites a newer password", "roostorg/coop#901", "server/internal/verifier.TestRehashDoesNotOverwriteANewerPassword"},
	{"a hash that cannot be made anew fails the login", "fabriziosalmi/certmate#527", "server/internal/verifier.TestFailedRehashDoesNotFailTheLogin"},

	// The interface and its transport.
	{"a path without its slash passes the rules", "CVE-2026-33186, grpc-go", "server/servertest.TestOddPathsReachNoHandler"},
	{"the gateway skips the interceptors", "grpc-ecosystem/grpc-gateway#1043", "server/servertest.TestEveryRouteRefusesWithoutAKey"},
	{"a public prefix opens debug pages", "GHSA-j93g-rp6m-j32m; CVE-2019-11248, kubelet", "server/servertest.TestUsualPathsAreClosed"},
	{"HTTP is checked and gRPC is not", "ambient-code/platform#1664", "server/servertest.TestEveryMethodRefusesWithoutAKey server/servertest.TestEveryMethodNeedsItsScope"},
	{"rapid reset", "CVE-2023-44487", "server/servertest.TestRapidReset"},
	{"a header without end", "GO-2024-2687, CVE-2022-41723", "server/servertest.TestContinuationFlood server.TestNoKnownFaultsAreLinked"},
	{"a JSON text that never ends being read", "CVE-2024-24786, protojson", "server/servertest.TestMalformedBodies server/internal/rpc.FuzzDecode"},
	{"JSON keys twice or in another case", "encoding/json takes them", "server/servertest.TestMalformedBodies server/internal/daemon.TestReadRefuses"},
	{"a token chooses its algorithm", "CVE-2025-30204, golang-jwt", "server/servertest.TestHostileTokens"},
	{"a session is resumed after the CA changed", "CVE-2025-68121, Go", "server/internal/daemon.TestNoSessionOutlivesItsAuthority"},
	{"IPv4-mapped addresses pass lists", "CVE-2024-24790, Go; brazilofmux/tinymux#800", "server/servertest.TestAllowListJudgesTheSocket server/internal/identity.TestParseNetworks"},
	{"a page reaches the loopback by a name of its own", "GHSA-vx97-q3mm-h3r9", "server/servertest.TestForeignHostsAndOriginsAreRefused"},
	{"a default password, or the environment shown", "CVE-2026-4404, Harbor; CVE-2023-28432, MinIO", "server.TestScripts server/servertest.TestUsualPathsAreClosed"},
	{"stopping loses calls under way", "grpc/grpc-go#1387", "server.TestRestartsLoseNothing"},
	{"a compressed body grows over the limit", "open-telemetry and others", "server/servertest.TestCompressedBodies"},

	// Logs and events.
	{"a malformed request puts the secret in the log", "CVE-2025-4166, Vault", "server/servertest.TestMalformedBodies server/servertest.TestNoSecretLeavesTheServer"},
	{"masking is lost when code is moved", "CVE-2024-8365, Vault", "server/servertest.TestNoSecretLeavesTheServer server/internal/password.TestTextIsNeverPrinted"},
	{"secrets in debug logs, addresses and support files", "go-gitea/gitea#3055; CVE-2025-52490, Couchbase", "server/servertest.TestNoSecretLeavesTheServer"},
	{"a name forges a line of the log", "augustd/owasp-security-logging#59", "server/internal/events.TestOneEventIsOneLine server/internal/rpc.TestLines"},
	{"a log whose end was cut verifies", "aileron-sh/aileron before 0.1.3", "server/internal/events.TestEveryTamperingIsFound server/internal/events.TestForgedLogNeedsTheKey"},
	{"a blocked sink stalls everything", "Vault's documentation; CVE-2025-6203", "server/internal/events.TestABlockedDiskHangsNobody server/servertest.TestNothingChangesWithoutTheEventLog"},

	// Files, lists, stores, configuration.
	{"a name is a path", "GHSA-4753-cmc8-8j9v, GHSA-8rc5-4fr6-64pw", "wordlists.TestNames server/internal/policy.TestNames"},
	{"a document grows without bound", "CVE-2021-4235, CVE-2019-11253, GO-2024-2631", "server/internal/policy.TestYAMLBombIsRefusedBeforeItGrows server/internal/daemon.TestAliasBombs wordlists.TestGzipBudget"},
	{"half a file is taken for all of it", "nil-go/konf#1112, pomerium/pomerium#3521", "server/internal/policybook.TestBrokenDirectoryKeepsTheLastGoodSet server/internal/policybook.TestWriterIsWaitedFor"},
	{"a failed sync passes for a good one", "cockroachdb/cockroach#64385", "server/internal/boltstore.TestFailingCalls"},
	{"a power cut corrupts the store", "etcd-io/bbolt#562, etcd-io/bbolt#446", "server/internal/boltstore.TestPowerCut server/internal/boltstore.TestDamageOfPages"},
	{"a regular expression eats the processor", "CVE-2022-24675, Go", "server/internal/policy.FuzzPattern server/servertest.TestHostilePolicies"},
	{"a report holds formulas", "CWE-1236", "server/servertest.TestAuditReports"},
	{"a backup revives what was deleted", "GDPR Art. 17", "server.TestScripts"},
}

// methods are the ways in which the whole is tried, each with its tests.
var methods = []struct{ what, tests string }{
	{"kill and power cut at any moment", "server/internal/boltstore.TestKill server/internal/boltstore.TestPowerCut server/internal/throttle.TestKilledProcessLosesNoLock server/internal/events.TestKilledWriters server.TestAuditSurvivesKill9"},
	{"a fault at the n-th call of the system", "server/internal/boltstore.TestFailingCalls server/internal/boltstore.TestFullDisk server/internal/events.TestAFullDisk server/internal/events.TestAFileSizeLimit"},
	{"damage of files", "server/internal/boltstore.TestDamageOfPages server/internal/throttle.TestDamagedState server/internal/events.TestEveryTamperingIsFound wordlists.TestDamage server/servertest.TestDamageUnderTheMap"},
	{"Redis in every state but its best", "server/servertest.TestRedisFaults server/internal/redisthrottle.TestFaults server/internal/redisthrottle.TestDownAtStart server/internal/redisthrottle.TestClusterFailover server/internal/redisthrottle.TestSlotsMove server/internal/redisthrottle.TestSentinelFailover"},
	{"PostgreSQL too", "server/servertest.TestPostgresFaults server/servertest.TestALostStoreIsNotAnUnknownSubject server/servertest.TestStartNeedsTheStore server/internal/pgstore.TestPostgres"},
	{"ten times what can be done", "server.TestOverload server/servertest.TestGreedyTenant"},
	{"hostile clients", "server/servertest.TestRapidReset server/servertest.TestContinuationFlood server/servertest.TestCompressedBodies server/servertest.TestIdleConnectionsHoldNobodyUp server/servertest.TestSilentConnectionsEnd server/servertest.TestStrangersConnectionsEnd server/servertest.TestOneAddressDoesNotFillADoor server/servertest.TestBatchClientThatStopsReading server/internal/password.TestCancelStormOnRealHashes"},
	{"stops under load", "server.TestRestartsLoseNothing server.TestLostCallsAreSeen server/servertest.TestAStopThatIsOverdue"},
	{"reloads under load", "server/servertest.TestReloadsUnderLoad server/servertest.TestCorpusSwapUnderLoad server/internal/policybook.TestWriterIsWaitedFor"},
	{"steps of the clock", "server/servertest.TestClockSteps server/internal/throttle.TestClockSteps server/internal/throttle.TestWallClockIsSteady server/servertest.TestHostileTokens"},
	{"random histories against a model", "server/internal/throttle.TestHistoriesAreLinearizable server/internal/redisthrottle.TestHistoriesAreLinearizable server/internal/throttle.TestLadderAgreesWithSlowModel server/internal/redisthrottle.TestScriptAgreesWithGo"},
	{"hours under load, and what is left of it", "server.TestSoak server.TestLeaksAreSeen"},
	{"several servers of which some die", "server.TestFleet server.TestServersShareAnAuditAndOneIsKilled"},
	{"planted faults", "server.TestMutants"},
}

// clients are programs of others that are run unmodified, each with its test.
var clients = []struct{ what, tests string }{
	{"npm hibp, @zxcvbn-ts/matcher-pwned, Symfony NotCompromisedPassword", "server/servertest.TestRangeClients"},
	{"KeePassXC", "server/servertest.TestKeePassXC"},
	{"Ory Kratos's validator", "server/servertest.TestKratos"},
	{"Dovecot", "server/servertest.TestDovecotLogsIn"},
	{"Caddy", "server/servertest.TestCaddy"},
	{"nginx", "server/servertest.TestNginx"},
	{"client_cmd of envoyproxy/ratelimit", "server/servertest.TestEnvoyClientCmd"},
	{"grpcurl, grpc-health-probe, @grpc/grpc-js, Python grpcio", "server.TestOtherLanguages"},
	{"argon2", "server/servertest.TestArgon2Program server/internal/argon2.TestAgainstProgram"},
}

// TestEveryFaultHasATest holds the tables to the tests that there are.
func TestEveryFaultHasATest(t *testing.T) {
	known := map[string]map[string]bool{}
	check := func(what, tests string) {
		t.Helper()
		names := strings.Fields(tests)
		if len(names) == 0 {
			t.Errorf("%s: no test", what)
		}
		for _, name := range names {
			dir, test, _ := strings.Cut(name, ".")
			if known[dir] == nil {
				known[dir] = testsIn(t, filepath.Join("..", dir))
			}
			if !known[dir][test] {
				t.Errorf("%s: there is no test %s", what, name)
			}
		}
	}
	for _, f := range faults {
		check(f.what+" ("+f.seen+")", f.tests)
	}
	for _, m := range methods {
		check(m.what, m.tests)
	}
	for _, c := range clients {
		check(c.what, c.tests)
	}
}

// testsIn names the tests and fuzz targets of a directory.
func testsIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests (%v)", dir, err)
	}
	names := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names[fn.Name.Name] = strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")
			}
		}
	}
	return names
}
