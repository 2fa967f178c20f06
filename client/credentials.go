// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"
	"iter"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Source is where a login comes from, as the caller sees it.
type Source struct {
	// IP is the person's address; limits by address are skipped when it is empty.
	IP string
	// DeviceToken is what an earlier login on the same device gave.
	DeviceToken string
	// UserAgent is what the person's program calls itself.
	UserAgent string
	// Channel is "password" (also when empty), "otp" or "reset-code".
	Channel string
	// ChallengePassed tells that the person solved the challenge that an
	// earlier attempt was answered with.
	ChallengePassed bool
}

func (s Source) proto() *watchwordv1.AttemptSource {
	ch := watchwordv1.Channel_value["CHANNEL_"+strings.ToUpper(strings.ReplaceAll(s.Channel, "-", "_"))]
	if s.Channel != "" && ch == 0 {
		ch = -1 // which the server refuses by the name of the field
	}
	return &watchwordv1.AttemptSource{Ip: s.IP, DeviceToken: s.DeviceToken, UserAgent: s.UserAgent,
		Channel: watchwordv1.Channel(ch), ChallengePassed: s.ChallengePassed}
}

// SetOptions refine Set and Change. Of the embedded CheckOptions, Previous does
// not count: what a credential's earlier passwords were the server knows.
type SetOptions struct {
	CheckOptions
	// Proof is what Check gave for this password.
	Proof string
	// MustChange marks a temporary password: the first login with it has to
	// change it. Change ignores it, as it does the two fields below.
	MustChange bool
	// Reset tells that the person has proven who they are anew: a disabled
	// credential is active again.
	Reset bool
	// IfVersion, when not nil, is the version that the credential must have; 0
	// means that it must not exist.
	IfVersion *uint32
}

// Stored is the answer to Set.
type Stored struct {
	// Version is the credential's version, from 1.
	Version uint32 `json:"version"`
	// Pending is what the server could not do yet, and tries again as long as it
	// runs: DEVICES_NOT_REVOKED while device tokens of the password before are
	// still good, ATTEMPTS_NOT_RESET while the person may still be locked out
	// after a reset.
	Pending []string `json:"pending,omitempty"`
}

// Set stores a password. It returns *RejectedError for one that the policy
// does not accept and ErrConflict when the credential is not at IfVersion.
func (c *Client) Set(ctx context.Context, subject, password string, o SetOptions) (Stored, error) {
	purpose := watchwordv1.Purpose_PURPOSE_SIGNUP
	if o.Reset {
		purpose = watchwordv1.Purpose_PURPOSE_RESET
	}
	r, err := c.credentials.SetPassword(ctx, &watchwordv1.SetPasswordRequest{
		Subject: subject, Password: password, Context: o.Person.proto(), Use: o.use(), Purpose: purpose, Locale: o.Locale,
		Policy: o.Policy, Proof: o.Proof, MustChange: o.MustChange, IfVersion: o.IfVersion,
	})
	if err != nil {
		return Stored{}, failure(err)
	}
	return Stored{Version: r.GetVersion(), Pending: r.GetPending()}, nil
}

// Login is the answer to a login.
type Login struct {
	// Match tells whether the password is right. Wrong, unknown and disabled are
	// one answer.
	Match bool `json:"match"`
	// MustChange tells that the password is right and has to be changed before
	// anything else.
	MustChange bool `json:"mustChange"`
	// Findings are what the policy of today says about the password that matched.
	Findings []Violation `json:"findings,omitempty"`
	// DeviceToken is to be kept on the person's device and sent with the next
	// attempt.
	DeviceToken string `json:"deviceToken,omitempty"`
	// Notify lists what the person should be told about, in UPPER_SNAKE_CASE.
	Notify []string `json:"notify,omitempty"`
}

// Verify judges a login. A wrong password is an answer, not an error. It
// returns *DeniedError when no attempt is left. It is never tried again by
// itself: a lost answer may have spent an attempt.
func (c *Client) Verify(ctx context.Context, subject, password string, s Source) (Login, error) {
	r, err := c.credentials.VerifyPassword(ctx, &watchwordv1.VerifyPasswordRequest{Subject: subject, Password: password, Source: s.proto()})
	if err != nil {
		return Login{}, failure(err)
	}
	must := r.GetResult() == watchwordv1.VerifyPasswordResponse_RESULT_MATCH_MUST_CHANGE
	return Login{
		Match: must || r.GetResult() == watchwordv1.VerifyPasswordResponse_RESULT_MATCH, MustChange: must,
		Findings: violationsOf(r.GetFindings()), DeviceToken: r.GetDeviceToken(), Notify: r.GetNotify(),
	}, nil
}

// Changed is the answer to Change.
type Changed struct {
	// Match tells whether the current password was right; if not, nothing was
	// changed.
	Match bool `json:"match"`
	// Version is the credential's new version.
	Version uint32 `json:"version"`
	// DeviceToken replaces all earlier ones, which end with the old password.
	DeviceToken string `json:"deviceToken,omitempty"`
	// Pending is as in Stored: here DEVICES_NOT_REVOKED alone.
	Pending []string `json:"pending,omitempty"`
}

// Change verifies the current password, as Verify does, and stores a new one.
// It returns *DeniedError when no attempt is left, and *RejectedError when the
// current password is right and the new one not acceptable.
func (c *Client) Change(ctx context.Context, subject, current, next string, s Source, o SetOptions) (Changed, error) {
	r, err := c.credentials.ChangePassword(ctx, &watchwordv1.ChangePasswordRequest{
		Subject: subject, CurrentPassword: current, NewPassword: next, Source: s.proto(), Context: o.Person.proto(),
		Use: o.use(), Locale: o.Locale, Policy: o.Policy, Proof: o.Proof,
	})
	if err != nil {
		return Changed{}, failure(err)
	}
	return Changed{Match: r.GetResult() == watchwordv1.ChangePasswordResponse_RESULT_MATCH, Version: r.GetVersion(),
		DeviceToken: r.GetDeviceToken(), Pending: r.GetPending()}, nil
}

// Credential is everything about a stored password but its hash.
type Credential struct {
	// State is ACTIVE, MUST_CHANGE, COMPROMISED or DISABLED.
	State string `json:"state"`
	// Scheme is that of the hash, such as argon2id, and Cost as a PHC string
	// spells it.
	Scheme  string    `json:"scheme"`
	Cost    string    `json:"cost"`
	Version uint32    `json:"version"`
	Created time.Time `json:"created"`
	// Changed is zero where the hash was imported without the time.
	Changed time.Time `json:"changed,omitzero"`
	// LastLogin is the day of the last login, noted shortly after it; zero when
	// there was none.
	LastLogin time.Time `json:"lastLogin,omitzero"`
	// NeedsRehash tells that the hash is of an older scheme or cost than the
	// configured one; the next login makes it anew.
	NeedsRehash bool `json:"needsRehash"`
	// Policy accepted the password.
	Policy string `json:"policy"`
}

// Get describes a credential, or returns ErrNotFound.
func (c *Client) Get(ctx context.Context, subject string) (Credential, error) {
	r, err := c.credentials.GetCredential(ctx, &watchwordv1.GetCredentialRequest{Subject: subject})
	if err != nil {
		return Credential{}, failure(err)
	}
	out := Credential{State: strings.TrimPrefix(r.GetState().String(), "CREDENTIAL_STATE_"), Scheme: r.GetScheme(), Cost: r.GetCost(),
		Version: r.GetVersion(), NeedsRehash: r.GetNeedsRehash(), Policy: r.GetPolicy(),
		Created: r.GetCreateTime().AsTime()}
	if r.GetChangeTime() != nil {
		out.Changed = r.GetChangeTime().AsTime()
	}
	if r.GetLastLoginTime() != nil {
		out.LastLogin = r.GetLastLoginTime().AsTime()
	}
	return out, nil
}

// SetState changes the state of a credential: ACTIVE, MUST_CHANGE, COMPROMISED
// or DISABLED. ACTIVE also clears its attempts. It returns ErrNotFound for a
// credential that does not exist.
func (c *Client) SetState(ctx context.Context, subject, state string) error {
	_, err := c.credentials.SetCredentialState(ctx, &watchwordv1.SetCredentialStateRequest{Subject: subject, State: stateOf(state)})
	return failure(err)
}

// Delete removes a credential and everything kept with it. Deleting what does
// not exist succeeds.
func (c *Client) Delete(ctx context.Context, subject string) error {
	_, err := c.credentials.DeleteCredential(ctx, &watchwordv1.DeleteCredentialRequest{Subject: subject})
	return failure(err)
}

// ImportRow is a hash made elsewhere.
type ImportRow struct {
	Subject string
	// PHC is a PHC string or a legacy hash.
	PHC string
	// Changed is when the password was chosen; zero when it is not known.
	Changed time.Time
	// State is ACTIVE (also when empty), MUST_CHANGE, COMPROMISED or DISABLED.
	State string
}

// Imported is the answer to one row of an import.
type Imported struct {
	// Version of the credential, and Scheme of the hash that is kept.
	Version uint32
	Scheme  string
	// Wrapped tells that the hash was too weak to keep as it was, and is kept
	// inside argon2id.
	Wrapped bool
	// Fault is why the row was not taken; nil when it was.
	Fault error
}

// Import stores hashes made elsewhere over one stream: the nth answer belongs
// to the nth row, and a row that is not taken does not stop the others. The
// only error that it yields is that of the whole, as the last pair; rows
// answered before stay stored. The rows are ranged over as BatchCheck ranges
// over its candidates.
func (c *Client) Import(ctx context.Context, rows iter.Seq[ImportRow]) iter.Seq2[Imported, error] {
	return exchange(ctx, c.credentials.ImportCredentials, rows,
		func(row ImportRow) *watchwordv1.ImportCredentialsRequest {
			q := &watchwordv1.ImportCredentialsRequest{Subject: row.Subject, Phc: row.PHC, State: stateOf(row.State)}
			if !row.Changed.IsZero() {
				q.LastChanged = timestamppb.New(row.Changed)
			}
			return q
		},
		func(r *watchwordv1.ImportCredentialsResponse) Imported {
			return Imported{Version: r.GetVersion(), Scheme: r.GetScheme(), Wrapped: r.GetWrapped(), Fault: rowFailure(r.GetError())}
		})
}

// stateOf gives a state by its name. One that does not exist becomes a number
// that the server refuses by the name of the field.
func stateOf(name string) watchwordv1.CredentialState {
	s, ok := watchwordv1.CredentialState_value["CREDENTIAL_STATE_"+name]
	if !ok && name != "" {
		s = -1
	}
	return watchwordv1.CredentialState(s)
}
