// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"
	"strings"
	"time"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// Source is where a login comes from, as the caller sees it.
type Source struct {
	// IP is the person's address; limits by address are skipped when it is empty.
	IP string
	// DeviceToken is what an earlier login on the same device gave.
	DeviceToken string
	UserAgent   string
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

// SetOptions refine Set and Change.
type SetOptions struct {
	CheckOptions
	// Proof is what Check gave for this password.
	Proof string
	// MustChange marks a temporary password.
	MustChange bool
	// Reset tells that the person has proven who they are anew: a disabled
	// credential is active again.
	Reset bool
	// IfVersion, when not nil, is the version that the credential must have; 0
	// means that it must not exist.
	IfVersion *uint32
}

// Set stores a password. It returns *RejectedError for one that the policy
// does not accept and ErrConflict when the credential is not at IfVersion.
func (c *Client) Set(ctx context.Context, subject, password string, o SetOptions) (version uint32, err error) {
	purpose := watchwordv1.Purpose_PURPOSE_SIGNUP
	if o.Reset {
		purpose = watchwordv1.Purpose_PURPOSE_RESET
	}
	r, err := c.credentials.SetPassword(ctx, &watchwordv1.SetPasswordRequest{
		Subject: subject, Password: password, Context: o.Person.proto(), Use: o.use(), Purpose: purpose, Locale: o.Locale,
		Policy: o.Policy, Proof: o.Proof, MustChange: o.MustChange, IfVersion: o.IfVersion,
	})
	return r.GetVersion(), failure(err)
}

// Login is the answer to a login.
type Login struct {
	Match bool
	// MustChange tells that the password is right and has to be changed before
	// anything else.
	MustChange  bool
	Findings    []Violation
	DeviceToken string
	Notify      []string
}

// Verify judges a login. It returns *DeniedError when no attempt is left.
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
	Match       bool
	Version     uint32
	DeviceToken string
}

// Change verifies the current password and stores a new one.
func (c *Client) Change(ctx context.Context, subject, current, next string, s Source, o SetOptions) (Changed, error) {
	r, err := c.credentials.ChangePassword(ctx, &watchwordv1.ChangePasswordRequest{
		Subject: subject, CurrentPassword: current, NewPassword: next, Source: s.proto(), Context: o.Person.proto(),
		Use: o.use(), Locale: o.Locale, Policy: o.Policy, Proof: o.Proof,
	})
	if err != nil {
		return Changed{}, failure(err)
	}
	return Changed{Match: r.GetResult() == watchwordv1.ChangePasswordResponse_RESULT_MATCH, Version: r.GetVersion(),
		DeviceToken: r.GetDeviceToken()}, nil
}

// Credential is everything about a stored password but its hash.
type Credential struct {
	// State is ACTIVE, MUST_CHANGE, COMPROMISED or DISABLED.
	State        string
	Scheme, Cost string
	Version      uint32
	Created      time.Time
	Changed      time.Time
	LastLogin    time.Time // zero: never
	NeedsRehash  bool
	Policy       string
}

// Get describes a credential, or returns ErrNotFound.
func (c *Client) Get(ctx context.Context, subject string) (Credential, error) {
	r, err := c.credentials.GetCredential(ctx, &watchwordv1.GetCredentialRequest{Subject: subject})
	if err != nil {
		return Credential{}, failure(err)
	}
	out := Credential{State: strings.TrimPrefix(r.GetState().String(), "CREDENTIAL_STATE_"), Scheme: r.GetScheme(), Cost: r.GetCost(),
		Version: r.GetVersion(), NeedsRehash: r.GetNeedsRehash(), Policy: r.GetPolicy(),
		Created: r.GetCreateTime().AsTime(), Changed: r.GetChangeTime().AsTime()}
	if r.GetLastLoginTime() != nil {
		out.LastLogin = r.GetLastLoginTime().AsTime()
	}
	return out, nil
}

// SetState changes the state of a credential: ACTIVE, MUST_CHANGE, COMPROMISED
// or DISABLED.
func (c *Client) SetState(ctx context.Context, subject, state string) error {
	s := watchwordv1.CredentialState_value["CREDENTIAL_STATE_"+state]
	_, err := c.credentials.SetCredentialState(ctx, &watchwordv1.SetCredentialStateRequest{Subject: subject, State: watchwordv1.CredentialState(s)})
	return failure(err)
}

// Delete removes a credential and everything kept with it.
func (c *Client) Delete(ctx context.Context, subject string) error {
	_, err := c.credentials.DeleteCredential(ctx, &watchwordv1.DeleteCredentialRequest{Subject: subject})
	return failure(err)
}
