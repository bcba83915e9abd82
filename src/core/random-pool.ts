/** 256 serial numbers. Larger asks for more memory that lies about; smaller asks the generator more often. */
const POOL_SIZE = 4_096;

/**
 * Random bytes out of larger draws: one call into OpenSSL costs as much for 4096 bytes as for 16 and leaves an object
 * for the garbage collector. Each byte is given once, and what is given is the caller's to write into.
 * The bytes to come lie in memory meanwhile: for what will be public, such as serial numbers, not for keys.
 */
export function createRandomPool(randomBytes: (size: number) => Buffer): (size: number) => Buffer {
  let pool = randomBytes(POOL_SIZE);
  let given = 0;
  return (size) => {
    if (size > POOL_SIZE) return randomBytes(size);
    if (given + size > pool.length) {
      pool = randomBytes(POOL_SIZE);
      given = 0;
    }
    given += size;
    return pool.subarray(given - size, given);
  };
}
