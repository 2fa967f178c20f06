// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/time/rate"

	"github.com/watchword-project/watchword/wordlists/private"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// errUnknownList is returned for a version of a private list that is not
// offered.
var errUnknownList = errors.New("no such private list")

// Private are the private lists on offer.
type Private struct {
	Lists map[private.Version]*private.List
	// ChecksPerSecond bounds each caller: a check is so many guesses at what is
	// listed.
	ChecksPerSecond float64

	mu      sync.Mutex
	callers map[string]*rate.Limiter
}

// list gives the list that a request names.
func (p *Private) list(version string) (*private.List, error) {
	v, err := private.ParseVersion(version)
	if err != nil {
		return nil, &fieldError{"version", "not 64 hexadecimal digits"}
	}
	if p == nil || p.Lists[v] == nil {
		return nil, errUnknownList
	}
	return p.Lists[v], nil
}

// enter takes one check from what a caller may have.
func (p *Private) enter(caller string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.callers[caller]
	if !ok {
		l = rate.NewLimiter(rate.Limit(p.ChecksPerSecond), max(1, int(p.ChecksPerSecond)))
		if p.callers == nil {
			p.callers = make(map[string]*rate.Limiter)
		}
		p.callers[caller] = l // bounded: one per key or certificate that exists
	}
	if !l.Allow() {
		return &quotaError{}
	}
	return nil
}

func (s *breachService) GetPrivateList(_ context.Context, m *watchwordv1.GetPrivateListRequest) (*watchwordv1.GetPrivateListResponse, error) {
	l, err := s.private.list(m.GetVersion())
	if err != nil {
		return nil, err
	}
	return &watchwordv1.GetPrivateListResponse{Header: l.Bytes()}, nil
}

func (s *breachService) GetPrivateBucket(_ context.Context, m *watchwordv1.GetPrivateBucketRequest) (*watchwordv1.GetPrivateBucketResponse, error) {
	l, err := s.private.list(m.GetVersion())
	if err != nil {
		return nil, err
	}
	if m.Bucket == nil {
		return nil, &fieldError{"bucket", "missing"}
	}
	records, path, err := l.Read(m.GetBucket())
	if err != nil {
		return nil, &fieldError{"bucket", "the list has no such bucket"}
	}
	return &watchwordv1.GetPrivateBucketResponse{Records: records, Path: path}, nil
}

func (s *breachService) PrivateCheck(ctx context.Context, m *watchwordv1.PrivateCheckRequest) (*watchwordv1.PrivateCheckResponse, error) {
	l, err := s.private.list(m.GetVersion())
	if err != nil {
		return nil, err
	}
	if len(m.GetElements()) != private.Elements { // costs no check
		return nil, &fieldError{"elements", private.ErrCount.Error()}
	}
	if err := s.private.enter(callerOf(ctx).ID); err != nil {
		return nil, err
	}
	elements, proof, err := l.Evaluate(m.GetElements())
	if errors.Is(err, private.ErrElement) {
		return nil, &fieldError{"elements", err.Error()}
	}
	if err != nil {
		return nil, err
	}
	return &watchwordv1.PrivateCheckResponse{Elements: elements, Proof: proof}, nil
}
