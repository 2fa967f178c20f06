// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !purego

#include "textflag.h"

// func prefetch(p unsafe.Pointer)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	RET

// func prefetchRun(p unsafe.Pointer)
TEXT ·prefetchRun(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	PRFM 64(R0), PLDL1KEEP
	PRFM 128(R0), PLDL1KEEP
	RET

// func prefetchAll(lines []uintptr, also uintptr)
TEXT ·prefetchAll(SB), NOSPLIT, $0-32
	MOVD lines_base+0(FP), R0
	MOVD lines_len+8(FP), R1
	MOVD also+24(FP), R3
	CBZ  R1, done
next:
	MOVD.P 8(R0), R2
	PRFM (R2), PLDL1KEEP
	ADD  R3, R2
	PRFM (R2), PLDL1KEEP
	SUB  $1, R1
	CBNZ R1, next
done:
	RET
