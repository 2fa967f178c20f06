// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !purego

package argon2

import "golang.org/x/sys/cpu"

// kernels returns the kernels that this machine runs beside the generic one,
// the fastest first.
func kernels() []*kernel {
	var all []*kernel
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512BW {
		all = append(all, &kernel{
			name: KernelAVX512,
			step: interleave,
			head: [2]func(z, out, prev, ref *block) uint64{headAVX512, headXorAVX512},
			tail: [2]func(z, out, prev, ref, next *block){tailAVX512, tailXorAVX512},
		})
	}
	if cpu.X86.HasAVX2 {
		all = append(all, &kernel{
			name: KernelAVX2,
			step: interleave,
			head: [2]func(z, out, prev, ref *block) uint64{headAVX2, headXorAVX2},
			tail: [2]func(z, out, prev, ref, next *block){tailAVX2, tailXorAVX2},
		})
	}
	return all
}

//go:noescape
func headAVX512(z, out, prev, ref *block) uint64

//go:noescape
func headXorAVX512(z, out, prev, ref *block) uint64

//go:noescape
func tailAVX512(z, out, prev, ref, next *block)

//go:noescape
func tailXorAVX512(z, out, prev, ref, next *block)

//go:noescape
func headAVX2(z, out, prev, ref *block) uint64

//go:noescape
func headXorAVX2(z, out, prev, ref *block) uint64

//go:noescape
func tailAVX2(z, out, prev, ref, next *block)

//go:noescape
func tailXorAVX2(z, out, prev, ref, next *block)
