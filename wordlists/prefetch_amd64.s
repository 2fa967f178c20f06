// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !purego

#include "textflag.h"

// func prefetch(p unsafe.Pointer)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	PREFETCHT0 (AX)
	RET

// func prefetchRun(p unsafe.Pointer)
TEXT ·prefetchRun(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	PREFETCHT0 (AX)
	PREFETCHT0 64(AX)
	PREFETCHT0 128(AX)
	RET

// func prefetchAll(lines []uintptr, also uintptr)
//
// Into the second-level cache: fewer can be on their way to the first.
TEXT ·prefetchAll(SB), NOSPLIT, $0-32
	MOVQ lines_base+0(FP), AX
	MOVQ lines_len+8(FP), CX
	MOVQ also+24(FP), DX
	TESTQ CX, CX
	JZ   done
next:
	MOVQ (AX), BX
	PREFETCHT1 (BX)
	PREFETCHT1 (BX)(DX*1)
	ADDQ $8, AX
	DECQ CX
	JNZ  next
done:
	RET
