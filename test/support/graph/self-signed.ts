/** Certificates made on the spot, so that no private key lies in the repository. */
import { selfSigned as make, type SelfSigned } from '../../../src/access/self-signed.ts';

export function selfSigned(commonName = 'calendar-sync test'): SelfSigned {
  const [notBefore, notAfter] = [new Date('2020-01-01T00:00:00Z'), new Date('2049-12-31T23:59:59Z')];
  return make({ commonName, notBefore, notAfter, bits: 2048 });
}
