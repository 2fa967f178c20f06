// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

// Pseudonym gives the name under which everything about an account is kept, or
// ErrBadSubject.
func (v *Verifier) Pseudonym(tenant, subject string) (Pseudonym, error) {
	return v.who(tenant, subject)
}
