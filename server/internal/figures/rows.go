// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

// row is one figure: a metric of a benchmark, and what it is held against.
type row struct {
	What string
	// Peer is what the figure is a ratio to; empty for a plain one.
	Peer string
	// bench is the benchmark with its sub-benchmark; a * in it stands for the
	// fastest of kernels that this machine can run.
	pkg, tags, bench, unit string
	// time is what -benchtime says; all rows of a benchmark say the same.
	time            string
	atLeast, atMost float64
}

const (
	strengthPkg = "./server/internal/strength"
	policyPkg   = "./server/internal/policy"
	corporaPkg  = "./wordlists"
	argon2Pkg   = "./server/internal/argon2"
	libraryPkg  = "./server/internal/argon2/cbench"
	hashingPkg  = "./server/internal/password"
	keepingPkg  = "./server/internal/verifier"
	storePkg    = "./server/internal/boltstore"
	databasePkg = "./server/internal/pgstore"
	countersPkg = "./server/internal/throttle"
	sharedPkg   = "./server/internal/redisthrottle"
	auditPkg    = "./server/internal/audit"
	servicePkg  = "./server/servertest"
	doorPkg     = "./server"
)

// kernels in the order in which they are preferred.
var kernels = []string{"avx512", "avx2", "generic"}

var rows = []row{
	{What: "estimates a second", Peer: "ccojocar/zxcvbn-go", pkg: strengthPkg, bench: "BenchmarkOf", unit: "x-ccojocar", atLeast: 30},
	{What: "estimates a second, one thread", pkg: strengthPkg, bench: "BenchmarkOf", unit: "passwords/s", atLeast: 60_000},
	{What: "estimate, 99th percentile, µs", pkg: strengthPkg, bench: "BenchmarkOf", unit: "p99-µs", atMost: 100},
	{What: "judgement by the default policy, knowing the name, birthday and contacts of the person, ns", pkg: policyPkg, bench: "BenchmarkJudge/usual", unit: "ns/op"},

	{What: "look-up of a listed password, time", Peer: "one random line of the same file", pkg: corporaPkg, bench: "BenchmarkLatency/hit", unit: "x-floor", time: "1x", atMost: 1.35},
	{What: "size of the corpus file", Peer: "the information bound", pkg: corporaPkg, bench: "BenchmarkLatency/hit", unit: "x-bound", time: "1x", atMost: 1.25},
	{What: "look-up, time", Peer: "FastFilter/xorfilter, binary fuse 16", pkg: corporaPkg, bench: "BenchmarkPeers", unit: "x-fuse16", time: "1x", atMost: 1.9},
	{What: "look-ups a second", Peer: "search in a sorted mapped file", pkg: corporaPkg, bench: "BenchmarkPeers", unit: "file/index", time: "1x", atLeast: 9},
	{What: "look-ups a second, a thousand at once", Peer: "one after another", pkg: corporaPkg, bench: "BenchmarkBatch", unit: "loop/batch", time: "1x", atLeast: 2.2},

	{What: "argon2id, 19 MiB, 2 passes: hashes per processor second", Peer: "golang.org/x/crypto", pkg: argon2Pkg, bench: "BenchmarkVersusXCrypto/*/m=19MiB,t=2,p=1", unit: "x-xcrypto", atLeast: 3},
	{What: "argon2id, 64 MiB, 3 passes, 4 lanes", Peer: "golang.org/x/crypto", pkg: argon2Pkg, bench: "BenchmarkVersusXCrypto/*/m=64MiB,t=3,p=4", unit: "x-xcrypto", atLeast: 2.7},
	{What: "argon2id, 19 MiB, 2 passes", Peer: "the installed libargon2, given its memory again (Debian builds it without AVX2)", pkg: libraryPkg, tags: "libargon2", bench: "BenchmarkVersusLibrary/*/m=19MiB,t=2,p=1", unit: "x-reuse"},
	{What: "argon2id, 19 MiB, 2 passes", Peer: "the installed libargon2, as programs use it", pkg: libraryPkg, tags: "libargon2", bench: "BenchmarkVersusLibrary/*/m=19MiB,t=2,p=1", unit: "x-own"},
	{What: "hashes a second at ten times what the machine can do", Peer: "at what it can do", pkg: hashingPkg, bench: "BenchmarkOverload", unit: "goodput-10x/1x", time: "1x", atLeast: .9},
	{What: "refusal at the gRPC door at ten times what the machine can do, 99th percentile, ms", pkg: doorPkg, bench: "BenchmarkOverload", unit: "shed-p99-ms", time: "1x", atMost: 5},
	{What: "refusal at the gRPC door at ten times what the machine can do, 99th percentile", Peer: "a gRPC server with nothing behind it, beside as many hashes", pkg: doorPkg, bench: "BenchmarkOverload", unit: "shed-p99/bare", time: "1x"},
	{What: "memory of the server at ten times what the machine can do, beside what hashes take, MiB", pkg: doorPkg, bench: "BenchmarkOverload", unit: "beside-slots-MiB", time: "1x", atMost: 64},

	{What: "one password stored, time", Peer: "one update of a plain bbolt tree", pkg: storePkg, bench: "BenchmarkPut", unit: "latency/bbolt-update"},
	{What: "passwords stored a second by 64 callers", Peer: "by one", pkg: storePkg, bench: "BenchmarkPut", unit: "rate-of-64/rate-of-1"},
	{What: "credentials imported a second, embedded store", pkg: storePkg, bench: "BenchmarkImport", unit: "credentials/s", time: "1x"},
	{What: "bytes a credential, embedded store", pkg: storePkg, bench: "BenchmarkImport", unit: "B/credential", time: "1x"},
	{What: "login beside 100,000 credentials, without the hash", Peer: "beside 10,000", pkg: keepingPkg, bench: "BenchmarkScale", unit: "verify-ratio", atMost: 2},
	{What: "setting a password beside 100,000, without the hash", Peer: "beside 10,000", pkg: keepingPkg, bench: "BenchmarkScale", unit: "set-ratio", atMost: 2},
	{What: "credentials imported a second, PostgreSQL", Peer: "16 writers of one each", pkg: databasePkg, bench: "BenchmarkImport", unit: "import/16-writers", time: "1x"},
	{What: "bytes a credential, PostgreSQL, with its index", pkg: databasePkg, bench: "BenchmarkImport", unit: "B/credential", time: "1x"},

	{What: "attempts a second in process, one thread", Peer: "golang.org/x/time/rate, one limit", pkg: countersPkg, bench: "BenchmarkCore/threads=1", unit: "x-faster", atLeast: 2},
	{What: "attempts a second in process, two threads", Peer: "golang.org/x/time/rate, one limit, two threads", pkg: countersPkg, bench: "BenchmarkCore/threads=2", unit: "x-faster", atLeast: 3},
	{What: "bytes an account that the throttle knows, in process", pkg: countersPkg, bench: "BenchmarkMemory", unit: "B/subject", time: "1x", atMost: 90},
	{What: "attempts a second in Redis, all lanes, 256 callers", Peer: "redis_rate, one limit", pkg: sharedPkg, bench: "BenchmarkDecision/single/callers=256/near=1", unit: "x-rate1", time: "1x", atLeast: 1.5},
	{What: "attempts a second in Redis, all lanes, 256 callers", Peer: "redis_rate, five limits", pkg: sharedPkg, bench: "BenchmarkDecision/single/callers=256/near=1", unit: "x-rate5", time: "1x", atLeast: 6},
	{What: "attempts a second in Redis, all lanes, 256 callers, 200 addresses guessing in each /24", Peer: "redis_rate, one limit", pkg: sharedPkg, bench: "BenchmarkDecision/single/callers=256/near=200", unit: "x-rate1", time: "1x"},
	{What: "attempts a second in Redis Cluster, all lanes, 256 callers", Peer: "redis_rate, one limit, through the same kind of client", pkg: sharedPkg, bench: "BenchmarkDecision/cluster/callers=256/near=1", unit: "x-rate1", time: "1x", atLeast: .8},
	{What: "bytes an account in Redis", Peer: "redis_rate, five limits", pkg: sharedPkg, bench: "BenchmarkKeyMemory", unit: "of-rate5", time: "1x", atMost: .4},

	{What: "BeginAttempt over gRPC, 64 callers", Peer: "bare gRPC echo", pkg: servicePkg, bench: "BenchmarkBeginAttempt/callers=64", unit: "memory-ops/echo", time: "1x", atLeast: .75},
	{What: "BeginAttempt over gRPC, counters in Redis, 64 callers", Peer: "bare gRPC echo", pkg: servicePkg, bench: "BenchmarkBeginAttempt/callers=64", unit: "redis-ops/echo", time: "1x", atLeast: .45},
	{What: "BeginAttempt over gRPC, counters in Redis, 64 callers", Peer: "envoyproxy/ratelimit, five limits in the same Redis", pkg: servicePkg, bench: "BenchmarkRatelimit/pipelined", unit: "ops/ratelimit", time: "1x", atLeast: 1.7},
	{What: "BeginAttempt over REST, 64 callers", Peer: "bare grpc-gateway echo in process", pkg: servicePkg, bench: "BenchmarkBeginAttemptREST", unit: "ops/inside", time: "1x", atLeast: .8},
	{What: "BeginAttempt over REST, 64 callers", Peer: "bare grpc-gateway that dials its echo", pkg: servicePkg, bench: "BenchmarkBeginAttemptREST", unit: "ops/dialled", time: "1x", atLeast: 1.2},
	{What: "CheckPassword over gRPC, 16 callers", Peer: "bare gRPC echo", pkg: servicePkg, bench: "BenchmarkCheckPassword", unit: "grpc-ops/echo", time: "1x", atLeast: .75},
	{What: "CheckPassword over REST, 16 callers", Peer: "bare grpc-gateway echo in process", pkg: servicePkg, bench: "BenchmarkCheckPassword", unit: "rest-ops/echo", time: "1x", atLeast: .8},
	{What: "checks in a stream, for the same processor time of the server", Peer: "calls of their own", pkg: doorPkg, bench: "BenchmarkRows", unit: "call/row", time: "1x", atLeast: 2.5},
	{What: "hashes looked up a thousand in a call, for the same processor time of the server", Peer: "calls of their own", pkg: doorPkg, bench: "BenchmarkRows", unit: "hash-alone/among", time: "1x", atLeast: 5},

	{What: "audit: guesses a second at argon2id", Peer: "bare loop of the same hash", pkg: auditPkg, bench: "BenchmarkGuess", unit: "of-bare-loop", time: "1x"},
	{What: "audit: join of NTLM rows with a corpus, time", Peer: "reading both files once", pkg: auditPkg, bench: "BenchmarkJoin", unit: "join×read", time: "1x"},
	{What: "login beside an audit with work for every slot, median", Peer: "login alone", pkg: auditPkg, bench: "BenchmarkLoginBeside", unit: "×p50", time: "1x"},
}
