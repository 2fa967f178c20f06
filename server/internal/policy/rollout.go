// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/watchword-project/watchword/server/internal/mac"
)

// Errors of a Rollout.
var (
	// ErrNoCandidate is returned when a share is set and no new version waits.
	ErrNoCandidate = errors.New("no candidate version")
	// ErrNoEarlier is returned when there is no version to roll back to.
	ErrNoEarlier = errors.New("no earlier version")
	// ErrRolloutForm is returned for stored bytes that are no roll-out.
	ErrRolloutForm = errors.New("not a policy roll-out")
	// ErrPercent is returned for a share outside 0 to 100.
	ErrPercent = errors.New("percent must be between 0 and 100")
	// ErrInUse is returned when no version can be forgotten.
	ErrInUse = errors.New("every version that is kept is in use")
)

// maxReleases is how many versions of a policy are kept to roll back to.
const maxReleases = 16

// Release is one version of a policy.
type Release struct {
	Version string `json:"version"`
	// Source is the document as written, Effective with all that it inherited
	// then: a roll-back judges as the version did, whatever became of its parent.
	Source    []byte    `json:"source"`
	Effective []byte    `json:"effective"`
	At        time.Time `json:"at"`
}

// Rollout is the life of one policy's versions:
//
//	        Put                  Set(shadow)          Set(percent)         Set(100)
//	new ──────────► candidate ──────────────► shadow ─────────────► share ──────────► current
//	                    ▲                        │                    │                  │
//	                    └────────────────────────┴──── Rollback ──────┴── to the one ◄───┘
//	                              drops the candidate                     before it
//
// It is a value: each step gives a new one with the next revision, and the
// caller keeps it where a compare-and-swap on the revision is possible.
type Rollout struct {
	Name     string    `json:"name"`
	Revision uint64    `json:"revision"`
	Releases []Release `json:"releases"` // oldest first
	Current  string    `json:"current"`
	// Candidate is the version on its way in, or empty.
	Candidate string `json:"candidate,omitempty"`
	// Shadow judges everyone by the candidate too, without consequence.
	Shadow bool `json:"shadow,omitempty"`
	// Percent of the subjects are judged by the candidate.
	Percent int `json:"percent,omitempty"`
	// Past holds the versions that were current before, oldest first.
	Past []string `json:"past,omitempty"`
}

// Put adds p, parsed from source, as the candidate in shadow mode and drops a
// candidate that was waiting. The first version of all is current at once, and
// so is any with immediately. Putting the version that is current changes
// nothing but the candidate.
func (r Rollout) Put(p *Policy, source []byte, immediately bool, now time.Time) Rollout {
	r = r.next()
	r.Name = p.Name()
	r.Candidate, r.Shadow, r.Percent = "", false, 0
	if p.Version() == r.Current {
		return r
	}
	if r.release(p.Version()) == nil {
		r.Releases = append(r.Releases, Release{
			Version: p.Version(), Source: slices.Clone(source), Effective: p.Document(), At: now.UTC(),
		})
	}
	r.Candidate, r.Shadow = p.Version(), true
	if r.Current == "" || immediately {
		r = r.promote()
	}
	return r.trim()
}

// Set decides how far the candidate has come: in shadow mode or not, and for
// what share of the subjects it is enforced. 100 makes it the current version.
func (r Rollout) Set(percent int, shadow bool) (Rollout, error) {
	switch {
	case percent < 0 || percent > 100:
		return r, ErrPercent
	case r.Candidate == "":
		return r, ErrNoCandidate
	}
	r = r.next()
	r.Percent, r.Shadow = percent, shadow
	if percent == 100 {
		r = r.promote()
	}
	return r, nil
}

// Rollback drops the candidate, or, if none waits, makes the version before
// the current one current again.
func (r Rollout) Rollback() (Rollout, error) {
	if r.Candidate != "" {
		r = r.next()
		r.Candidate, r.Shadow, r.Percent = "", false, 0
		return r, nil
	}
	for n := len(r.Past); n > 0; n-- {
		if earlier := r.Past[n-1]; r.release(earlier) != nil {
			r = r.next()
			r.Current, r.Past = earlier, r.Past[:n-1]
			return r, nil
		}
	}
	return r, ErrNoEarlier
}

// Pick tells by which version a subject is judged, and by which besides
// without consequence (empty: none). The same subject gets the same answer as
// long as the share does not shrink; without the key nobody can tell who gets
// which. An empty subject is judged by the current version.
func (r Rollout) Pick(key []byte, subject string) (enforced, shadow string) {
	if r.Candidate == "" {
		return r.Current, ""
	}
	if subject != "" && r.Percent > 0 {
		h := mac.NewKey(key).Sum(messageOf("watchword/rollout/1", r.Name, r.Candidate, subject))
		// A 64-bit number modulo 100 favours none of them by more than 2^-57.
		if binary.BigEndian.Uint64(h[:])%100 < uint64(r.Percent) {
			return r.Candidate, ""
		}
	}
	if r.Shadow {
		return r.Current, r.Candidate
	}
	return r.Current, ""
}

// Release gives a version that is kept.
func (r Rollout) Release(version string) (Release, bool) {
	if x := r.release(version); x != nil {
		return *x, true
	}
	return Release{}, false
}

func (r Rollout) release(version string) *Release {
	i := slices.IndexFunc(r.Releases, func(x Release) bool { return x.Version == version })
	if i < 0 {
		return nil
	}
	return &r.Releases[i]
}

// next gives a copy that shares no memory with r.
func (r Rollout) next() Rollout {
	r.Revision++
	r.Releases = slices.Clone(r.Releases)
	r.Past = slices.Clone(r.Past)
	return r
}

func (r Rollout) promote() Rollout {
	if r.Current != "" {
		r.Past = append(r.Past, r.Current)
	}
	r.Current, r.Candidate, r.Shadow, r.Percent = r.Candidate, "", false, 0
	return r
}

// trim drops the oldest versions over the cap that are not in use.
func (r Rollout) trim() Rollout {
	for len(r.Releases) > maxReleases {
		less, err := r.Forget()
		if err != nil {
			return r
		}
		less.Revision = r.Revision
		r = less
	}
	return r
}

// Forget drops the oldest version that is neither current nor the candidate,
// for a store that has no room for all. There is no way back to it.
func (r Rollout) Forget() (Rollout, error) {
	i := slices.IndexFunc(r.Releases, func(x Release) bool { return x.Version != r.Current && x.Version != r.Candidate })
	if i < 0 {
		return r, ErrInUse
	}
	r = r.next()
	r.Releases = slices.Delete(r.Releases, i, i+1)
	r.Past = slices.DeleteFunc(r.Past, func(v string) bool { return r.release(v) == nil })
	return r, nil
}

// Marshal gives the form in which a roll-out is stored.
func (r Rollout) Marshal() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic("policy: a roll-out cannot be written: " + err.Error())
	}
	return b
}

// ParseRollout reads what Marshal wrote. Each effective document must parse
// to the version it is stored as, so that a changed byte is found.
func ParseRollout(b []byte) (Rollout, error) {
	var r Rollout
	if err := json.Unmarshal(b, &r); err != nil {
		return Rollout{}, ErrRolloutForm
	}
	if ValidName(r.Name) != nil || r.Percent < 0 || r.Percent > 99 || len(r.Releases) > maxReleases+1 ||
		r.release(r.Current) == nil || r.Candidate != "" && r.release(r.Candidate) == nil {
		return Rollout{}, ErrRolloutForm
	}
	for _, x := range r.Releases {
		if p, err := x.Policy(r.Name); err != nil || p.Version() != x.Version {
			return Rollout{}, ErrRolloutForm
		}
	}
	return r, nil
}

// Policy gives the policy of the release.
func (x Release) Policy(name string) (*Policy, error) { return parse(name, x.Effective, nil) }

// WithShadow gives v with what another policy would have refused.
func (v Verdict) WithShadow(other Verdict) Verdict {
	v.Shadow = slices.Concat(v.Shadow, other.Violations, other.Shadow)
	return v
}
