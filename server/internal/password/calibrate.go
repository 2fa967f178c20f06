// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Calibration says what new parameters are measured against. The zero value
// is usable.
type Calibration struct {
	// P95 is the longest that 95 of 100 hashes may take with all slots busy.
	// Zero means 150 ms.
	P95 time.Duration
	// PerSecond is how many logins come in a second at the busiest time. Zero
	// means 10.
	PerSecond float64
	// Headroom is the share of all hashing that PerSecond may take: 0 < h ≤ 1.
	// Zero means 0.5.
	Headroom float64
	// MemoryBudget is the memory for all running hashes, in bytes. Zero means a
	// quarter of what the machine or its cgroup has, and at most 1 GiB.
	MemoryBudget int64
	// Turn is how long each candidate is measured in each of three turns. Zero
	// means 2 s.
	Turn time.Duration
	// Only, if not empty, are the candidates: nothing else is measured. One
	// candidate measures the parameters in force.
	Only []Params
	// Slots and Kernel are as in Config.
	Slots  int
	Kernel string
}

// A Measurement is one candidate with all slots busy.
type Measurement struct {
	Params    Params
	Slots     int
	PerSecond float64       // hashes on the whole machine, which is also what a guesser gets out of it
	P50, P95  time.Duration // of one hash
	// Memory is the most that all hashes hold at the same moment, in bytes.
	Memory int64
	// Problem says why the candidate is not good enough; empty if it is.
	Problem string
}

// Proposal is what Calibrate found.
type Proposal struct {
	Machine Machine
	Kernel  string
	// Rows are the candidates measured, by memory and then by passes.
	Rows []Measurement
	// Choice is the strongest row without a problem: the most memory, and then
	// the most passes. It is nil if there is none.
	Choice *Measurement
	// Missing says, if Choice is nil, what would let the weakest acceptable
	// parameters fit.
	Missing string
}

const turns = 3

// calibrationMemory are the sizes tried, in KiB.
var calibrationMemory = []uint32{12 << 10, 19 << 10, 32 << 10, 46 << 10, 64 << 10, 96 << 10, 128 << 10, 256 << 10, 512 << 10}

// Calibrate measures candidates on this machine, all slots busy, in turns so
// that a disturbance meets all of them, and chooses the strongest that serves
// what c asks for. It never chooses parameters below the floors of OWASP ASVS
// 5.0 11.4.2. It returns ctx's error when ctx ends first.
func Calibrate(ctx context.Context, c Calibration, m Machine) (Proposal, error) {
	c = c.withDefaults(m)
	if c.Headroom < 0 || c.Headroom > 1 || c.PerSecond < 0 || c.P95 < 0 {
		return Proposal{}, errors.New("calibration: the targets must be positive, and the headroom at most 1")
	}
	p := Proposal{Machine: m}
	candidates := c.Only
	if len(candidates) == 0 {
		var err error
		if candidates, err = c.shortlist(ctx); err != nil {
			return Proposal{}, err
		}
	}
	if len(candidates) == 0 {
		p.Missing = fmt.Sprintf("a memory budget of %d KiB holds no hash of %d KiB, the least that is allowed: give more memory", c.MemoryBudget>>10, calibrationMemory[0])
		return p, nil
	}
	slices.SortFunc(candidates, func(a, b Params) int {
		return 2*compare(a.Memory, b.Memory) + compare(a.Time, b.Time)
	})

	samples := make([]sample, len(candidates))
	for range turns {
		for i, params := range candidates {
			s, err := c.measure(ctx, params, c.Turn)
			if err != nil {
				return Proposal{}, err
			}
			p.Kernel = s.kernel
			samples[i].add(s)
		}
	}
	for i, params := range candidates {
		row := samples[i].row(params)
		row.Problem = c.judge(row)
		p.Rows = append(p.Rows, row)
	}
	for i := range p.Rows {
		if p.Rows[i].Problem == "" {
			p.Choice = &p.Rows[i]
		}
	}
	if p.Choice == nil {
		p.Missing = c.missing(p.Rows[0])
	}
	return p, nil
}

func compare(a, b uint32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (c Calibration) withDefaults(m Machine) Calibration {
	if c.P95 == 0 {
		c.P95 = 150 * time.Millisecond
	}
	if c.PerSecond == 0 {
		c.PerSecond = 10
	}
	if c.Headroom == 0 {
		c.Headroom = 0.5
	}
	if c.MemoryBudget == 0 {
		c.MemoryBudget = DefaultMemoryBudget
		if m.Memory > 0 {
			c.MemoryBudget = min(m.Memory/4, 1<<30)
		}
	}
	if c.Turn == 0 {
		c.Turn = 2 * time.Second
	}
	if c.Slots == 0 {
		c.Slots = runtime.GOMAXPROCS(0)
	}
	return c
}

// shortlist takes one quick measurement of each size, and from it the number
// of passes that should just fit, and one fewer.
func (c Calibration) shortlist(ctx context.Context) ([]Params, error) {
	var list []Params
	for _, m := range calibrationMemory {
		least := Params{Memory: m, Time: 1, Parallelism: 1}
		for least.Memory < least.floor() {
			least.Time++
		}
		if least.bytes() > c.MemoryBudget {
			break
		}
		s, err := c.measure(ctx, least, c.Turn/8)
		if err != nil {
			return nil, err
		}
		row := s.row(least)
		// Cost grows with the passes.
		fit := float64(least.Time) * min(float64(c.P95)/float64(row.P95), row.PerSecond*c.Headroom/c.PerSecond)
		most := min(fit, maxTime, maxMemoryTime/float64(m))
		t := max(uint32(max(most, 1)), least.Time)
		list = append(list, Params{Memory: m, Time: t, Parallelism: 1})
		if t > least.Time {
			list = append(list, Params{Memory: m, Time: t - 1, Parallelism: 1})
		}
		if fit < float64(least.Time)/2 {
			break // larger ones are further away still
		}
	}
	return list, nil
}

// sample is what was seen of one candidate.
type sample struct {
	kernel string
	slots  int
	took   []time.Duration
	wall   time.Duration
}

func (s *sample) add(t sample) {
	s.slots, s.wall, s.took = t.slots, s.wall+t.wall, append(s.took, t.took...)
}

func (s *sample) row(p Params) Measurement {
	slices.Sort(s.took)
	return Measurement{
		Params: p, Slots: s.slots, Memory: int64(s.slots) * p.bytes(),
		PerSecond: float64(len(s.took)) / s.wall.Seconds(),
		P50:       s.took[len(s.took)/2],
		P95:       s.took[min(len(s.took)*95/100, len(s.took)-1)],
	}
}

// measure keeps all slots busy for d, and at least for one hash each.
func (c Calibration) measure(ctx context.Context, p Params, d time.Duration) (sample, error) {
	h, err := NewHasher(Config{
		Params: p, MemoryBudget: max(c.MemoryBudget, p.bytes()), Slots: c.Slots, Kernel: c.Kernel,
		QueueWait: time.Hour, Insecure: true,
	})
	if err != nil {
		return sample{}, err
	}
	defer h.Close()
	s := sample{slots: h.Stats().Slots}
	s.kernel, _ = h.Kernel()
	secret, err := New("calibration")
	if err != nil {
		return sample{}, err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var first error
	begin := time.Now()
	for range s.slots {
		wg.Go(func() {
			for {
				at := time.Now()
				err := h.Decoy(ctx, Interactive, secret)
				took := time.Since(at)
				mu.Lock()
				if err != nil {
					first = err
				} else {
					s.took = append(s.took, took)
				}
				mu.Unlock()
				if err != nil || time.Since(begin) >= d {
					return
				}
			}
		})
	}
	wg.Wait()
	s.wall = time.Since(begin)
	return s, first
}

// judge says what is wrong with a row.
func (c Calibration) judge(r Measurement) string {
	need := c.PerSecond / c.Headroom
	switch {
	case r.Params.Memory < r.Params.floor():
		return "below the floor of OWASP ASVS 5.0 11.4.2"
	case r.Params.bytes() > c.MemoryBudget:
		return "does not fit into the memory budget"
	case r.P95 > c.P95:
		return fmt.Sprintf("95th percentile above %v", c.P95)
	case r.PerSecond < need:
		return fmt.Sprintf("fewer than %.0f hashes each second", need)
	}
	return ""
}

// missing says what the weakest row lacks.
func (c Calibration) missing(r Measurement) string {
	need := c.PerSecond / c.Headroom
	switch {
	case r.Params.Memory < r.Params.floor() || r.Params.bytes() > c.MemoryBudget:
		return r.Problem
	case r.PerSecond < need:
		each := r.PerSecond / float64(r.Slots)
		return fmt.Sprintf("%s serves %.0f hashes each second on %d slots, and %.0f are asked for: give %.0f cores and %d MiB, or expect fewer logins",
			r.Params, r.PerSecond, r.Slots, need, need/each+0.5, int64(need/each+1)*r.Params.bytes()>>20)
	}
	return fmt.Sprintf("%s takes %v at the 95th percentile, and %v is asked for: allow more time, or use faster cores", r.Params, r.P95.Round(time.Millisecond), c.P95)
}
