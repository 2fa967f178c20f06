// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"context"
	"errors"
	"slices"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/throttle"
)

// SetRequest asks to store a password.
type SetRequest struct {
	CheckRequest
	Subject string
	Locale  string // of the violations, when it is rejected
	Proof   string
	// MustChange marks the password as temporary.
	MustChange bool
	// IfRevision, when not nil, is the revision that the credential must have;
	// 0 means that it must not exist.
	IfRevision *uint32
}

// Stored is what came of storing a password.
type Stored struct {
	Revision uint32
	Judgement
	// Pending is what the throttle has still to be told, and will be.
	Pending []string
}

// Set checks, hashes and stores a password in one act. It returns
// *RejectedError for one that the policy does not accept, ErrConflict when the
// credential is not at IfRevision, ErrProofStale and ErrCorpusNotReady.
func (v *Verifier) Set(ctx context.Context, q SetRequest) (Stored, error) {
	if err := v.Hasher.Admit(ctx, q.Tenant); err != nil { // judging costs something too
		return Stored{}, err
	}
	who, err := v.who(q.Tenant, q.Subject)
	if err != nil {
		return Stored{}, err
	}
	before, err := v.load(ctx, q.Tenant, who)
	if err != nil && !errors.Is(err, ErrUnknownSubject) {
		return Stored{}, err
	}
	if q.IfRevision != nil && *q.IfRevision != before.live() {
		return Stored{}, ErrConflict
	}
	return v.store(ctx, q, who, before)
}

// store judges and hashes a new password and writes it in place of before,
// which is zero, but for its version, when there is none.
func (v *Verifier) store(ctx context.Context, q SetRequest, who Pseudonym, before Record) (Stored, error) {
	p, err := v.chosen(q, who)
	if err != nil {
		return Stored{}, err
	}
	evidence, err := v.history(ctx, p, q, who, before)
	if err != nil {
		return Stored{}, err
	}
	j := v.judge(p, q.CheckRequest, evidence)
	if err := acceptable(q, j); err != nil {
		return Stored{}, err
	}
	phc, err := v.Hasher.Hash(ctx, password.Interactive.Of(q.Tenant), q.Password)
	if err != nil {
		return Stored{}, err
	}
	sealed, err := v.Pepper().Seal(ctx, phc, owner(q.Tenant, who))
	if err != nil {
		return Stored{}, err
	}
	for {
		r := next(q, p, who, before, sealed)
		r.Changed = v.Now().UTC()
		if r.Created.IsZero() {
			r.Created = r.Changed
		}
		err := stored(v.Store.Put(ctx, r))
		if err == nil {
			return Stored{Revision: r.Revision, Judgement: j, Pending: v.rebound(ctx, q, who, before)}, nil
		}
		if !errors.Is(err, ErrConflict) || ctx.Err() != nil {
			return Stored{}, err
		}
		// Somebody else wrote: a login that noted its day, or another set. Without
		// a revision to keep to, the last to set wins.
		before, err = v.load(ctx, q.Tenant, who)
		if err != nil && !errors.Is(err, ErrUnknownSubject) {
			return Stored{}, err
		}
		if q.IfRevision != nil && *q.IfRevision != before.live() {
			return Stored{}, ErrConflict
		}
	}
}

// acceptable turns a judgement into the error that Set returns for it. A valid
// proof stands for the judgement that it was given for: only what that could
// not know, the passwords before, is judged now.
func acceptable(q SetRequest, j Judgement) error {
	if q.Proof != "" {
		j.Verdict.Violations = slices.DeleteFunc(j.Verdict.Violations, func(b policy.Violation) bool {
			return b.Rule != policy.Reused && b.Rule != policy.TooYoung && b.Rule != policy.SimilarToPrevious
		})
	}
	if len(j.Verdict.Violations) == 0 {
		return nil
	}
	if len(j.Verdict.Violations) == 1 && j.Verdict.Violations[0].Rule == policy.BreachUnavailable {
		return ErrCorpusNotReady
	}
	return &RejectedError{Judgement: j, Locale: q.Locale}
}

// history gathers what only the stored credential knows: whether the new
// password is one of the last, and how old the present one is.
func (v *Verifier) history(ctx context.Context, p Chosen, q SetRequest, who Pseudonym, before Record) (past, error) {
	ev := past{Evidence: policy.Evidence{Previous: q.Previous}}
	if before.Hash == "" {
		return ev, nil
	}
	ev.LastChanged = before.Changed
	former := append([]string{before.Hash}, before.History...)
	for i, sealed := range former[:min(p.needs().History, len(former))] {
		phc, _, err := v.Pepper().Open(ctx, sealed, owner(q.Tenant, who))
		if err != nil {
			return ev, err
		}
		res, err := v.Hasher.Verify(ctx, password.Interactive.Of(q.Tenant), q.Password, phc)
		if err != nil {
			return ev, err
		}
		if res.Match {
			ev.Former = i + 1
			return ev, nil
		}
	}
	return ev, nil
}

// maxKept is how many former verifiers are kept, enough for the deepest
// history a policy may ask for.
const maxKept = 24

// next is the record after a password was set.
func next(q SetRequest, p Chosen, who Pseudonym, before Record, sealed string) Record {
	r := Record{
		Tenant: q.Tenant, Subject: who, Version: before.Version + 1, Revision: before.Revision + 1,
		State: StateActive, Hash: sealed, Norm: password.NormVersion, Use: q.Use,
		Policy: p.Policy.Name(), PolicyVersion: p.Policy.Version(), Created: before.Created, LastLogin: before.LastLogin,
	}
	switch {
	case before.State == StateDisabled && q.Purpose != policy.Reset:
		// A new password does not re-open what was disabled; a reset does, since
		// it binds the authenticator anew (SP 800-63B-4 §3.2.2).
		r.State = StateDisabled
	case q.MustChange:
		r.State = StateMustChange
	}
	r.Exhausted = before.Exhausted && q.Purpose != policy.Reset
	if depth := p.needs().History; depth > 0 && before.Hash != "" {
		r.History = append([]string{before.Hash}, before.History...)
		r.History = r.History[:min(len(r.History), depth, maxKept)]
	}
	r.History = slices.Clip(r.History)
	return r
}

// What a password that was stored may leave to be done.
const (
	PendingReset   = "ATTEMPTS_NOT_RESET"
	PendingDevices = "DEVICES_NOT_REVOKED"
)

// rebound lets the throttle forget what belonged to the password before. That is
// stored already, so a shared store that does not answer now fails nothing: the
// throttle tells it again and again, and the caller learns what is left.
func (v *Verifier) rebound(ctx context.Context, q SetRequest, who Pseudonym, before Record) (pending []string) {
	ctx = context.WithoutCancel(ctx)
	if q.Purpose == policy.Reset {
		if err := v.Throttle.Reset(ctx, throttle.Query{Tenant: q.Tenant, Subject: who}); err != nil {
			pending = append(pending, PendingReset)
			v.Log.WarnContext(ctx, "attempts are not reset yet", "error", err)
		}
	}
	if before.Hash != "" {
		if err := v.Throttle.RevokeDevices(ctx, q.Tenant, who); err != nil {
			pending = append(pending, PendingDevices)
			v.Log.WarnContext(ctx, "device tokens are not revoked yet", "error", err)
		}
	}
	return pending
}

// ChangeRequest asks to replace a password by its owner.
type ChangeRequest struct {
	SetRequest // Password is the new one; Previous is the current one
	Source     Source
}

// Changed is what came of a change.
type Changed struct {
	Match       bool
	DeviceToken string
	Stored
}

// Change verifies the current password on the one path that Verify takes, and
// only after a match looks at the new one.
func (v *Verifier) Change(ctx context.Context, q ChangeRequest) (Changed, error) {
	who, err := v.who(q.Tenant, q.Subject)
	if err != nil {
		return Changed{}, err
	}
	r, _, err := v.confirm(ctx, q.Tenant, who, q.Previous, q.Source)
	if err != nil || r == nil {
		return Changed{}, err
	}
	q.Purpose = policy.Change
	// The change is of what was just verified: another that came in between
	// wins, and this one is told.
	q.IfRevision = &r.Revision
	done, err := v.store(ctx, q.SetRequest, who, *r)
	if err != nil {
		return Changed{}, err
	}
	out := Changed{Match: true, Stored: done}
	out.DeviceToken, err = v.Throttle.IssueDevice(context.WithoutCancel(ctx), q.Tenant, who)
	if err != nil {
		v.Log.WarnContext(ctx, "no device token could be given", "error", err)
	}
	return out, nil
}
