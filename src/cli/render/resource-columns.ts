import { parseServiceEntry } from '../../resources/service-entry.ts';
import { parseService } from '../../resources/service.ts';
import { parseWorkloadEntry } from '../../resources/workload-entry.ts';
import { readAuthorizationPolicy, readPeerAuthentication } from '../../resources/policy-resource.ts';
import type { Resource } from '../../resources/resource.ts';
import type { Column } from './listing.ts';
import { renderDistance } from './time.ts';

/** The columns of a listing of one kind: what kubectl shows, and what tells two of the kind apart. */
export function columnsOf(kind: string, now: number): readonly Column<Resource>[] {
  return [
    { heading: 'NAMESPACE', cell: ({ namespace }) => namespace },
    { heading: 'NAME', cell: ({ name }) => name },
    ...(OWN[kind] ?? []),
    { heading: 'CREATED', cell: ({ creationTimestamp }) => renderDistance(creationTimestamp, now) },
    { heading: 'LABELS', cell: ({ labels }) => pairs(labels), wide: true },
    { heading: 'FILE', cell: ({ origin }) => origin.file ?? '', wide: true },
  ];
}

/** A cell of something that cannot be read; `policy validate` says why. */
const UNREADABLE = '?';

const OWN: Readonly<Record<string, readonly Column<Resource>[]>> = {
  AuthorizationPolicy: [
    { heading: 'ACTION', cell: (each) => readAuthorizationPolicy(each).policy?.action ?? UNREADABLE },
    { heading: 'RULES', cell: (each) => String(readAuthorizationPolicy(each).policy?.rules.length ?? UNREADABLE) },
    {
      heading: 'SELECTOR',
      cell: (each) => pairs(Object.fromEntries(readAuthorizationPolicy(each).policy?.selector ?? [])),
    },
  ],
  PeerAuthentication: [
    { heading: 'MODE', cell: (each) => readPeerAuthentication(each).policy?.mode ?? UNREADABLE },
    {
      heading: 'SELECTOR',
      cell: (each) => pairs(Object.fromEntries(readPeerAuthentication(each).policy?.selector ?? [])),
    },
  ],
  WorkloadEntry: [
    { heading: 'ADDRESS', cell: (each) => parseWorkloadEntry(each).value?.address ?? UNREADABLE },
    { heading: 'SERVICE ACCOUNT', cell: (each) => parseWorkloadEntry(each).value?.serviceAccount ?? UNREADABLE },
    { heading: 'PORTS', cell: (each) => pairs(parseWorkloadEntry(each).value?.ports ?? {}), wide: true },
  ],
  ServiceEntry: [
    { heading: 'HOSTS', cell: (each) => parseServiceEntry(each).value?.hosts.join(',') ?? UNREADABLE },
    { heading: 'LOCATION', cell: (each) => parseServiceEntry(each).value?.location ?? UNREADABLE },
    { heading: 'RESOLUTION', cell: (each) => parseServiceEntry(each).value?.resolution ?? UNREADABLE },
  ],
  Service: [
    {
      heading: 'PORTS',
      cell: (each) =>
        parseService(each)
          .value?.ports.map(({ port }) => port)
          .join(',') ?? UNREADABLE,
    },
    { heading: 'SELECTOR', cell: (each) => pairs(parseService(each).value?.selector ?? {}), wide: true },
  ],
};

function pairs(map: Readonly<Record<string, string | number>>): string {
  return Object.entries(map)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}
