// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !purego

#include "textflag.h"

// Four slots of five bytes, two in each half, spread to 64 bits each.
DATA spread<>+0(SB)/8, $0xffffff0403020100
DATA spread<>+8(SB)/8, $0xffffff0908070605
DATA spread<>+16(SB)/8, $0xffffff0403020100
DATA spread<>+24(SB)/8, $0xffffff0908070605
GLOBL spread<>(SB), RODATA|NOPTR, $32

// The same for the last four, whose upper half is read from two bytes before,
// so as not to read behind the line.
DATA spreadLast<>+0(SB)/8, $0xffffff0403020100
DATA spreadLast<>+8(SB)/8, $0xffffff0908070605
DATA spreadLast<>+16(SB)/8, $0xffffff0605040302
DATA spreadLast<>+24(SB)/8, $0xffffff0b0a090807
GLOBL spreadLast<>(SB), RODATA|NOPTR, $32

// func matchAVX2(masks *uint64, lines *uintptr, rems *uint64, n int)
TEXT ·matchAVX2(SB), NOSPLIT, $0-32
	MOVQ masks+0(FP), DI
	MOVQ lines+8(FP), SI
	MOVQ rems+16(FP), DX
	MOVQ n+24(FP), CX
	VMOVDQU spread<>(SB), Y14
	VMOVDQU spreadLast<>(SB), Y15
	TESTQ CX, CX
	JLE  done

next:
	MOVQ (SI), AX
	VPBROADCASTQ (DX), Y0
	VMOVDQU (AX), X1
	VINSERTI128 $1, 10(AX), Y1, Y1
	VMOVDQU 20(AX), X2
	VINSERTI128 $1, 30(AX), Y2, Y2
	VMOVDQU 40(AX), X3
	VINSERTI128 $1, 48(AX), Y3, Y3
	VPSHUFB Y14, Y1, Y1
	VPSHUFB Y14, Y2, Y2
	VPSHUFB Y15, Y3, Y3
	VPSRLQ $4, Y1, Y1 // the remainder above the code
	VPSRLQ $4, Y2, Y2
	VPSRLQ $4, Y3, Y3
	VPCMPEQQ Y0, Y1, Y1
	VPCMPEQQ Y0, Y2, Y2
	VPCMPEQQ Y0, Y3, Y3
	VMOVMSKPD Y1, AX
	VMOVMSKPD Y2, BX
	VMOVMSKPD Y3, R8
	SHLQ $4, BX
	SHLQ $8, R8
	ORQ  BX, AX
	ORQ  R8, AX
	ANDQ AX, (DI)
	ADDQ $8, DI
	ADDQ $8, SI
	ADDQ $8, DX
	DECQ CX
	JNZ  next

done:
	VZEROUPPER
	RET

// The multipliers of a line's check, mix0 to mix7.
DATA mixes<>+0(SB)/8, $0x3efa8e3086ad2443
DATA mixes<>+8(SB)/8, $0x364e5cb1ce94b7b5
DATA mixes<>+16(SB)/8, $0xfb812110f4e03069
DATA mixes<>+24(SB)/8, $0xbf0f2d889812fd0f
DATA mixes<>+32(SB)/8, $0xdca9443a1fd643a5
DATA mixes<>+40(SB)/8, $0x85cd9b842a141b49
DATA mixes<>+48(SB)/8, $0x153483a80f04e42f
DATA mixes<>+56(SB)/8, $0x60be611d5034a617
GLOBL mixes<>(SB), RODATA|NOPTR, $64

// All of a line but its check, which is the last word's top 15 bits.
DATA unchecked<>+0(SB)/8, $0xffffffffffffffff
DATA unchecked<>+8(SB)/8, $0xffffffffffffffff
DATA unchecked<>+16(SB)/8, $0xffffffffffffffff
DATA unchecked<>+24(SB)/8, $0xffffffffffffffff
DATA unchecked<>+32(SB)/8, $0xffffffffffffffff
DATA unchecked<>+40(SB)/8, $0xffffffffffffffff
DATA unchecked<>+48(SB)/8, $0xffffffffffffffff
DATA unchecked<>+56(SB)/8, $0x0001ffffffffffff
GLOBL unchecked<>(SB), RODATA|NOPTR, $64

// func checkAVX512(lines *uintptr, seeds *uint64, n int) (bad uint64)
TEXT ·checkAVX512(SB), NOSPLIT, $0-32
	MOVQ lines+0(FP), SI
	MOVQ seeds+8(FP), DX
	MOVQ n+16(FP), CX
	XORQ R9, R9
	VMOVDQU64 mixes<>(SB), Z14
	VMOVDQU64 unchecked<>(SB), Z15
	TESTQ CX, CX
	JLE  done

next:
	MOVQ (SI), AX
	VPANDQ (AX), Z15, Z1
	MOVQ 56(AX), BX
	VPMULLQ Z14, Z1, Z1
	VEXTRACTI64X4 $1, Z1, Y2
	VPADDQ Y2, Y1, Y1
	VEXTRACTI128 $1, Y1, X2
	VPADDQ X2, X1, X1
	VPSRLDQ $8, X1, X2
	VPADDQ X2, X1, X1
	VMOVQ X1, R8
	ADDQ (DX), R8
	SHRQ $49, R8 // the check, of which zero becomes one
	CMPQ R8, $1
	ADCQ $0, R8
	SHRQ $49, BX
	XORQ BX, R8
	ORQ  R8, R9
	ADDQ $8, SI
	ADDQ $8, DX
	DECQ CX
	JNZ  next

done:
	VZEROUPPER
	MOVQ R9, bad+24(FP)
	RET
