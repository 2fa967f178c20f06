// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import "sync/atomic"

// part is something that is read again while the server runs.
type part int

const (
	partCertificates part = iota
	partCorpora
	partKeys
	partPolicies
	partTenants
	partCount
)

var partNames = [partCount]string{"certificates", "corpora", "keys", "policies", "tenants"}

// reloads counts what was taken, and what was not, for the metrics.
type reloads [partCount]struct{ taken, refused atomic.Uint64 }

func (r *reloads) note(p part, err error) {
	if err != nil {
		r[p].refused.Add(1)
	} else {
		r[p].taken.Add(1)
	}
}

func (r *reloads) each(f func(part string, taken bool, n uint64)) {
	for i := range r {
		f(partNames[i], true, r[i].taken.Load())
		f(partNames[i], false, r[i].refused.Load())
	}
}
