import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonOf, SealwrightError } from '../../core/errors.ts';
import { SERVICES, USUAL_PLACEMENT, type Placement } from './topology.ts';

/** What is written in the samples, and what stands for it in this run. */
export type ApplicationPorts = ReadonlyMap<string, number>;

/**
 * Copies the samples into a folder that a CA watches. They name the usual places; where this run has others, those
 * are put in their stead, and not a letter else is changed.
 *
 * @throws SealwrightError `demo_failed`
 */
export async function copySamples(options: {
  readonly from: string;
  readonly to: string;
  readonly placement: Placement;
  /** By `namespace/name` of the service. */
  readonly applicationPorts: ApplicationPorts;
}): Promise<void> {
  const { from, to, placement, applicationPorts } = options;
  try {
    const files = (await readdir(from)).filter((name) => name.endsWith('.yaml'));
    for (const name of files) {
      const text = await readFile(join(from, name), 'utf8');
      await writeFile(join(to, name), placed(text, placement, applicationPorts), { flag: 'wx' });
    }
  } catch (error) {
    throw new SealwrightError('demo_failed', { step: 'copy the samples', reason: reasonOf(error) }, { cause: error });
  }
}

function placed(text: string, { network }: Placement, applicationPorts: ApplicationPorts): string {
  let result = text.replaceAll(`${USUAL_PLACEMENT.network}.`, `${network}.`);
  for (const { workload, applicationPort } of SERVICES) {
    const port = applicationPorts.get(workload) ?? applicationPort;
    result = result.replaceAll(`127.0.0.1:${applicationPort}`, `127.0.0.1:${port}`);
  }
  return result;
}
