// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// What the processor does in bulk is what the portable code does one by one,
// for lines at the very end of readable memory too.
func TestScanLikePortable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	mem, err := anonymous(2 * batchBlock * lineSize)
	if err != nil {
		t.Fatal(err)
	}
	defer unmap(mem)
	at := mem[len(mem)-batchBlock*lineSize:]
	for range 3000 {
		n := r.IntN(batchBlock + 1)
		var lines [batchBlock]uintptr
		var seeds, rems, got, want [batchBlock]uint64
		for i := range n {
			line := (*[lineSize]byte)(at[(batchBlock-1-i)*lineSize:])
			for j := 0; j < lineSize; j += 8 {
				binary.LittleEndian.PutUint64(line[j:], r.Uint64())
			}
			lines[i], seeds[i], rems[i] = uintptr(unsafe.Pointer(line)), r.Uint64(), r.Uint64()>>28
			for range r.IntN(4) { // hits, some of them in several slots
				s := r.Uint64N(slotsPerLine)
				var b [8]byte
				binary.LittleEndian.PutUint64(b[:], rems[i]<<4|r.Uint64N(16))
				copy(line[s*slotBytes:][:slotBytes], b[:])
			}
			word := binary.LittleEndian.Uint64(line[56:]) & (1<<checkShift - 1)
			binary.LittleEndian.PutUint64(line[56:], word)
			binary.LittleEndian.PutUint64(line[56:], word|lineSum(line, seeds[i])<<checkShift)
		}
		for i := range n {
			got[i] = r.Uint64()
			want[i] = got[i]
		}
		matchAll(got[:n], lines[:n], rems[:n])
		matchEach(want[:n], lines[:n], rems[:n])
		if got != want {
			t.Fatalf("matchAll of %d lines: %x, want %x", n, got, want)
		}
		if !checkAll(lines[:n], seeds[:n]) || !checkEach(lines[:n], seeds[:n]) {
			t.Fatal("sound lines are called damaged")
		}
		if n > 0 {
			at[(batchBlock-1-r.IntN(n))*lineSize+r.IntN(lineSize)] ^= 1 << r.IntN(8)
			if checkAll(lines[:n], seeds[:n]) || checkEach(lines[:n], seeds[:n]) {
				t.Fatal("a flipped bit is not noticed")
			}
		}
	}
}

// A check that comes to zero is kept as one.
func TestScanZeroCheck(t *testing.T) {
	mem, err := anonymous(lineSize)
	if err != nil {
		t.Fatal(err)
	}
	defer unmap(mem)
	lines, seeds := []uintptr{uintptr(unsafe.Pointer(&mem[0]))}, []uint64{0}
	for word, sound := range map[uint64]bool{0: false, 1: true, 2: false} {
		binary.LittleEndian.PutUint64(mem[56:], word<<checkShift)
		if checkAll(lines, seeds) != sound || checkEach(lines, seeds) != sound {
			t.Errorf("a check of %d over zeros with seed 0: sound = %t, want %t", word, !sound, sound)
		}
	}
}
