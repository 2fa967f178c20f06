// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2

// slices is the number of vertical slices of the matrix, SL of RFC 9106 §3.4.
const slices = 4

// interleave bounds kernel.step.
const interleave = 4

// kernel computes the compression function G of RFC 9106 §3.5 in two halves.
// The index is 0 to overwrite out and 1 to XOR into it.
//
// The first word of a block names the block that the next one refers to, and it
// is final once the rows and the first columns are permuted, five eighths of the
// work. head goes that far and returns it; tail does the rest while the memory
// that the caller found it to name, next, is already on its way to the cache.
// Between the two, z must be left alone. prev and ref may be the same block, out
// and z are neither of them.
type kernel struct {
	name string
	// step is how many lanes to fill in step where the address of each block
	// depends on the block before it, 1 to interleave: while the reference block
	// of one lane is fetched, the others compute.
	step uint32
	head [2]func(z, out, prev, ref *block) uint64
	tail [2]func(z, out, prev, ref, next *block)
}

// scratch is the working memory of one call beside the matrix.
type scratch struct {
	z         block // state between head and tail
	addresses block // 128 reference words, RFC 9106 §3.4.1.2
	counter   block // the input that they are made from
	inner     block // half way from the one to the other
	zero      block
}

// matrix is B of RFC 9106 §3.2, laid out lane after lane, with the place where
// filling has got to.
type matrix struct {
	kernel  *kernel
	blocks  []block
	scratch *scratch
	typ     Type
	version uint32
	passes  uint32
	lanes   uint32 // p
	columns uint32 // q, length of a lane
	segment uint32 // q/4, length of a lane's part of one slice

	pass, slice uint32
}

// newMatrix gives the shape that RFC 9106 §3.2 step 2 prescribes: m′ blocks,
// where m′ is m rounded down to a multiple of 4·p.
func newMatrix(k *kernel, blocks []block, s *scratch, p *Params) *matrix {
	segment := p.Memory / (slices * p.Parallelism)
	columns := slices * segment
	return &matrix{
		kernel:  k,
		blocks:  blocks[:columns*p.Parallelism],
		scratch: s,
		typ:     p.Type,
		version: p.Version,
		passes:  p.Time,
		lanes:   p.Parallelism,
		columns: columns,
		segment: segment,
	}
}

// fill runs all passes over the matrix, of which the first two columns must be
// set, and leaves the XOR of the last column in the last block, RFC 9106 §3.2
// steps 5 to 7. What the other blocks held before does not matter.
func (m *matrix) fill() *block {
	for m.pass = range m.passes {
		for m.slice = range uint32(slices) {
			switch {
			case m.typ == I, m.typ == ID && m.pass == 0 && m.slice < slices/2:
				for lane := range m.lanes {
					m.fillIndependent(lane)
				}
			default:
				for lane := uint32(0); lane < m.lanes; lane += m.kernel.step {
					m.fillDependent(lane, min(m.kernel.step, m.lanes-lane))
				}
			}
		}
	}
	last := &m.blocks[len(m.blocks)-1]
	for lane := range m.lanes - 1 {
		for i, w := range m.blocks[(lane+1)*m.columns-1] {
			last[i] ^= w
		}
	}
	return last
}

// mode is 1 where a new block is XORed into the old one: in all passes but the
// first, and in the old version in none.
func (m *matrix) mode() int {
	if m.pass > 0 && m.version == Version13 {
		return 1
	}
	return 0
}

// begin returns the first column to fill in the present segment: two blocks of
// each lane are there from the start.
func (m *matrix) begin() uint32 {
	if m.pass == 0 && m.slice == 0 {
		return 2
	}
	return 0
}

// before returns the block that the first one to be filled in the present
// segment of a lane follows.
func (m *matrix) before(lane uint32) *block {
	column := m.slice*m.segment + m.begin()
	if column == 0 {
		column = m.columns
	}
	return &m.blocks[lane*m.columns+column-1]
}

// fillDependent fills the present segment of n lanes from the first on, at
// most interleave, where each block names the reference of the next.
func (m *matrix) fillDependent(first, n uint32) {
	mode := m.mode()
	head, tail := m.kernel.head[mode], m.kernel.tail[mode]
	w := m.window()
	z := &m.scratch.z
	var prev, ref [interleave]*block
	begin := m.begin()
	for l := range n {
		prev[l] = m.before(first + l)
		ref[l] = &m.blocks[w.reference(prev[l][0], first+l, begin)]
	}
	for i := begin; i < m.segment; i++ {
		at := first*m.columns + m.slice*m.segment + i
		for l := range n {
			out := &m.blocks[at]
			at += m.columns
			word := head(z, out, prev[l], ref[l])
			// Past the end of the segment this is the address of some block,
			// fetched in vain.
			next := &m.blocks[w.reference(word, first+l, i+1)]
			tail(z, out, prev[l], ref[l], next)
			prev[l], ref[l] = out, next
		}
	}
}

// fillIndependent fills the present segment of one lane where the references
// follow from a counter alone, RFC 9106 §3.4.1.2.
func (m *matrix) fillIndependent(lane uint32) {
	mode := m.mode()
	head, tail := m.kernel.head[mode], m.kernel.tail[mode]
	w := m.window()
	s := m.scratch
	s.counter = block{
		uint64(m.pass), uint64(lane), uint64(m.slice),
		uint64(len(m.blocks)), uint64(m.passes), uint64(m.typ),
	}
	start := lane*m.columns + m.slice*m.segment
	prev := m.before(lane)
	for i := m.begin(); i < m.segment; {
		m.nextAddresses()
		end := min(m.segment, i|(blockWords-1)+1)
		at := func(i uint32) *block {
			return &m.blocks[w.reference(s.addresses[i%blockWords], lane, i)]
		}
		// What a tail fetches is used by the head after the next one: here
		// the addresses are known in time for that.
		ref, next := at(i), at(min(i+1, end-1))
		for ; i < end; i++ {
			out := &m.blocks[start+i]
			head(&s.z, out, prev, ref)
			after := at(min(i+2, end-1))
			tail(&s.z, out, prev, ref, after)
			ref, next = next, after
			prev = out
		}
	}
}

// nextAddresses makes the next 128 reference words: G(0, G(0, counter)).
func (m *matrix) nextAddresses() {
	s := m.scratch
	s.counter[6]++
	head, tail := m.kernel.head[0], m.kernel.tail[0]
	head(&s.z, &s.inner, &s.zero, &s.counter)
	tail(&s.z, &s.inner, &s.zero, &s.counter, &s.zero)
	head(&s.z, &s.addresses, &s.zero, &s.inner)
	tail(&s.z, &s.addresses, &s.zero, &s.inner, &s.zero)
}

// window is the reference set W of RFC 9106 §3.4.2 for one segment, as far as
// it is the same for all its blocks.
type window struct {
	lanes   uint32
	columns uint32
	origin  uint32 // column where W begins
	size    uint32 // blocks of finished segments in a lane
	alone   bool   // the first slice, which refers to its own lane only
}

func (m *matrix) window() window {
	w := window{lanes: m.lanes, columns: m.columns}
	if m.pass == 0 {
		w.size = m.slice * m.segment
		w.alone = m.slice == 0
		return w
	}
	w.size = (slices - 1) * m.segment
	w.origin = (m.slice + 1) % slices * m.segment
	return w
}

// reference returns the index in the matrix of the block that the i-th block of
// the present segment of a lane refers to, given the word J₂ ‖ J₁ that chooses
// it, RFC 9106 §3.4.1 and §3.4.2.
func (w *window) reference(word uint64, lane, i uint32) uint32 {
	l := lane
	if w.lanes > 1 && !w.alone {
		l = uint32(word>>32) % w.lanes
	}
	size := w.size
	switch {
	case l == lane:
		// Also what this segment has so far, but never the previous block.
		size += i - 1
	case i == 0:
		// For the first block of a segment the last index of W is left out.
		size--
	}
	j := word & 0xffffffff
	x := j * j >> 32
	y := uint64(size) * x >> 32
	column := w.origin + size - 1 - uint32(y)
	if column >= w.columns {
		column -= w.columns
	}
	return l*w.columns + column
}
