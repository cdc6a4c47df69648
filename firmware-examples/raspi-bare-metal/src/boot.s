// From the first instruction to `main`: one core, EL1, vector unit, MMU and caches on, cleared memory, a stack. Others wait until they are called.

.section .text.boot, "ax"
.global _start
_start:
    mrs     x0, mpidr_el1
    and     x0, x0, #3
    cbnz    x0, wait
    bl      enter_el1

    adrp    x1, __bss_start
    add     x1, x1, :lo12:__bss_start
    adrp    x2, __stack_start           // the stack too: what is not zero any more was used
    add     x2, x2, :lo12:__stack_start
1:  stp     xzr, xzr, [x1], #16
    cmp     x1, x2
    b.lo    1b

    mov     sp, x2
    bl      enable_memory
    bl      main

// Cores that the firmware does not keep waiting on its own: for the same word (cores.rs).
wait:
    wfe
    mov     x1, #0xd8
    ldr     x1, [x1, x0, lsl #3]
    cbz     x1, wait
    br      x1

// A called core, with its own stack below those of the cores before it.
.global enter
enter:
    bl      enter_el1
    bl      turn_on                     // which uses no stack: what is written without caches may not be seen with them
    mrs     x0, mpidr_el1
    and     x0, x0, #3
    adrp    x1, __stack_start
    add     x1, x1, :lo12:__stack_start
    ldr     x2, =__stack_size
    msub    x1, x0, x2, x1
    mov     sp, x1
    b       serve

// Returns in EL1, from whatever level the firmware left the core at, with floating point and exception vectors.
enter_el1:
    mrs     x0, CurrentEL
    lsr     x0, x0, #2
    cmp     x0, #2
    b.lo    1f
    b.eq    2f
    mov     x0, #0x5b1                  // SCR_EL3: EL2 is 64-bit and non-secure, and may call
    msr     scr_el3, x0
    msr     cptr_el3, xzr
    mov     x0, #0x3c9                  // SPSR_EL3: EL2 with its own stack pointer, interrupts masked
    msr     spsr_el3, x0
    adr     x0, 2f
    msr     elr_el3, x0
    eret
2:  mov     x0, #0x80000000             // HCR_EL2: EL1 is 64-bit
    msr     hcr_el2, x0
    mrs     x0, midr_el1                // EL1 reads its core's name here
    msr     vpidr_el2, x0
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0
    mov     x0, #0x33ff                 // CPTR_EL2: floating point does not trap
    msr     cptr_el2, x0
    mov     x0, #3                      // CNTHCTL_EL2: nor does the timer
    msr     cnthctl_el2, x0
    msr     cntvoff_el2, xzr
    mrs     x0, pmcr_el0                // MDCR_EL2: all event counters are EL1's
    ubfx    x0, x0, #11, #5
    msr     mdcr_el2, x0
    mov     x0, #0x800                  // SCTLR_EL1: nothing but the bits that are always one
    movk    x0, #0x30d0, lsl #16
    msr     sctlr_el1, x0
    mov     x0, #0x3c5                  // SPSR_EL2: EL1 with its own stack pointer, interrupts masked
    msr     spsr_el2, x0
    adr     x0, 1f
    msr     elr_el2, x0
    eret
1:  mov     x0, #0x300000               // CPACR_EL1: floating point does not trap
    msr     cpacr_el1, x0
    adrp    x0, vectors
    add     x0, x0, :lo12:vectors
    msr     vbar_el1, x0
    isb
    ret

// Sixteen entries of 128 bytes. No exception is expected, and each is the end.
.balign 2048
vectors:
.rept 16
    mrs     x0, esr_el1
    mrs     x1, elr_el1
    mrs     x2, far_el1
    b       exception
.balign 128
.endr
