// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/watchword-project/watchword/server/internal/verifier"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// maxHashes is how many digests one CheckHashes takes.
const maxHashes = 10_000

type breachService struct {
	watchwordv1.UnimplementedBreachServiceServer
	v       *verifier.Verifier
	private *Private
}

var hashKinds = map[watchwordv1.HashKind]verifier.HashKind{
	watchwordv1.HashKind_HASH_KIND_SHA1: verifier.SHA1,
	watchwordv1.HashKind_HASH_KIND_NTLM: verifier.NTLM,
}

// corpora gives the configured corpora, or the error of having none.
func (s *breachService) corpora() (verifier.Corpora, error) {
	if s.v.Corpora == nil {
		return nil, verifier.ErrNoCorpus
	}
	return s.v.Corpora, nil
}

func (s *breachService) GetRange(_ context.Context, m *watchwordv1.GetRangeRequest) (*watchwordv1.GetRangeResponse, error) {
	var r reader
	kind := verifier.SHA1
	if m.GetKind() != watchwordv1.HashKind_HASH_KIND_UNSPECIFIED {
		kind = pick(&r, hashKinds, "kind", m.GetKind())
	}
	prefix, err := strconv.ParseUint(m.GetPrefix(), 16, 32)
	if err != nil || len(m.GetPrefix()) != 5 {
		r.fault("prefix", "not five hexadecimal digits")
	}
	r.text("ifNoneMatch", m.GetIfNoneMatch())
	if r.err != nil {
		return nil, r.err
	}
	c, err := s.corpora()
	if err != nil {
		return nil, err
	}
	a, err := c.Range(kind, uint32(prefix), m.GetPadding())
	if err != nil {
		return nil, err
	}
	out := &watchwordv1.GetRangeResponse{Etag: a.ETag, Built: timestamppb.New(a.Built)}
	if noneMatch(m.GetIfNoneMatch(), a.ETag) {
		out.NotModified = true
		return out, nil
	}
	out.Body, out.ContentMd5 = a.Body, a.ContentMD5
	return out, nil
}

// noneMatch reports whether the tags of an If-None-Match name a tag (RFC 9110,
// 13.1.2): the comparison is weak, and "*" is every one.
func noneMatch(tags, tag string) bool {
	for one := range strings.SplitSeq(tags, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || one != "" && strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

func (s *breachService) CheckHashes(_ context.Context, m *watchwordv1.CheckHashesRequest) (*watchwordv1.CheckHashesResponse, error) {
	var r reader
	kind := pick(&r, hashKinds, "kind", m.GetKind())
	if len(m.GetHashes()) == 0 || len(m.GetHashes()) > maxHashes {
		r.fault("hashes", "not from 1 to "+strconv.Itoa(maxHashes))
	}
	if r.err != nil {
		return nil, r.err
	}
	c, err := s.corpora()
	if err != nil {
		return nil, err
	}
	a, err := c.Counts(kind, m.GetHashes())
	var digest *verifier.DigestError
	if errors.As(err, &digest) {
		return nil, &fieldError{"hashes", digest.Error()}
	}
	if err != nil {
		return nil, err
	}
	return &watchwordv1.CheckHashesResponse{Counts: a.Counts, Status: breachStatuses[a.Status], CorpusVersion: a.Version}, nil
}

func (s *breachService) ListCorpora(context.Context, *watchwordv1.ListCorporaRequest) (*watchwordv1.ListCorporaResponse, error) {
	out := &watchwordv1.ListCorporaResponse{}
	if s.v.Corpora == nil {
		return out, nil
	}
	for _, c := range s.v.Corpora.List() {
		kind := watchwordv1.HashKind_HASH_KIND_SHA1
		if c.Kind == verifier.NTLM {
			kind = watchwordv1.HashKind_HASH_KIND_NTLM
		}
		out.Corpora = append(out.Corpora, &watchwordv1.Corpus{Name: c.Name, Version: c.Version, Entries: int64(c.Entries),
			Built: timestamppb.New(c.Built), Kind: kind, Canaries: c.Fault == "", Ranges: c.Ranges, Fault: c.Fault, Refused: c.Refused})
	}
	n := s.v.Corpora.Lookups()
	out.Performed, out.Degraded, out.Skipped = int64(n.Performed), int64(n.Degraded), int64(n.Skipped)
	return out, nil
}
