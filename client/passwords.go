// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"
	"strings"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Person is what the caller knows about somebody, and a guesser might too.
type Person struct {
	Login     string
	Emails    []string
	Names     []string
	Phones    []string
	BirthDate string // YYYY-MM-DD
	Words     []string
}

func (p Person) proto() *watchwordv1.PasswordContext {
	return &watchwordv1.PasswordContext{Login: p.Login, Emails: p.Emails, Names: p.Names, Phones: p.Phones,
		BirthDate: p.BirthDate, Words: p.Words}
}

// CheckOptions refine a check. The zero value judges a new password that is
// the only factor by the default policy.
type CheckOptions struct {
	Policy      string
	Person      Person
	Previous    string
	MultiFactor bool
	// Locale of the messages: "en" (also when empty) or "zh-CN".
	Locale string
}

func (o CheckOptions) use() watchwordv1.Use {
	if o.MultiFactor {
		return watchwordv1.Use_USE_MULTI_FACTOR
	}
	return watchwordv1.Use_USE_SINGLE_FACTOR
}

// Violation is one rule that a password breaks.
type Violation struct {
	Rule    string
	Clauses []string
	Message string
	Params  map[string]string
}

// Segment is what was recognised in a part of a password, by offsets in code
// points.
type Segment struct {
	Kind       string
	Start, End int
}

// Strength is the estimate of how many guesses a password withstands.
type Strength struct {
	GuessesLog10 float64
	Score        int // 0 to 4
	Segments     []Segment
}

// Breach is what the breach corpora say.
type Breach struct {
	// Status is PERFORMED, DEGRADED or SKIPPED.
	Status        string
	Found         bool
	Count         uint32
	CorpusVersion string
}

// Judgement is the answer to a check.
type Judgement struct {
	Accepted   bool
	Violations []Violation
	Advice     []string
	Strength   Strength
	Breach     Breach
	Policy     string
	Version    string
	// Proof shows to Set that the password was accepted.
	Proof string
}

// Check judges a candidate. A weak one is an answer, not an error.
func (c *Client) Check(ctx context.Context, password string, o CheckOptions) (Judgement, error) {
	r, err := c.passwords.CheckPassword(ctx, &watchwordv1.CheckPasswordRequest{
		Password: password, Policy: o.Policy, Context: o.Person.proto(), PreviousPassword: o.Previous, Use: o.use(), Locale: o.Locale,
	})
	if err != nil {
		return Judgement{}, failure(err)
	}
	return Judgement{
		Accepted:   r.GetDecision() == watchwordv1.Decision_DECISION_ACCEPT,
		Violations: violationsOf(r.GetViolations()), Advice: r.GetAdvice(), Strength: strengthOf(r.GetStrength()),
		Breach: breachOf(r.GetBreach()), Policy: r.GetPolicy(), Version: r.GetPolicyVersion(), Proof: r.GetProof(),
	}, nil
}

// Kinds of generated passwords.
const (
	Random           = "random"
	PassphraseEN     = "passphrase-en"
	PassphrasePinyin = "passphrase-pinyin"
)

// Generate makes passwords that satisfy a policy; the default one when its
// name is empty.
func (c *Client) Generate(ctx context.Context, kind string, count int, policy string) ([]string, error) {
	v, ok := watchwordv1.GeneratePasswordRequest_Kind_value["KIND_"+strings.ToUpper(strings.ReplaceAll(kind, "-", "_"))]
	if !ok || v == 0 {
		return nil, &InvalidError{Reason: "MALFORMED_REQUEST", Field: "kind", Fault: "not random, passphrase-en or passphrase-pinyin"}
	}
	r, err := c.passwords.GeneratePassword(ctx, &watchwordv1.GeneratePasswordRequest{
		Kind: watchwordv1.GeneratePasswordRequest_Kind(v), Count: int32(count), Policy: policy})
	return r.GetPasswords(), failure(err)
}

// Hash computes a PHC string for a caller that keeps its own hashes.
func (c *Client) Hash(ctx context.Context, password string) (string, error) {
	r, err := c.passwords.HashPassword(ctx, &watchwordv1.HashPasswordRequest{Password: password})
	return r.GetPhc(), failure(err)
}

// Compared is what came of VerifyHash.
type Compared struct {
	Match bool
	// Rehashed is a hash to keep instead, when the one given is out of date.
	Rehashed string
}

// VerifyHash compares a password with a hash that the caller keeps. It does
// not limit attempts; Attempt does.
func (c *Client) VerifyHash(ctx context.Context, password, phc string) (Compared, error) {
	r, err := c.passwords.VerifyHash(ctx, &watchwordv1.VerifyHashRequest{Password: password, Phc: phc})
	return Compared{Match: r.GetMatch(), Rehashed: r.GetRehashedPhc()}, failure(err)
}

func violationsOf(list []*watchwordv1.Violation) []Violation {
	var out []Violation
	for _, v := range list {
		out = append(out, Violation{Rule: v.GetRule(), Clauses: v.GetClauses(), Message: v.GetMessage(), Params: v.GetParams()})
	}
	return out
}

func strengthOf(s *watchwordv1.Strength) Strength {
	out := Strength{GuessesLog10: s.GetGuessesLog10(), Score: int(s.GetScore())}
	for _, g := range s.GetSegments() {
		out.Segments = append(out.Segments, Segment{Kind: strings.TrimPrefix(g.GetKind().String(), "SEGMENT_KIND_"),
			Start: int(g.GetStart()), End: int(g.GetEnd())})
	}
	return out
}

func breachOf(b *watchwordv1.Breach) Breach {
	return Breach{Status: strings.TrimPrefix(b.GetStatus().String(), "BREACH_STATUS_"), Found: b.GetFound(), Count: b.GetCount(),
		CorpusVersion: b.GetCorpusVersion()}
}
