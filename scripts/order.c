// Which methods does a program run? Preloaded into it, this puts a breakpoint on the first byte of each function it is told of, and
// notes those that are come by, each once, in the order of their first run: scripts/order.sh has the rest.
//   ORDER_FUNCTIONS   a file of addresses, hexadecimal, ascending, as the program's symbol table has them
//   ORDER_TRACE       where those that ran are written, in the same form, a line each
// SIGRTMAX begins anew: what runs from then on follows behind a line "-".
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { most_functions = 1 << 18, line_length = 17, most_lines = 1 << 20 };

static const uint8_t breakpoint = 0xCC; // int3
static uintptr_t base, functions[most_functions];
static int count;
static uint8_t original[most_functions];
static char *lines;
static uint32_t next;

static void write_line(uintptr_t address) {
    uint32_t line = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
    if (line >= most_lines) return;
    char *at = lines + (size_t)line * line_length;
    for (int i = 0; i < 16; i++) at[i] = address == 0 ? '-' : "0123456789abcdef"[(address >> (60 - 4 * i)) & 15];
    at[16] = '\n';
}

static void arm(void) {
    for (int i = 0; i < count; i++) *(volatile uint8_t *)(base + functions[i]) = breakpoint;
}

static void again(int number) {
    (void)number;
    write_line(0);
    arm();
}

// Another thread may have come by at the same time: then the byte is back already, and the function is only run anew.
static void hit(int number, siginfo_t *info, void *context) {
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uintptr_t address = (uintptr_t)registers[REG_RIP] - 1 - base;
    int low = 0, high = count - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (functions[middle] < address) low = middle + 1;
        else high = middle;
    }
    if (functions[low] != address) {
        signal(number, SIG_DFL);
        return;
    }
    if (__atomic_exchange_n((uint8_t *)(base + address), original[low], __ATOMIC_SEQ_CST) == breakpoint) write_line(address);
    registers[REG_RIP]--;
}

static int find_program(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size, (void)data;
    base = info->dlpi_addr;
    return 1; // The first is the program itself.
}

__attribute__((constructor)) static void begin(void) {
    const char *from = getenv("ORDER_FUNCTIONS"), *to = getenv("ORDER_TRACE");
    if (!from || !to) return;
    unsetenv("LD_PRELOAD");
    dl_iterate_phdr(find_program, NULL);
    FILE *file = fopen(from, "r");
    while (file && count < most_functions && fscanf(file, "%lx", &functions[count]) == 1) count++;
    int out = open(to, O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (count == 0 || ftruncate(out, (off_t)most_lines * line_length) != 0) abort();
    fclose(file);
    lines = mmap(NULL, (size_t)most_lines * line_length, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
    for (int i = 0; i < count; i++) original[i] = *(uint8_t *)(base + functions[i]);
    uintptr_t first = (base + functions[0]) & ~4095UL, end = (base + functions[count - 1] + 4096) & ~4095UL;
    if (lines == MAP_FAILED || mprotect((void *)first, end - first, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) abort();
    struct sigaction on_hit = { .sa_sigaction = hit, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART };
    struct sigaction on_again = { .sa_handler = again, .sa_flags = SA_RESTART };
    sigaction(SIGTRAP, &on_hit, NULL);
    sigaction(SIGRTMAX, &on_again, NULL);
    arm();
}
