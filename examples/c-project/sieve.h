/* The number of primes up to and including `limit`. */
unsigned long count_primes(unsigned long limit);
