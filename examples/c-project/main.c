#include <stdio.h>
#include <stdlib.h>

#include "sieve.h"

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: primes LIMIT\n");
        return 2;
    }
    printf("%lu\n", count_primes(strtoul(argv[1], NULL, 10)));
    return 0;
}
