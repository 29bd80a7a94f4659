#include <stdlib.h>

#include "sieve.h"

unsigned long count_primes(unsigned long limit) {
    char *composite = calloc(limit + 1, 1);
    unsigned long count = 0;
    if (composite == NULL)
        abort();
    for (unsigned long n = 2; n <= limit; n++) {
        if (composite[n])
            continue;
        count++;
        for (unsigned long multiple = n * 2; multiple <= limit; multiple += n)
            composite[multiple] = 1;
    }
    free(composite);
    return count;
}
