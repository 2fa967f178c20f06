// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

// inline is how many guesses a cell holds. Those beyond, which only a lane has
// that was tried more often than it has free guesses, are kept beside the table.
const inline = 5

// cell is a pool as a table keeps it: with its key it fills one cache line.
//
//	last    48 bits, and 16 of fails
//	slow    48 bits, 4 of n, 1 closed, 1 free, and the upper 10 of repeat
//	base    48 bits: when the youngest guess was charged; and the lower 16 of repeat
//	repeat  its middle 16
//
// A guess is its tag and, in what, a bit whether it is awaited, one whether it
// has the caller's tag, and base - at in 30 bits, or refs in 6 and that in 24.
type cell struct {
	last, slow, base uint64
	repeat           uint16
	tag              [inline]uint16
	what             [inline]uint32
}

// extra are the guesses that a cell has no room for.
type extra struct {
	what [entries - inline]uint32
	tag  [entries - inline]uint16
}

const (
	mask48    = 1<<48 - 1
	awaited   = 1 << 31
	hasTag    = 1 << 30
	refsShift = 24
	mostAge   = 1<<refsShift - 1 // of an awaited guess: four hours and more
)

func (c *cell) closed() bool { return c.slow>>52&1 != 0 }

// unpack writes the pool into p, which must be zero.
func (c *cell) unpack(p *pool, key uint64, more map[uint64]extra) {
	p.last, p.fails = int64(c.last&mask48), uint16(c.last>>48)
	p.slow, p.n, p.closed = int64(c.slow&mask48), uint8(c.slow>>48&0xf), c.closed()
	p.repeat = int64(c.slow>>54<<32 | uint64(c.repeat)<<16 | c.base>>48)
	base := int64(c.base & mask48)
	var x extra
	if p.n > inline {
		x = more[key]
	}
	for i := range int(p.n) {
		var what uint32
		var tag uint16
		if i < inline {
			what, tag = c.what[i], c.tag[i]
		} else {
			what, tag = x.what[i-inline], x.tag[i-inline]
		}
		at, refs := base-int64(what&(hasTag-1)), 0
		if what&awaited != 0 {
			at, refs = base-int64(what&mostAge), int(what>>refsShift&maxRefs)
			p.pending |= 1 << i
		}
		if what&hasTag != 0 {
			p.tagged |= 1 << i
		}
		p.guess[i] = makeEntry(max(0, at), tag, refs)
	}
}

// pack keeps the pool in the cell and what does not fit in x.
func (c *cell) pack(p *pool, x *extra) {
	base := int64(0)
	for _, g := range p.guess[:p.n] {
		base = max(base, g.at())
	}
	repeat := uint64(min(p.repeat, 1<<42-1))
	c.last = uint64(p.last)&mask48 | uint64(p.fails)<<48
	c.slow = uint64(p.slow)&mask48 | uint64(p.n)<<48 | repeat>>32<<54
	if p.closed {
		c.slow |= 1 << 52
	}
	c.base, c.repeat = uint64(base)|repeat<<48, uint16(repeat>>16)
	for i := range int(p.n) {
		g := p.guess[i]
		what := uint32(min(base-g.at(), hasTag-1))
		if p.pending&(1<<i) != 0 {
			what = awaited | uint32(g.refs())<<refsShift | uint32(min(base-g.at(), mostAge))
		}
		if p.tagged&(1<<i) != 0 {
			what |= hasTag
		}
		if i < inline {
			c.what[i], c.tag[i] = what, g.tag()
		} else {
			x.what[i-inline], x.tag[i-inline] = what, g.tag()
		}
	}
}

// poolAt returns the pool in slot i.
func poolAt(s *shard[cell], i int) (p pool) {
	s.slots[i].rec.unpack(&p, s.slots[i].key, s.more)
	return p
}

// setPool keeps a pool in slot i. Where there is no room beside the table wrong
// guesses are forgotten, the oldest first: they count, and would only be known
// again. If the guesses that are awaited do not fit it reports false and keeps
// the slot as it was.
func setPool(s *shard[cell], i int, p *pool) bool {
	k := s.slots[i].key
	if p.n <= inline {
		if s.slots[i].rec.slow>>48&0xf > inline {
			delete(s.more, k)
		}
		s.slots[i].rec.pack(p, nil)
		return true
	}
	if _, ok := s.more[k]; !ok && len(s.more) >= s.mostMore {
		q := *p
		for q.n > inline && q.dropOldest() {
		}
		return q.n <= inline && setPool(s, i, &q)
	}
	if s.more == nil {
		s.more = make(map[uint64]extra)
	}
	var x extra
	s.slots[i].rec.pack(p, &x)
	s.more[k] = x
	return true
}

// restorePool is restoreRecord for a pool.
func restorePool(t *table[cell], key uint64, p *pool, debt func(*pool) int64) bool {
	s := t.shard(key)
	i := s.find(key)
	if *p == (pool{}) {
		if i >= 0 {
			s.free(i)
		}
		return true
	}
	if i < 0 {
		i = s.place(key, poolDebt(s, debt), nil)
	}
	return i >= 0 && setPool(s, i, p)
}

// poolDebt makes an order of pools one of cells.
func poolDebt(s *shard[cell], debt func(*pool) int64) func(uint64, *cell) int64 {
	return func(key uint64, c *cell) int64 {
		var p pool
		c.unpack(&p, key, s.more)
		return debt(&p)
	}
}

// appendCell appends the encoding of the pool in slot i.
func appendCell(b []byte, s *shard[cell], i int) []byte {
	p := poolAt(s, i)
	return appendPool(b, &p)
}
