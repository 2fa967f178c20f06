// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package meter judges a password while somebody types it, with nothing but
// tables at hand: no network, no store, no clock. It takes and gives JSON in
// the words of the contract, and is what runs in a browser. The rules that only
// the service can decide are named in the answer.
//
// The same password, policy and tables give the same bytes on every machine.
package meter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/watchword-project/watchword/server/internal/lookup"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/strength"
	"github.com/watchword-project/watchword/wordlists"
)

// Bounds of what an engine takes, in bytes and policies.
const (
	MaxPassword = 4 * password.MaxBytes // before normalisation
	MaxOptions  = 64 << 10
	MaxPolicy   = 1 << 20
	MaxPolicies = 64
	maxParents  = 8
)

// The reasons of an Error.
const (
	Malformed     = "MALFORMED_REQUEST"
	Empty         = "PASSWORD_EMPTY"
	NotText       = "PASSWORD_NOT_TEXT"
	Control       = "PASSWORD_CONTROL"
	TooLarge      = "PASSWORD_TOO_LARGE"
	UnknownPolicy = "POLICY_UNKNOWN"
	BadPolicy     = "POLICY_MALFORMED"
	PartPolicy    = "POLICY_NOT_WHOLE"
	StalePolicy   = "POLICY_STALE"
	ManyPolicies  = "POLICIES_EXHAUSTED"
	Internal      = "INTERNAL"
)

// Error is why there is no verdict. Its text never holds any of the input.
type Error struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Reason + ": " + e.Message }

func fault(reason, message string) error { return &Error{reason, message} }

// Engine holds tables and policies. It is for one goroutine.
type Engine struct {
	model    *strength.Model
	list     *wordlists.CommonList
	profiles map[string]*policy.Policy
	policies map[int]*policy.Policy
	last     int
}

// New makes an engine. A nil model means the built-in tables; a nil list leaves
// the rule BLOCKLISTED to the service.
func New(model *strength.Model, list *wordlists.CommonList) *Engine {
	return &Engine{model: model, list: list, profiles: map[string]*policy.Policy{}, policies: map[int]*policy.Policy{}}
}

// Segment is a part of the password by kind and place. Start and End count
// code points of the NFC form, as everywhere in the contract; From and To count
// UTF-16 units of the text as it was given, as a browser does.
type Segment struct {
	Kind  string `json:"kind"`
	Start int    `json:"start"`
	End   int    `json:"end"`
	From  int    `json:"from"`
	To    int    `json:"to"`
}

// Violation is one broken rule.
type Violation struct {
	Rule     string            `json:"rule"`
	Clauses  []string          `json:"clauses"`
	Message  string            `json:"message"`
	Params   map[string]string `json:"params"`
	Segments []Segment         `json:"segments"`
}

// Strength is the estimate.
type Strength struct {
	GuessesLog10 float64   `json:"guessesLog10"`
	Score        int       `json:"score"`
	Segments     []Segment `json:"segments"`
}

// Verdict is the answer of CheckPassword as far as it can be told without the
// service.
type Verdict struct {
	Decision      string      `json:"decision"`
	Violations    []Violation `json:"violations"`
	Advice        []string    `json:"advice"`
	Strength      Strength    `json:"strength"`
	Policy        string      `json:"policy"`
	PolicyVersion string      `json:"policyVersion"`
	// Pending names the rules that the service alone decides: it may still
	// refuse what was accepted here.
	Pending []string `json:"pending"`
}

// Description is the answer of DescribePolicy.
type Description struct {
	Policy        string      `json:"policy"`
	Version       string      `json:"version"`
	Text          []string    `json:"text"`
	PasswordRules string      `json:"passwordRules"`
	Form          policy.Form `json:"form"`
}

// options are the fields of a CheckPassword request beside the secrets.
type options struct {
	Context struct {
		Login     string   `json:"login"`
		Emails    []string `json:"emails"`
		Names     []string `json:"names"`
		Phones    []string `json:"phones"`
		BirthDate string   `json:"birthDate"`
		Words     []string `json:"words"`
	} `json:"context"`
	Use     string `json:"use"`
	Purpose string `json:"purpose"`
	Locale  string `json:"locale"`
}

var uses = map[string]policy.Use{"": policy.SingleFactor, "USE_SINGLE_FACTOR": policy.SingleFactor, "USE_MULTI_FACTOR": policy.MultiFactor}

var purposes = map[string]policy.Purpose{"": policy.Signup, "PURPOSE_SIGNUP": policy.Signup, "PURPOSE_CHANGE": policy.Change,
	"PURPOSE_RESET": policy.Reset, "PURPOSE_LOGIN": policy.Login}

// read takes one JSON value without unknown fields, of text only.
func read(data []byte, most int, into any) error {
	if len(data) > most {
		return fault(Malformed, "the request is too large")
	}
	if !utf8.Valid(data) {
		return fault(Malformed, "the request is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil {
		return fault(Malformed, "the request is not of the form that is asked for")
	}
	if _, err := d.Token(); err != io.EOF { //nolint:errorlint // Token returns it bare
		return fault(Malformed, "the request is more than one value")
	}
	return nil
}

func (o *options) check() (policy.Use, policy.Purpose, string, error) {
	use, ok := uses[o.Use]
	if !ok {
		return 0, 0, "", fault(Malformed, "use is not one that is known")
	}
	purpose, ok := purposes[o.Purpose]
	if !ok {
		return 0, 0, "", fault(Malformed, "purpose is not one that is known")
	}
	if o.Context.BirthDate != "" {
		if _, err := time.Parse(time.DateOnly, o.Context.BirthDate); err != nil {
			return 0, 0, "", fault(Malformed, "context.birthDate is not a date of the form YYYY-MM-DD")
		}
	}
	switch o.Locale {
	case "", "en":
		return use, purpose, "en", nil
	case "zh-CN":
		return use, purpose, "zh-CN", nil
	}
	return 0, 0, "", fault(Malformed, `locale is neither "en" nor "zh-CN"`)
}

// secret takes plaintext. Nothing is done with more than MaxPassword bytes.
func secret(raw []byte) (password.Text, error) {
	if len(raw) > MaxPassword {
		return password.Text{}, fault(TooLarge, "the password is too long")
	}
	// New copies what it is given, so no string of its own is needed, which
	// nobody could wipe.
	t, err := password.New(unsafe.String(unsafe.SliceData(raw), len(raw)))
	switch {
	case errors.Is(err, password.ErrEmpty):
		return t, fault(Empty, "the password is empty")
	case errors.Is(err, password.ErrEncoding):
		return t, fault(NotText, "the password is not text")
	case errors.Is(err, password.ErrControl):
		return t, fault(Control, "the password holds a control character")
	case err != nil:
		return t, fault(TooLarge, "the password is too long")
	}
	return t, nil
}

// Check judges a password by a policy that was loaded. An empty previous
// password is an unknown one. The buffers are the caller's to wipe.
func (e *Engine) Check(handle int, raw, previous, opts []byte) (*Verdict, error) {
	p, ok := e.policies[handle]
	if !ok {
		return nil, fault(UnknownPolicy, "there is no such policy")
	}
	text, err := secret(raw)
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	var before password.Text
	if len(previous) > 0 {
		if before, err = secret(previous); err != nil {
			return nil, err
		}
		defer before.Wipe()
	}
	var o options
	if err := read(opts, MaxOptions, &o); err != nil {
		return nil, err
	}
	use, purpose, locale, err := o.check()
	if err != nil {
		return nil, err
	}
	known := policy.Context{Login: o.Context.Login, Emails: o.Context.Emails, Names: o.Context.Names, Phones: o.Context.Phones,
		Words: o.Context.Words, BirthDate: o.Context.BirthDate}
	needs := p.Needs()
	ev := policy.Evidence{Estimate: lookup.Estimate(e.model, text, before, known), Previous: before}
	if needs.Blocklist && e.list != nil {
		ev.Listed = lookup.Listed(e.list, text)
	}
	v := p.Judge(text, use, purpose, known, ev)

	places := newPlaces(raw, text.Reveal())
	out := &Verdict{
		Decision: "DECISION_REJECT", Violations: []Violation{}, Advice: []string{}, Policy: v.Policy, PolicyVersion: v.Version,
		Strength: Strength{GuessesLog10: ev.Estimate.GuessesLog10, Score: ev.Estimate.Score, Segments: places.segments(ev.Estimate.Segments)},
	}
	if v.Accept {
		out.Decision = "DECISION_ACCEPT"
	}
	for _, x := range v.Violations {
		out.Violations = append(out.Violations, Violation{Rule: x.Rule, Clauses: x.Clauses, Message: policy.Message(locale, x),
			Params: x.Params, Segments: places.segments(x.Segments)})
	}
	for _, a := range v.Advice {
		out.Advice = append(out.Advice, policy.AdviceText(locale, a))
	}
	needs.Blocklist = needs.Blocklist && e.list == nil
	needs.Estimate = false
	needs.Previous = needs.Previous && before.IsZero()
	out.Pending = slices.DeleteFunc(p.Pending(use, purpose, needs), func(rule string) bool {
		return slices.ContainsFunc(out.Violations, func(v Violation) bool { return v.Rule == rule })
	})
	return out, nil
}

// Answer is a policy as the service gives it: what GetPolicy or DescribePolicy
// answers, of which the further fields are left alone.
type Answer struct {
	Policy  string `json:"policy"`
	Version string `json:"version"`
	YAML    string `json:"yaml"`
}

// Loaded names a policy that was taken.
type Loaded struct {
	Handle  int    `json:"handle"`
	Policy  string `json:"policy"`
	Version string `json:"version"`
}

// Load takes a JSON list of Answers: a policy and, before it, those it extends
// that are not built in, the eldest first. A built-in policy needs no YAML. The
// engine must come to the version that the service names: another one means
// that the two would judge differently.
func (e *Engine) Load(request []byte) (*Loaded, error) {
	if len(request) > MaxPolicy {
		return nil, fault(BadPolicy, "the policy is too large")
	}
	var answers []Answer
	if !utf8.Valid(request) || json.Unmarshal(request, &answers) != nil || len(answers) == 0 || len(answers) > maxParents+1 {
		return nil, fault(BadPolicy, "this is no policy as the service gives it")
	}
	if len(e.policies) >= MaxPolicies {
		return nil, fault(ManyPolicies, "too many policies are loaded: release some")
	}
	family := map[string]*policy.Policy{}
	var p *policy.Policy
	for _, a := range answers {
		var err error
		if p, err = e.take(a, family); err != nil {
			return nil, err
		}
		family[a.Policy] = p
	}
	e.last++
	e.policies[e.last] = p
	return &Loaded{Handle: e.last, Policy: p.Name(), Version: p.Version()}, nil
}

// builtin reads a built-in policy when it is first needed.
func (e *Engine) builtin(name string) (*policy.Policy, bool) {
	if p, ok := e.profiles[name]; ok {
		return p, true
	}
	doc, ok := policy.Profile(name)
	if !ok {
		return nil, false
	}
	p, err := policy.ParseOn(name, doc, e.builtin)
	if err != nil {
		return nil, false // a name that looks like one only to the file system
	}
	e.profiles[name] = p
	return p, true
}

func (e *Engine) take(a Answer, family map[string]*policy.Policy) (*policy.Policy, error) {
	p, builtin := e.builtin(a.Policy)
	if !builtin {
		if a.YAML == "" {
			return nil, fault(PartPolicy, "the rules are missing: give what GetPolicy answers")
		}
		var err error
		if p, err = policy.ParseOn(a.Policy, []byte(a.YAML), func(name string) (*policy.Policy, bool) {
			if p, ok := family[name]; ok {
				return p, true
			}
			return e.builtin(name)
		}); err != nil {
			var parse *policy.ParseError
			if errors.As(err, &parse) {
				return nil, fault(BadPolicy, parse.Error())
			}
			return nil, fault(BadPolicy, "the name is not that of a policy")
		}
	}
	if a.Version != "" && a.Version != p.Version() {
		return nil, fault(StalePolicy, "the engine comes to another version of the policy than the service: one of the two is out of date")
	}
	return p, nil
}

// Release forgets a policy.
func (e *Engine) Release(handle int) { delete(e.policies, handle) }

// Describe tells a policy in words, as DescribePolicy does.
func (e *Engine) Describe(handle int, opts []byte) (*Description, error) {
	p, ok := e.policies[handle]
	if !ok {
		return nil, fault(UnknownPolicy, "there is no such policy")
	}
	var o options
	if err := read(opts, MaxOptions, &o); err != nil {
		return nil, err
	}
	use, _, locale, err := o.check()
	if err != nil {
		return nil, err
	}
	return &Description{Policy: p.Name(), Version: p.Version(), Text: strings.Split(p.Describe(locale), "\n"),
		PasswordRules: p.PasswordRules(use), Form: p.Form(locale)}, nil
}

// Names lists the policies that need no document.
func Names() []string { return policy.Profiles() }

// JSON writes an answer, or the error in its place.
func JSON(answer any, err error) []byte {
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Internal, "internal error"}
		}
		answer = struct {
			Error *Error `json:"error"`
		}{e}
	}
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false) // so that JSON.stringify gives the same bytes
	if err := w.Encode(answer); err != nil {
		panic("meter: an answer cannot be written") // it holds text and finite numbers
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
