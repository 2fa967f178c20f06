// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policybook

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/policy"
)

// Record remembers the outcome of a judgement in a few coarse numbers, for
// simulations; never the password, nor whose it was.
func (b *Book) Record(tenant string, s policy.Sample) {
	o := policy.Observe(s)
	b.recorded.Lock()
	defer b.recorded.Unlock()
	h := b.recorded.tenants[tenant]
	if h == nil {
		h = &policy.Histogram{}
		b.recorded.tenants[tenant] = h
	}
	h.Add(o)
}

// Recorded gives the outcomes of a tenant: what the store holds, and what this
// process has not written yet.
func (b *Book) Recorded(ctx context.Context, tenant string) (*policy.Histogram, error) {
	b.flushing.Lock()
	defer b.flushing.Unlock()
	h, _, err := b.load(ctx, tenant)
	if err != nil {
		return nil, err
	}
	b.recorded.Lock()
	defer b.recorded.Unlock()
	if mine := b.recorded.tenants[tenant]; mine != nil {
		h.Merge(mine)
	}
	return h, nil
}

func (b *Book) load(ctx context.Context, tenant string) (*policy.Histogram, uint64, error) {
	o, err := b.Store.Load(ctx, kindHistogram, tenant, single)
	if errors.Is(err, objects.ErrNotFound) {
		return &policy.Histogram{}, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	data, err := unpack(o.Data)
	if err != nil {
		return nil, 0, fmt.Errorf("stored outcomes: %w", err)
	}
	h, err := policy.ParseHistogram(data)
	if err != nil {
		return nil, 0, fmt.Errorf("stored outcomes: %w", err)
	}
	return h, o.Version, nil
}

// Flush adds what was recorded to the store.
func (b *Book) Flush(ctx context.Context) error {
	b.flushing.Lock()
	defer b.flushing.Unlock()
	b.recorded.Lock()
	mine := b.recorded.tenants
	b.recorded.tenants = make(map[string]*policy.Histogram)
	b.recorded.Unlock()
	var errs []error
	for tenant, h := range mine {
		if err := b.flush(ctx, tenant, h); err != nil {
			errs = append(errs, err)
			b.recorded.Lock()
			if newer := b.recorded.tenants[tenant]; newer != nil {
				h.Merge(newer)
			}
			b.recorded.tenants[tenant] = h
			b.recorded.Unlock()
		}
	}
	return errors.Join(errs...)
}

func (b *Book) flush(ctx context.Context, tenant string, h *policy.Histogram) error {
	for {
		sum, version, err := b.load(ctx, tenant)
		if err != nil {
			return err
		}
		sum.Merge(h)
		err = b.Store.Save(ctx, objects.Object{Kind: kindHistogram, Tenant: tenant, Name: single, Version: version + 1, Data: pack(sum)})
		if !errors.Is(err, objects.ErrConflict) {
			return err
		}
	}
}

// maxUnpacked bounds stored outcomes in memory: the most that a histogram
// holds is a third of it.
const maxUnpacked = 32 << 20

// pack gives outcomes in a form that fits into one object: the rarest are
// given up first.
func pack(h *policy.Histogram) []byte {
	for {
		var out bytes.Buffer
		w, _ := flate.NewWriter(&out, flate.BestSpeed) // fails for other levels only
		_, _ = w.Write(h.Marshal())                    // a buffer takes everything
		_ = w.Close()
		if out.Len() <= objects.MaxData {
			return out.Bytes()
		}
		h.Trim(h.Len() * 3 / 4)
	}
}

func unpack(b []byte) ([]byte, error) {
	r := flate.NewReader(bytes.NewReader(b))
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err == nil && len(data) > maxUnpacked {
		err = policy.ErrHistogramForm
	}
	return data, err
}
