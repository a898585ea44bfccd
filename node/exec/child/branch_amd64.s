//go:build linux && !race

#include "textflag.h"

#define SYS_clone3 435

// BRANCH is of (args *cloneArgs, size uintptr, p *program) (pid uintptr, errno syscall.Errno).
// In the process that begins SP is what args say, with room above for p.
#define BRANCH(begin) \
	MOVQ args+0(FP), DI    \
	MOVQ size+8(FP), SI    \
	MOVQ p+16(FP), R12     \
	MOVL $SYS_clone3, AX   \
	SYSCALL                \
	TESTQ AX, AX           \
	JZ   begins            \
	CMPQ AX, $-4095        \
	JCC  failed            \
	MOVQ AX, pid+24(FP)    \
	MOVQ $0, errno+32(FP)  \
	RET                    \
failed:                        \
	NEGQ AX                \
	MOVQ $0, pid+24(FP)    \
	MOVQ AX, errno+32(FP)  \
	RET                    \
begins:                        \
	XORL BP, BP            \
	LEAQ 0(SP), AX         \
	MOVQ R12, 0(AX)        \
	CALL begin(SB)         \
	INT  $3

// func branchFirst(args *cloneArgs, size uintptr, p *program) (pid uintptr, errno syscall.Errno)
TEXT ·branchFirst(SB), NOSPLIT, $0-40
	BRANCH(·live)

// func branchCommand(args *cloneArgs, size uintptr, p *program) (pid uintptr, errno syscall.Errno)
TEXT ·branchCommand(SB), NOSPLIT, $0-40
	BRANCH(·become)
