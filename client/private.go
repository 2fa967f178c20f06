// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/watchword-project/watchword/wordlists/private"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

var (
	// ErrNoPrivateList is returned by PrivateCheck when Options.PrivateList is
	// empty. There is no default: a server must not choose the list, and with it
	// the key, by which it could know its callers again.
	ErrNoPrivateList = errors.New("the version of the private list is not known")
	// ErrPrivateAnswer is returned by PrivateCheck for an answer that does not
	// belong to the list and the question. It wraps what is wrong with it.
	// Nothing is known about the password then.
	ErrPrivateAnswer = errors.New("the answer is not one of the private list")
)

// maxBuckets bounds the buckets that are kept, in bytes.
const maxBuckets = 16 << 20

// privateList is what is kept of the list.
type privateList struct {
	version private.Version

	mu      sync.Mutex
	header  *private.Header
	buckets map[uint32]*private.Bucket
}

// PrivateCheck asks whether a password, or a near variant, is on the private
// list of Options.PrivateList, without showing the server the password. The first
// check of a client needs three calls, one whose bucket is at hand needs one.
// What the server learns is told in the package
// [github.com/watchword-project/watchword/wordlists/private].
func (c *Client) PrivateCheck(ctx context.Context, password string) (found, similar bool, err error) {
	if c.private == nil {
		return false, false, ErrNoPrivateList
	}
	h, err := c.privateHeader(ctx)
	if err != nil {
		return false, false, err
	}
	q, err := private.NewAsker(h).Ask([]byte(password))
	if errors.Is(err, private.ErrPassword) {
		return false, false, &InvalidError{Reason: "MALFORMED_REQUEST", Field: "password", Fault: err.Error()}
	}
	if err != nil {
		return false, false, err
	}
	defer q.Forget()
	b, err := c.privateBucket(ctx, h, q.Bucket)
	if err != nil {
		return false, false, err
	}
	r, err := c.breaches.PrivateCheck(ctx, &watchwordv1.PrivateCheckRequest{Version: c.private.version.String(), Elements: q.Elements})
	if err != nil {
		return false, false, failure(err)
	}
	result, err := q.Finish(r.GetElements(), r.GetProof(), b)
	if err != nil {
		return false, false, fmt.Errorf("%w: %w", ErrPrivateAnswer, err)
	}
	return result.Found, result.Similar, nil
}

// privateHeader gives the header of the list, which is asked for once.
func (c *Client) privateHeader(ctx context.Context) (*private.Header, error) {
	c.private.mu.Lock()
	h := c.private.header
	c.private.mu.Unlock()
	if h != nil {
		return h, nil
	}
	r, err := c.breaches.GetPrivateList(ctx, &watchwordv1.GetPrivateListRequest{Version: c.private.version.String()})
	if err != nil {
		return nil, failure(err)
	}
	if h, err = private.ParseHeader(r.GetHeader(), c.private.version); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrivateAnswer, err)
	}
	c.private.mu.Lock()
	defer c.private.mu.Unlock()
	if c.private.header == nil {
		c.private.header = h
	}
	return c.private.header, nil
}

// privateBucket gives a bucket of the list, and keeps it.
func (c *Client) privateBucket(ctx context.Context, h *private.Header, id uint32) (*private.Bucket, error) {
	c.private.mu.Lock()
	b := c.private.buckets[id]
	c.private.mu.Unlock()
	if b != nil {
		return b, nil
	}
	r, err := c.breaches.GetPrivateBucket(ctx, &watchwordv1.GetPrivateBucketRequest{Version: c.private.version.String(), Bucket: &id})
	if err != nil {
		return nil, failure(err)
	}
	if b, err = h.Bucket(id, r.GetRecords(), r.GetPath()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrivateAnswer, err)
	}
	c.private.mu.Lock()
	defer c.private.mu.Unlock()
	for old := range c.private.buckets {
		if (len(c.private.buckets)+1)*h.BucketSize() <= maxBuckets {
			break
		}
		delete(c.private.buckets, old) // any: passwords come in no order
	}
	if c.private.buckets == nil {
		c.private.buckets = make(map[uint32]*private.Bucket)
	}
	c.private.buckets[id] = b
	return b, nil
}
