//go:build amd64 && !purego

#include "textflag.h"

// Eight streams at once with AVX2. A "row" is one 32 bit word of all streams, 32 bytes; a block of all streams is 16 rows. The rows of
// a state are 64 bytes apart, as for sixteen streams.

// Eight streams, 32 bytes of each: makes the eight rows from row on.
#define TRANSPOSE8(offset, row) \
	MOVQ 0(SI), R8 \
	VMOVDQU offset(R8)(DX*1), Y0 \
	MOVQ 8(SI), R8 \
	VMOVDQU offset(R8)(DX*1), Y1 \
	MOVQ 16(SI), R8 \
	VMOVDQU offset(R8)(DX*1), Y2 \
	MOVQ 24(SI), R8 \
	VMOVDQU offset(R8)(DX*1), Y3 \
	MOVQ 32(SI), R8 \
	VMOVDQU offset(R8)(DX*1), Y4 \
	MOVQ 40(SI), R8 \
	VMOVDQU offset(R8)(DX*1), Y5 \
	MOVQ 48(SI), R8 \
	VMOVDQU offset(R8)(DX*1), Y6 \
	MOVQ 56(SI), R8 \
	VMOVDQU offset(R8)(DX*1), Y7 \
	VPUNPCKLDQ Y1, Y0, Y8 \
	VPUNPCKHDQ Y1, Y0, Y9 \
	VPUNPCKLDQ Y3, Y2, Y10 \
	VPUNPCKHDQ Y3, Y2, Y11 \
	VPUNPCKLDQ Y5, Y4, Y12 \
	VPUNPCKHDQ Y5, Y4, Y13 \
	VPUNPCKLDQ Y7, Y6, Y14 \
	VPUNPCKHDQ Y7, Y6, Y15 \
	VPUNPCKLQDQ Y10, Y8, Y0 \
	VPUNPCKHQDQ Y10, Y8, Y1 \
	VPUNPCKLQDQ Y11, Y9, Y2 \
	VPUNPCKHQDQ Y11, Y9, Y3 \
	VPUNPCKLQDQ Y14, Y12, Y4 \
	VPUNPCKHQDQ Y14, Y12, Y5 \
	VPUNPCKLQDQ Y15, Y13, Y6 \
	VPUNPCKHQDQ Y15, Y13, Y7 \
	VPERM2I128 $0x20, Y4, Y0, Y8 \
	VPERM2I128 $0x31, Y4, Y0, Y12 \
	VPERM2I128 $0x20, Y5, Y1, Y9 \
	VPERM2I128 $0x31, Y5, Y1, Y13 \
	VPERM2I128 $0x20, Y6, Y2, Y10 \
	VPERM2I128 $0x31, Y6, Y2, Y14 \
	VPERM2I128 $0x20, Y7, Y3, Y11 \
	VPERM2I128 $0x31, Y7, Y3, Y15 \
	VMOVDQU Y8, (row*32+0)(DI) \
	VMOVDQU Y9, (row*32+32)(DI) \
	VMOVDQU Y10, (row*32+64)(DI) \
	VMOVDQU Y11, (row*32+96)(DI) \
	VMOVDQU Y12, (row*32+128)(DI) \
	VMOVDQU Y13, (row*32+160)(DI) \
	VMOVDQU Y14, (row*32+192)(DI) \
	VMOVDQU Y15, (row*32+224)(DI)

// func transpose8(rows *uint32, data *[16]*byte, offset, blocks int)
// Copies blocks of the first eight streams, from offset on, to rows.
TEXT ·transpose8(SB), NOSPLIT, $0-32
	MOVQ rows+0(FP), DI
	MOVQ data+8(FP), SI
	MOVQ offset+16(FP), DX
	MOVQ blocks+24(FP), CX

transposeBlock:
	TRANSPOSE8(0, 0)
	TRANSPOSE8(32, 8)
	ADDQ $64, DX
	ADDQ $512, DI
	DECQ CX
	JNZ  transposeBlock
	VZEROUPPER
	RET

// f = d ^ (b & (c ^ d))
#define F(b, c, d) \
	VPXOR c, d, Y8   \
	VPAND b, Y8, Y8  \
	VPXOR d, Y8, Y8

// f = c ^ (d & (b ^ c))
#define G(b, c, d) \
	VPXOR b, c, Y8   \
	VPAND d, Y8, Y8  \
	VPXOR c, Y8, Y8

// f = b ^ c ^ d
#define H(b, c, d) \
	VPXOR c, d, Y8   \
	VPXOR b, Y8, Y8

// f = c ^ (b | ^d); Y10 has all bits set
#define I(b, c, d) \
	VPXOR d, Y10, Y8 \
	VPOR  b, Y8, Y8  \
	VPXOR c, Y8, Y8

// One step: a = b + rotate(a + f(b, c, d) + row + constant).
#define MD5STEP(a, b, c, d, f, row, constant, left, right) \
	VPBROADCASTD (constant*4)(R8), Y9 \
	VPADDD (row*32)(SI), a, a   \
	VPADDD Y9, a, a             \
	f(b, c, d)                  \
	VPADDD Y8, a, a             \
	VPSLLD $left, a, Y8         \
	VPSRLD $right, a, a         \
	VPOR   Y8, a, a             \
	VPADDD b, a, a

// func md5Rows8(state, rows *uint32, blocks int)
TEXT ·md5Rows8(SB), NOSPLIT, $0-24
	MOVQ state+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ blocks+16(FP), CX
	LEAQ ·md5Constants(SB), R8
	VPCMPEQD Y10, Y10, Y10
	VMOVDQU 0(DI), Y0
	VMOVDQU 64(DI), Y1
	VMOVDQU 128(DI), Y2
	VMOVDQU 192(DI), Y3

md5Block:
	VMOVDQA Y0, Y4
	VMOVDQA Y1, Y5
	VMOVDQA Y2, Y6
	VMOVDQA Y3, Y7

	MD5STEP(Y0, Y1, Y2, Y3, F, 0, 0, 7, 25)
	MD5STEP(Y3, Y0, Y1, Y2, F, 1, 1, 12, 20)
	MD5STEP(Y2, Y3, Y0, Y1, F, 2, 2, 17, 15)
	MD5STEP(Y1, Y2, Y3, Y0, F, 3, 3, 22, 10)
	MD5STEP(Y0, Y1, Y2, Y3, F, 4, 4, 7, 25)
	MD5STEP(Y3, Y0, Y1, Y2, F, 5, 5, 12, 20)
	MD5STEP(Y2, Y3, Y0, Y1, F, 6, 6, 17, 15)
	MD5STEP(Y1, Y2, Y3, Y0, F, 7, 7, 22, 10)
	MD5STEP(Y0, Y1, Y2, Y3, F, 8, 8, 7, 25)
	MD5STEP(Y3, Y0, Y1, Y2, F, 9, 9, 12, 20)
	MD5STEP(Y2, Y3, Y0, Y1, F, 10, 10, 17, 15)
	MD5STEP(Y1, Y2, Y3, Y0, F, 11, 11, 22, 10)
	MD5STEP(Y0, Y1, Y2, Y3, F, 12, 12, 7, 25)
	MD5STEP(Y3, Y0, Y1, Y2, F, 13, 13, 12, 20)
	MD5STEP(Y2, Y3, Y0, Y1, F, 14, 14, 17, 15)
	MD5STEP(Y1, Y2, Y3, Y0, F, 15, 15, 22, 10)

	MD5STEP(Y0, Y1, Y2, Y3, G, 1, 16, 5, 27)
	MD5STEP(Y3, Y0, Y1, Y2, G, 6, 17, 9, 23)
	MD5STEP(Y2, Y3, Y0, Y1, G, 11, 18, 14, 18)
	MD5STEP(Y1, Y2, Y3, Y0, G, 0, 19, 20, 12)
	MD5STEP(Y0, Y1, Y2, Y3, G, 5, 20, 5, 27)
	MD5STEP(Y3, Y0, Y1, Y2, G, 10, 21, 9, 23)
	MD5STEP(Y2, Y3, Y0, Y1, G, 15, 22, 14, 18)
	MD5STEP(Y1, Y2, Y3, Y0, G, 4, 23, 20, 12)
	MD5STEP(Y0, Y1, Y2, Y3, G, 9, 24, 5, 27)
	MD5STEP(Y3, Y0, Y1, Y2, G, 14, 25, 9, 23)
	MD5STEP(Y2, Y3, Y0, Y1, G, 3, 26, 14, 18)
	MD5STEP(Y1, Y2, Y3, Y0, G, 8, 27, 20, 12)
	MD5STEP(Y0, Y1, Y2, Y3, G, 13, 28, 5, 27)
	MD5STEP(Y3, Y0, Y1, Y2, G, 2, 29, 9, 23)
	MD5STEP(Y2, Y3, Y0, Y1, G, 7, 30, 14, 18)
	MD5STEP(Y1, Y2, Y3, Y0, G, 12, 31, 20, 12)

	MD5STEP(Y0, Y1, Y2, Y3, H, 5, 32, 4, 28)
	MD5STEP(Y3, Y0, Y1, Y2, H, 8, 33, 11, 21)
	MD5STEP(Y2, Y3, Y0, Y1, H, 11, 34, 16, 16)
	MD5STEP(Y1, Y2, Y3, Y0, H, 14, 35, 23, 9)
	MD5STEP(Y0, Y1, Y2, Y3, H, 1, 36, 4, 28)
	MD5STEP(Y3, Y0, Y1, Y2, H, 4, 37, 11, 21)
	MD5STEP(Y2, Y3, Y0, Y1, H, 7, 38, 16, 16)
	MD5STEP(Y1, Y2, Y3, Y0, H, 10, 39, 23, 9)
	MD5STEP(Y0, Y1, Y2, Y3, H, 13, 40, 4, 28)
	MD5STEP(Y3, Y0, Y1, Y2, H, 0, 41, 11, 21)
	MD5STEP(Y2, Y3, Y0, Y1, H, 3, 42, 16, 16)
	MD5STEP(Y1, Y2, Y3, Y0, H, 6, 43, 23, 9)
	MD5STEP(Y0, Y1, Y2, Y3, H, 9, 44, 4, 28)
	MD5STEP(Y3, Y0, Y1, Y2, H, 12, 45, 11, 21)
	MD5STEP(Y2, Y3, Y0, Y1, H, 15, 46, 16, 16)
	MD5STEP(Y1, Y2, Y3, Y0, H, 2, 47, 23, 9)

	MD5STEP(Y0, Y1, Y2, Y3, I, 0, 48, 6, 26)
	MD5STEP(Y3, Y0, Y1, Y2, I, 7, 49, 10, 22)
	MD5STEP(Y2, Y3, Y0, Y1, I, 14, 50, 15, 17)
	MD5STEP(Y1, Y2, Y3, Y0, I, 5, 51, 21, 11)
	MD5STEP(Y0, Y1, Y2, Y3, I, 12, 52, 6, 26)
	MD5STEP(Y3, Y0, Y1, Y2, I, 3, 53, 10, 22)
	MD5STEP(Y2, Y3, Y0, Y1, I, 10, 54, 15, 17)
	MD5STEP(Y1, Y2, Y3, Y0, I, 1, 55, 21, 11)
	MD5STEP(Y0, Y1, Y2, Y3, I, 8, 56, 6, 26)
	MD5STEP(Y3, Y0, Y1, Y2, I, 15, 57, 10, 22)
	MD5STEP(Y2, Y3, Y0, Y1, I, 6, 58, 15, 17)
	MD5STEP(Y1, Y2, Y3, Y0, I, 13, 59, 21, 11)
	MD5STEP(Y0, Y1, Y2, Y3, I, 4, 60, 6, 26)
	MD5STEP(Y3, Y0, Y1, Y2, I, 11, 61, 10, 22)
	MD5STEP(Y2, Y3, Y0, Y1, I, 2, 62, 15, 17)
	MD5STEP(Y1, Y2, Y3, Y0, I, 9, 63, 21, 11)

	VPADDD Y4, Y0, Y0
	VPADDD Y5, Y1, Y1
	VPADDD Y6, Y2, Y2
	VPADDD Y7, Y3, Y3
	ADDQ $512, SI
	DECQ CX
	JNZ  md5Block

	VMOVDQU Y0, 0(DI)
	VMOVDQU Y1, 64(DI)
	VMOVDQU Y2, 128(DI)
	VMOVDQU Y3, 192(DI)
	VZEROUPPER
	RET
