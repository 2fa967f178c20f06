// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"
	"iter"
	"strings"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Person is what the caller knows about somebody, and a guesser might too.
type Person struct {
	Login  string
	Emails []string
	Names  []string
	Phones []string
	// BirthDate is written YYYY-MM-DD.
	BirthDate string
	// Words are names of the service, the organisation, the product.
	Words []string
}

func (p Person) proto() *watchwordv1.PasswordContext {
	return &watchwordv1.PasswordContext{Login: p.Login, Emails: p.Emails, Names: p.Names, Phones: p.Phones,
		BirthDate: p.BirthDate, Words: p.Words}
}

// CheckOptions refine a check. The zero value judges a new password that is
// the only factor by the default policy.
type CheckOptions struct {
	// Policy to judge by; the tenant's default when empty.
	Policy string
	Person Person
	// Previous is the password that the candidate is to replace.
	Previous string
	// MultiFactor tells that a second factor stands beside the password.
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
	// Rule is a stable name in UPPER_SNAKE_CASE.
	Rule string `json:"rule"`
	// Clauses name where the standards ask for it.
	Clauses []string `json:"clauses,omitempty"`
	// Message is a sentence in the locale of the request.
	Message string            `json:"message"`
	Params  map[string]string `json:"params,omitempty"`
}

// Segment is what was recognised in a part of a password, by offsets in code
// points of its NFC form.
type Segment struct {
	// Kind is a name in UPPER_SNAKE_CASE, such as WORD or DATE.
	Kind  string `json:"kind"`
	Start int    `json:"start"`
	End   int    `json:"end"` // one past the last
}

// Strength is the estimate of how many guesses a password withstands.
type Strength struct {
	// GuessesLog10 is the decimal logarithm of the guesses.
	GuessesLog10 float64 `json:"guessesLog10"`
	// Score is 0 below 10^4 guesses, 1 below 10^6, 2 below 10^8, 3 below 10^10,
	// else 4.
	Score    int       `json:"score"`
	Segments []Segment `json:"segments,omitempty"`
}

// Breach is what the breach corpora say.
type Breach struct {
	// Status is PERFORMED, DEGRADED (a corpus could not be asked) or SKIPPED (none
	// is configured).
	Status string `json:"status"`
	Found  bool   `json:"found"`
	// Count is the largest count of any corpus; 0 when not found or not counted.
	Count         uint32 `json:"count"`
	CorpusVersion string `json:"corpusVersion,omitempty"`
}

// Judgement is the answer to a check.
type Judgement struct {
	Accepted   bool        `json:"accepted"`
	Violations []Violation `json:"violations,omitempty"`
	// Advice says how to do better, in the locale of the request.
	Advice   []string `json:"advice,omitempty"`
	Strength Strength `json:"strength"`
	Breach   Breach   `json:"breach"`
	// Policy and Version name the policy that judged.
	Policy  string `json:"policy"`
	Version string `json:"policyVersion"`
	// Proof shows to Set and Change that the password was accepted; empty when
	// it was not.
	Proof string `json:"proof,omitempty"`
}

// Check judges a candidate. A weak one is an answer, not an error.
func (c *Client) Check(ctx context.Context, password string, o CheckOptions) (Judgement, error) {
	r, err := c.passwords.CheckPassword(ctx, &watchwordv1.CheckPasswordRequest{
		Password: password, Policy: o.Policy, Context: o.Person.proto(), PreviousPassword: o.Previous, Use: o.use(), Locale: o.Locale,
	})
	if err != nil {
		return Judgement{}, failure(err)
	}
	return judgementOf(r), nil
}

// judged are the fields that the answers to a check and to a row of a batch
// have in common.
type judged interface {
	GetDecision() watchwordv1.Decision
	GetViolations() []*watchwordv1.Violation
	GetAdvice() []string
	GetStrength() *watchwordv1.Strength
	GetBreach() *watchwordv1.Breach
	GetPolicy() string
	GetPolicyVersion() string
	GetProof() string
}

func judgementOf(r judged) Judgement {
	return Judgement{
		Accepted:   r.GetDecision() == watchwordv1.Decision_DECISION_ACCEPT,
		Violations: violationsOf(r.GetViolations()), Advice: r.GetAdvice(), Strength: strengthOf(r.GetStrength()),
		Breach: breachOf(r.GetBreach()), Policy: r.GetPolicy(), Version: r.GetPolicyVersion(), Proof: r.GetProof(),
	}
}

// Candidate is one password of a batch.
type Candidate struct {
	Password string
	CheckOptions
}

// Checked is the answer to one candidate of a batch.
type Checked struct {
	Judgement
	// Fault is why the candidate could not be judged, such as an *InvalidError;
	// nil when it was.
	Fault error
}

// BatchCheck judges candidates over one stream: the nth answer belongs to the
// nth candidate, and one that cannot be judged does not stop the others. The
// only error that it yields is that of the whole, as the last pair.
//
// The candidates are ranged over in another goroutine while answers come in,
// so that neither waits for the other. A loop that ends early ends once the
// candidate under way was produced.
func (c *Client) BatchCheck(ctx context.Context, candidates iter.Seq[Candidate]) iter.Seq2[Checked, error] {
	return exchange(ctx, c.passwords.BatchCheckPasswords, candidates,
		func(k Candidate) *watchwordv1.BatchCheckPasswordsRequest {
			return &watchwordv1.BatchCheckPasswordsRequest{Password: k.Password, Policy: k.Policy, Context: k.Person.proto(),
				PreviousPassword: k.Previous, Use: k.use(), Locale: k.Locale}
		},
		func(r *watchwordv1.BatchCheckPasswordsResponse) Checked {
			if r.GetError() != nil {
				return Checked{Fault: rowFailure(r.GetError())}
			}
			return Checked{Judgement: judgementOf(r)}
		})
}

// Kinds of generated passwords.
const (
	Random           = "random"
	PassphraseEN     = "passphrase-en"
	PassphrasePinyin = "passphrase-pinyin"
)

// Generate makes passwords of a kind that satisfy a policy; the default one
// when its name is empty. It makes 1 to 100; 0 means 1.
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
	// Stale tells that the hash matched and is of an older scheme or cost than
	// the configured one.
	Stale bool
	// Rehashed is a hash to keep instead, when the one given is stale; empty
	// when the server had no room to make it, and another login may bring it.
	Rehashed string
}

// VerifyHash compares a password with a hash that the caller keeps. It does
// not limit attempts; Begin does.
func (c *Client) VerifyHash(ctx context.Context, password, phc string) (Compared, error) {
	r, err := c.passwords.VerifyHash(ctx, &watchwordv1.VerifyHashRequest{Password: password, Phc: phc})
	return Compared{Match: r.GetMatch(), Stale: r.GetNeedsRehash(), Rehashed: r.GetRehashedPhc()}, failure(err)
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
