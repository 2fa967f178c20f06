// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"context"
	"time"
)

// RawText makes a Text of any bytes, also of those that New refuses.
func RawText(b []byte) Text { return Text{reveal: func() []byte { return b }} }

// Print parses encoded and spells it again.
func Print(encoded string) (string, error) {
	d, err := parse(encoded)
	if err != nil {
		return "", err
	}
	return d.String(), nil
}

// Pool is the admission control alone, with work that the test chooses.
type Pool struct{ p *pool }

// NewPool makes a pool of n slots with share bytes each. Its first estimate
// is service for one unit.
func NewPool(n int, share int64, wait, service time.Duration) Pool {
	slots := make([]*slot, n)
	for i := range slots {
		slots[i] = &slot{}
	}
	p := newPool(slots, share, wait, nil)
	for range 100 { // until nothing is left of the first doubt
		p.rateOf(Argon2id).observe(1, service)
	}
	return Pool{p}
}

// Do runs f in a slot.
func (p Pool) Do(ctx context.Context, c Class, bytes int64, t Text, f func(plain []byte)) error {
	return p.p.do(ctx, &job{class: c, password: t, scheme: Argon2id, load: load{bytes: bytes, units: 1, heap: true}, task: taskFunc(func(w *slot) error { f(w.password); return nil })})
}

// DoUnits runs f, which is so much work as rates go, in a slot.
func (p Pool) DoUnits(ctx context.Context, c Class, units float64, f func()) error {
	return p.p.do(ctx, &job{class: c, scheme: Argon2id, load: load{units: units, heap: true}, task: taskFunc(func(*slot) error { f(); return nil })})
}

// Admit asks whether Do would let one unit in.
func (p Pool) Admit(ctx context.Context) error { return p.p.admit(ctx, "", Argon2id, 1) }

func (p Pool) Stats() Stats { return p.p.snapshot() }
func (p Pool) Close()       { p.p.close() }
