// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"
)

// ways is how many records share a bucket: a byte of each of their keys makes
// one word.
const ways = 8

// live is the debt of a record that must not be evicted; neutral is that of
// one that says nothing.
const (
	live    = math.MaxInt64
	neutral = -1
)

// table is a fixed number of records under 64-bit keys, without pointers, so
// that the garbage collector never looks inside. A key has two buckets in one
// shard. When both are full the record with the least debt makes room; a live
// lock never does.
type table[R any] struct {
	shards []shard[R]
	mask   uint64
	id     uint8 // its number in files
}

type shard[R any] struct {
	sync.Mutex
	// hints holds a word for each bucket: a byte of each slot's key, never zero,
	// or zero if the slot is free. It is small enough to stay close to the
	// processor, so that a look-up fetches one slot from afar.
	hints []uint64
	slots []slot[R]
	moved []uint32 // slots changed since the last flush, each once
	marks []uint64 // bit i: slot i is in moved
	track bool
	// more holds what did not fit into the cells of a table of pools, at most mostMore.
	more     map[uint64]extra
	mostMore int
	// filled is called once, when so many more slots are taken than now.
	left   int
	filled func()
	_      [48]byte // keeps the locks of neighbours on different cache lines
}

type slot[R any] struct {
	key uint64
	rec R
}

// A table larger than hugeTable bytes is put on huge pages once a 32nd of it is
// taken: by then nearly all of its small pages are in use anyway.
const hugeTable = 8 << 20

// newTable makes room for n records. The memory is touched, and so counted by
// the system, only as records come.
func newTable[R any](id uint8, n int, track bool) *table[R] {
	shards := 1
	for shards < 256 && shards*4*ways < n {
		shards *= 2
	}
	t := &table[R]{shards: make([]shard[R], shards), mask: uint64(shards - 1), id: id}
	buckets := (n + shards*ways - 1) / (shards * ways)
	all := make([]slot[R], shards*buckets*ways)
	if int64(len(all))*int64(unsafe.Sizeof(all[0])) > hugeTable {
		// Any shard stands for all.
		t.shards[0].left, t.shards[0].filled = buckets*ways/32, func() { go hugePages(all) }
	}
	for i := range t.shards {
		s := &t.shards[i]
		s.hints = make([]uint64, buckets)
		s.slots = all[i*buckets*ways:][: buckets*ways : buckets*ways]
		s.mostMore = buckets
		s.track = track
		if track {
			s.marks = make([]uint64, (buckets*ways+63)/64)
		}
	}
	return t
}

func (t *table[R]) shard(key uint64) *shard[R] { return &t.shards[key&t.mask] }

// buckets returns the two buckets of key.
func (s *shard[R]) buckets(key uint64) (int, int) {
	n := uint64(len(s.hints))
	return int((key >> 32) * n >> 32), int((mix(key) >> 32) * n >> 32)
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// hint is the byte of key in a word.
func hint(key uint64) uint64 { return max(1, key>>8&0xff) }

// used returns a word with the high bit of every byte set whose slot is taken.
func used(word uint64) uint64 { return (word&^highBits + ^uint64(highBits) | word) & highBits }

// find returns the slot of key, or -1. The shard must be locked.
func (s *shard[R]) find(key uint64) int {
	h := hint(key) * lowBits
	a, b := s.buckets(key)
	for {
		// The bytes that equal the hint, and perhaps others above them.
		x := s.hints[a] ^ h
		for x = (x - lowBits) &^ x & highBits; x != 0; x &= x - 1 {
			if i := a*ways + bits.TrailingZeros64(x)/8; s.slots[i].key == key {
				return i
			}
		}
		if a == b {
			return -1
		}
		a = b
	}
}

// place returns the slot of key, making one if there is none, or -1 if all
// candidates are live. gone is told of a record that makes room.
func (s *shard[R]) place(key uint64, debt func(uint64, *R) int64, gone func(uint64, *R)) int {
	if i := s.find(key); i >= 0 {
		return i
	}
	// The emptier bucket takes it: so the table fills to nine tenths before
	// anything has to go.
	a, b := s.buckets(key)
	if bits.OnesCount64(used(s.hints[b])) < bits.OnesCount64(used(s.hints[a])) {
		a = b
	}
	if free := ^used(s.hints[a]) & highBits; free != 0 {
		return s.take(a*ways+bits.TrailingZeros64(free)/8, key)
	}
	a, _ = s.buckets(key)
	least, at := int64(live), -1
	for _, from := range [2]int{a * ways, b * ways} {
		for i := from; i < from+ways; i++ {
			if d := debt(s.slots[i].key, &s.slots[i].rec); d < least {
				least, at = d, i
			}
		}
	}
	if at < 0 {
		return -1
	}
	if least != neutral && gone != nil {
		gone(s.slots[at].key, &s.slots[at].rec)
	}
	s.free(at)
	return s.take(at, key)
}

// take gives a free slot to key.
func (s *shard[R]) take(i int, key uint64) int {
	s.slots[i].key = key
	s.hints[i/ways] |= hint(key) << (i % ways * 8)
	if s.left--; s.left == 0 && s.filled != nil {
		s.filled()
		s.filled = nil
	}
	return i
}

// taken reports whether slot i holds a record.
func (s *shard[R]) taken(i int) bool { return s.hints[i/ways]>>(i%ways*8)&0xff != 0 }

// free gives the slot back.
func (s *shard[R]) free(i int) {
	if s.more != nil {
		delete(s.more, s.slots[i].key)
	}
	s.slots[i] = slot[R]{}
	s.hints[i/ways] &^= 0xff << (i % ways * 8)
	s.left++
}

// touch notes that the slot changed.
func (s *shard[R]) touch(i int) {
	if s.track && s.marks[i/64]&(1<<(i%64)) == 0 {
		s.marks[i/64] |= 1 << (i % 64)
		s.moved = append(s.moved, uint32(i))
	}
}

// mix is a bijection that spreads every bit (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// ghost remembers how many failures evicted records had, in bounded memory: a
// count-min sketch that keeps the greatest value instead of the sum. It never
// says less than was put in during the last life, and sometimes more.
type ghost struct {
	mu         sync.Mutex
	used       atomic.Bool
	since      int64
	next, past []uint16 // two rows each
}

const ghostRow = 1 << 16

func (g *ghost) add(key uint64, fails uint16, now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next, g.past, g.since = make([]uint16, 2*ghostRow), make([]uint16, 2*ghostRow), now
	}
	if now-g.since > quietLife {
		g.next, g.past, g.since = g.past, g.next, now
		clear(g.next)
	}
	a, b := ghostCells(key)
	g.next[a] = max(g.next[a], fails)
	g.next[b] = max(g.next[b], fails)
	g.used.Store(true)
}

func (g *ghost) recall(key uint64) uint16 {
	if !g.used.Load() {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a, b := ghostCells(key)
	return max(min(g.next[a], g.next[b]), min(g.past[a], g.past[b]))
}

func ghostCells(key uint64) (int, int) {
	h := mix(key ^ 0x9e3779b97f4a7c15)
	return int(h % ghostRow), ghostRow + int(h>>32%ghostRow)
}

// forget makes the sketch say nothing about key.
func (g *ghost) forget(key uint64) {
	if !g.used.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a, b := ghostCells(key)
	g.next[a], g.next[b], g.past[a], g.past[b] = 0, 0, 0, 0
}
